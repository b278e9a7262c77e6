// Products of seven pixels by a layer, summed in registers.
#pragma once

#include "../kernels/product.h"
#include "../kernels/windows.h"

namespace derain {

constexpr int GROUP = WINDOW;  // pixels of a row that are multiplied at once; maps are multiples wide
constexpr int REGISTERS = LANES == 16 ? 32 : 16;

// Vectors of columns that are summed at once: beside the sums, the registers hold a vector of each and a
// factor.
constexpr int column_vectors(int columns) {
  return widest_block(columns / LANES, (REGISTERS - 1) / (GROUP + 1));
}

// A matrix (inner, columns), packed as the right operand of a product, and what is added to it.
template <class T>
struct PackedLayer {
  const typename T::Element* weight;
  const float* bias;
};

// Adds the product of a group of pixels, `step` words apart, by VECTORS vectors of columns of a matrix
// whose lines are `line` words apart.
template <class T, int VECTORS>
[[gnu::always_inline]] inline void accumulate(Vector (&sums)[GROUP][VECTORS], const typename T::Element* pixels, int step,
                                              const typename T::Element* matrix, int line, int inner) {
#pragma GCC unroll 1
  for (int k = 0; k < inner; ++k, pixels += T::PAIR, matrix += line * T::PAIR) {
    Words columns[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) columns[v] = load_words(matrix + v * LANES * T::PAIR);
#pragma GCC unroll 7
    for (int r = 0; r < GROUP; ++r) {
      const Words word = broadcast_word(pixels + r * step * T::PAIR);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = T::dot(sums[r][v], word, columns[v]);
    }
  }
}

template <int VECTORS>
[[gnu::always_inline]] inline void start(Vector (&sums)[GROUP][VECTORS], const float* bias) {
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v) {
    const Vector from = bias ? load(bias + v * LANES) : constant(0.0f);
#pragma GCC unroll 7
    for (int r = 0; r < GROUP; ++r) sums[r][v] = from;
  }
}

// Calls `use(pixel, column, sum)` for each vector.
template <int VECTORS, class Use>
[[gnu::always_inline]] inline void finish(const Vector (&sums)[GROUP][VECTORS], int column, Use&& use) {
#pragma GCC unroll 7
  for (int r = 0; r < GROUP; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) use(r, column + v * LANES, sums[r][v]);
  }
}

// Multiplies a group of pixels of IN channels by a layer with OUT columns, and calls `use` with each vector.
template <class T, int IN, int OUT, class Use>
[[gnu::always_inline]] inline void multiply(const typename T::Element* pixels, int step, PackedLayer<T> layer, Use&& use) {
  constexpr int VECTORS = column_vectors(OUT);
  for (int column = 0; column < OUT; column += VECTORS * LANES) {
    Vector sums[GROUP][VECTORS];
    start(sums, layer.bias ? layer.bias + column : nullptr);
    accumulate<T>(sums, pixels, step, layer.weight + column * T::PAIR, OUT, words<T>(IN));
    finish(sums, column, use);
  }
}

}  // namespace derain
