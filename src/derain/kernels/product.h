// Products of small matrices that fit into the first two caches, and their memory layouts.
//
// Operands are read as 32-bit words: one float32, or a pair of bfloat16 along the inner dimension.
// There are two layouts, which are the same in float32:
// - by rows: (row, column), pairs within a row. The left operand of a product over the columns.
// - by tokens: (row / 2, column), a pair is two rows. The right operand of a product over the rows
//   or, with rows and columns exchanged (`by_columns`), its left operand.
#pragma once

#include "amx.h"
#include "vector.h"

namespace derain {

template <class T>
struct Left {
  const typename T::Element* data;
  int row, inner;  // words from one row to the next, and from one word of the inner dimension to the next
};

template <class T>
struct Right {
  const typename T::Element* data;
  int line;  // words from one word of the inner dimension to the next; columns are adjacent
};

constexpr int widest_block(int vectors, int most) {
  while (vectors % most) --most;
  return most;
}

// Calls `use(column, vector)` for each vector of a part of a row, which starts at column `first`.
template <int N, class Use>
[[gnu::always_inline]] inline void each(const Vector (&vectors)[N], int first, Use&& use) {
  for (int v = 0; v < N; ++v) use(first + v * LANES, vectors[v]);
}

template <int N, class Use>
[[gnu::always_inline]] inline void each(const Vector (&vectors)[N], Use&& use) {
  each(vectors, 0, use);
}

// Numbers of rows and of vectors of columns of a product (M, N) that are summed in registers at once.
template <int M, int N>
struct Blocks {
  static constexpr int ROWS = LANES == 16 ? (M % 7 ? 8 : 7) : (M % 4 ? 6 : 4);
  static constexpr int VECTORS = widest_block(N / LANES, MAX_SUMS / ROWS);
  static_assert(N % LANES == 0);
};

// The block of a product with ROWS rows and VECTORS vectors of columns that starts at (row, column);
// `inner` is the number of words that are summed.
template <class T, int ROWS, int VECTORS, class Use>
[[gnu::always_inline]] inline void block_product(Left<T> left, Right<T> right, int row, int column, int inner, Use&& use) {
  Vector sums[ROWS][VECTORS] = {};
  const auto* a = left.data + row * left.row * T::PAIR;
  const auto* b = right.data + column * T::PAIR;
#pragma GCC unroll 1
  for (int k = 0; k < inner; ++k, a += left.inner * T::PAIR, b += right.line * T::PAIR) {
    Words columns[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) columns[v] = load_words(b + v * LANES * T::PAIR);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const Words word = broadcast_word(a + r * left.row * T::PAIR);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = T::dot(sums[r][v], word, columns[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) use(row + r, column, sums[r]);
}

template <class T, int M, int N, int K, class Use>
[[gnu::always_inline]] inline void vector_product(Left<T> left, Right<T> right, Use&& use) {
  constexpr int ROWS = Blocks<M, N>::ROWS, VECTORS = Blocks<M, N>::VECTORS, REST = M % ROWS;
  for (int column = 0; column < N; column += VECTORS * LANES) {
    for (int row = 0; row < M - REST; row += ROWS) block_product<T, ROWS, VECTORS>(left, right, row, column, K, use);
    if constexpr (REST > 0) block_product<T, REST, VECTORS>(left, right, M - REST, column, K, use);
  }
}

// M need not be a multiple of 16: the last block is whole and overlaps the one before.
template <class T, int M, int N, int K, class Use>
[[gnu::always_inline]] inline void tiled_product(Left<T> left, Right<T> right, Use&& use) {
  constexpr int VECTORS = Blocks<M, N>::VECTORS, LINE = VECTORS * LANES;
  alignas(64) float block[amx::ROWS * LINE];
  for (int column = 0; column < N; column += LINE)
    for (int row = 0; row < M; row += amx::ROWS) {
      const int first = row + amx::ROWS <= M ? row : M - amx::ROWS;
      const auto* a = left.data + first * left.row * T::PAIR;
      const auto* b = right.data + column * T::PAIR;
      for (int v = 0; v + 1 < VECTORS; v += 2) {
        amx::clear<amx::SUMS>();
        amx::clear<amx::SUMS + 1>();
        amx::add<K, 2>(a, left.row, b + v * LANES * T::PAIR, right.line);
        amx::store<amx::SUMS>(block + v * LANES, LINE * sizeof(float));
        amx::store<amx::SUMS + 1>(block + (v + 1) * LANES, LINE * sizeof(float));
      }
      if constexpr (VECTORS % 2) {
        amx::clear<amx::SUMS>();
        amx::add<K, 1>(a, left.row, b + (VECTORS - 1) * LANES * T::PAIR, right.line);
        amx::store<amx::SUMS>(block + (VECTORS - 1) * LANES, LINE * sizeof(float));
      }
      for (int r = row - first; r < amx::ROWS; ++r) {
        Vector sums[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) sums[v] = load(block + r * LINE + v * LANES);
        use(first + r, column, sums);
      }
    }
}

// Multiplies left (M, K words) by right (K words, N) and calls `use(row, column, sums)` for each row of
// a block of results. `sums` is an array of vectors that starts at `column`.
template <class T, int M, int N, int K, class Use>
[[gnu::always_inline]] inline void product(Left<T> left, Right<T> right, Use&& use) {
  if constexpr (T::TILED) tiled_product<T, M, N, K>(left, right, use);
  else vector_product<T, M, N, K>(left, right, use);
}

// The same, but calls `use(row, 0, sums)` with whole rows.
template <class T, int M, int N, int K, class Use>
[[gnu::always_inline]] inline void row_product(Left<T> left, Right<T> right, Use&& use) {
  if constexpr (Blocks<M, N>::VECTORS * LANES == N) {
    product<T, M, N, K>(left, right, use);
  } else {
    alignas(64) float rows[M][N];
    product<T, M, N, K>(left, right, [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) { store(rows[row] + at, sum); });
    });
    for (int row = 0; row < M; ++row) {
      Vector sums[N / LANES];
      for (int v = 0; v < N / LANES; ++v) sums[v] = load(rows[row] + v * LANES);
      use(row, 0, sums);
    }
  }
}

// Adds left (M, K words) times right (K words, N) to sums (M, N). M is a multiple of 16.
template <class T, int M, int N, int K>
inline void add_product(Left<T> left, Right<T> right, float* sums) {
  if constexpr (T::TILED) {
    constexpr int BLOCKS = N / LANES % 2 ? 1 : 2;
    for (int row = 0; row < M; row += amx::ROWS)
      for (int column = 0; column < N; column += BLOCKS * LANES) {
        float* to = sums + row * N + column;
        amx::load<amx::SUMS>(to, N * sizeof(float));
        if constexpr (BLOCKS == 2) amx::load<amx::SUMS + 1>(to + LANES, N * sizeof(float));
        amx::add<K, BLOCKS>(left.data + row * left.row * T::PAIR, left.row, right.data + column * T::PAIR, right.line);
        amx::store<amx::SUMS>(to, N * sizeof(float));
        if constexpr (BLOCKS == 2) amx::store<amx::SUMS + 1>(to + LANES, N * sizeof(float));
      }
  } else {
    vector_product<T, M, N, K>(left, right, [&](int row, int column, auto& block) {
      each(block, column, [&](int at, Vector sum) { add_to(sums + row * N + at, sum); });
    });
  }
}

// Words of a column of `rows` rows: the inner dimension of a product over rows.
template <class T>
constexpr int words(int rows) {
  return (rows + T::PAIR - 1) / T::PAIR;
}

// Converts (ROWS, N) from by rows to by tokens, in `room` if the layouts differ. A last row without a
// partner is paired with zeros.
template <class T, int ROWS, int N>
inline const typename T::Element* by_tokens(const typename T::Element* rows, typename T::Element* room) {
  if constexpr (T::PAIR == 1) {
    return rows;
  } else {
    for (int row = 0; row < ROWS; row += 2)
      for (int column = 0; column < N; column += LANES) {
        const auto* at = rows + row * N + column;
        store_pairs(room + row * N + column * 2, at, row + 1 < ROWS ? at + N : nullptr);
      }
    return room;
  }
}

// Transposes `rows` rows of `words` words, `step` words apart, to (words, line): the right operand of
// a product over the columns.
template <class T>
inline void transpose_words(const typename T::Element* from, int step, int rows, int words, typename T::Element* to, int line) {
  for (int row = 0; row < rows; row += LANES)
    for (int word = 0; word < words; word += LANES) {
      const Mask within = first_lanes(words - word);
      Words block[LANES];
      for (int r = 0; r < LANES; ++r)
        block[r] = row + r < rows ? load_words(within, from + ((row + r) * step + word) * T::PAIR)
                                  : zero_words();
      transpose(block);
      for (int w = 0; w < LANES && word + w < words; ++w)
        store_words(first_lanes(rows - row), to + ((word + w) * line + row) * T::PAIR, block[w]);
    }
}

constexpr int whole_lanes(int words) { return (words + LANES - 1) / LANES * LANES; }

// Returns M columns of a matrix by tokens, (K words, `line`), as the rows of a left operand. `room`,
// M * whole_lanes(K) words, is used if the words of a row must be adjacent.
template <class T, int M, int K>
inline Left<T> by_columns(const typename T::Element* tokens, int line, typename T::Element* room) {
  if constexpr (T::TILED) {
    transpose_words<T>(tokens, line, K, M, room, whole_lanes(K));
    return {room, whole_lanes(K), 1};
  } else {
    return {tokens, 1, line};
  }
}

// Adds the sum of the rows to `sums`.
template <class T, int ROWS, int N>
inline void add_rows(const typename T::Element* rows, float* sums) {
  for (int column = 0; column < N; column += LANES) {
    Vector sum = load(sums + column);
    for (int row = 0; row < ROWS; ++row) sum = add(sum, load(rows + row * N + column));
    store(sums + column, sum);
  }
}

// Packs a float32 weight (out, in) as the right operand of x W^T, with inner dimension `in`, or, if
// `transposed`, of x W, with inner dimension `out`.
template <class T>
inline void pack_weight(const float* weight, int out, int in, bool transposed, typename T::Element* packed) {
  const int inner = transposed ? out : in, columns = transposed ? in : out;
  for (int k = 0; k < inner; ++k)
    for (int n = 0; n < columns; ++n) {
      const float value = transposed ? weight[k * in + n] : weight[n * in + k];
      auto* to = packed + (k / T::PAIR * columns + n) * T::PAIR + k % T::PAIR;
      *to = T::rounded(value);
    }
}

}  // namespace derain
