// The layers of a network: weights packed for the products, and what computes a group of pixels.
#pragma once

#include <cmath>
#include <stdexcept>
#include <vector>

#include "memory.h"
#include "products.h"

namespace derain {

// The parameters of a network in the order of its state dict.
class Parameters {
 public:
  Parameters(const float* values, int64_t count) : at_(values), left_(count) {}

  // Raises std::invalid_argument if there are fewer.
  const float* take(int64_t count) {
    if (count > left_) throw std::invalid_argument("too few parameters");
    left_ -= count;
    return std::exchange(at_, at_ + count);
  }

  bool done() const { return left_ == 0; }

 private:
  const float* at_;
  int64_t left_;
};

constexpr int padded(int channels) { return (channels + 15) / 16 * 16; }

// A linear layer (out, in).
template <class T>
class Linear {
 public:
  Linear(const float* weight, const float* bias, int out, int in) : weight_(size_t(out) * in), bias_(out) {
    pack_weight<T>(weight, out, in, false, weight_.data());
    for (int i = 0; i < out; ++i) bias_.data()[i] = bias ? bias[i] : 0.0f;
  }

  static Linear next(Parameters& parameters, int out, int in) {
    const float* weight = parameters.take(int64_t(out) * in);
    return Linear(weight, parameters.take(out), out, in);
  }

  PackedLayer<T> packed() const { return {weight_.data(), bias_.data()}; }

 private:
  Buffer<typename T::Element> weight_;
  Buffer<float> bias_;
};

// A 3x3 convolution (out, in, 3, 3), as three products of three neighbours each. Inputs and outputs are
// padded to multiples of 16 channels.
template <class T>
class Convolution {
 public:
  Convolution(Parameters& parameters, int out, int in)
      : in_(padded(in)), out_(padded(out)), weight_(size_t(9) * in_ * out_), bias_(out_) {
    const float* weight = parameters.take(int64_t(out) * in * 9);
    const float* bias = parameters.take(out);
    std::vector<float> matrix(size_t(out_) * 3 * in_);
    for (int row = 0; row < 3; ++row) {
      std::fill(matrix.begin(), matrix.end(), 0.0f);
      for (int o = 0; o < out; ++o)
        for (int i = 0; i < in; ++i)
          for (int column = 0; column < 3; ++column)
            matrix[(size_t(o) * 3 + column) * in_ + i] = weight[((int64_t(o) * in + i) * 3 + row) * 3 + column];
      pack_weight<T>(matrix.data(), out_, 3 * in_, false, weight_.data() + size_t(row) * 3 * in_ * out_);
    }
    for (int o = 0; o < out_; ++o) bias_.data()[o] = o < out ? bias[o] : 0.0f;
  }

  int in() const { return in_; }
  int out() const { return out_; }
  const float* bias() const { return bias_.data(); }
  const typename T::Element* row(int row) const { return weight_.data() + size_t(row) * 3 * in_ * out_; }

 private:
  int in_, out_;
  Buffer<typename T::Element> weight_;
  Buffer<float> bias_;
};

// Convolves a group of pixels. `lines` are three rows of pixels of `in` channels, each from the left
// neighbour of the group's first pixel; neighbours of the group are `stride` pixels apart.
template <class T, int OUT, class Use>
[[gnu::always_inline]] inline void convolve(const typename T::Element* const (&lines)[3], const Convolution<T>& layer, int in,
                                            int stride, Use&& use) {
  constexpr int VECTORS = column_vectors(OUT);
  for (int column = 0; column < OUT; column += VECTORS * LANES) {
    Vector sums[GROUP][VECTORS];
    start(sums, layer.bias() + column);
    for (int row = 0; row < 3; ++row)
      accumulate<T>(sums, lines[row], in * stride / T::PAIR, layer.row(row) + column * T::PAIR, OUT, 3 * in / T::PAIR);
    finish(sums, column, use);
  }
}

inline Vector leaky(Vector x, float slope) { return max(x, mul(x, constant(slope))); }

// x Phi(x) for results in bfloat16: Phi is a polynomial between -3.8 and 3.8. The error is below 3e-4.
inline Vector rough_gelu(Vector x) {
  const Vector bounded = max(constant(-3.8f), min(constant(3.8f), x));
  const Vector square = mul(bounded, bounded);
  Vector sum = constant(4.2443286e-8f);
  for (float coefficient : {-2.5808945e-6f, 6.7188281e-5f, -1.0000464e-3f, 9.6893189e-3f, -6.6682674e-2f, 0.3995516f})
    sum = fmadd(sum, square, constant(coefficient));
  return mul(x, fmadd(sum, bounded, constant(0.5f)));
}

// 2 ** x for results in bfloat16, with a relative error below 2e-4; x must be finite.
inline Vector rough_power_of_two(Vector x) {
  const Vector n = nearest(x);
  const Vector r = sub(x, n);
  Vector sum = constant(5.5504109e-2f);
  for (float coefficient : {0.24022651f, 0.69314718f, 1.0f}) sum = fmadd(sum, r, constant(coefficient));
  return times_power_of_two(sum, n);
}

template <class T>
[[gnu::always_inline]] inline Vector activated(Vector x) {
  if constexpr (T::PAIR == 1) return gelu(x).value;
  else return rough_gelu(x);
}

template <class T>
[[gnu::always_inline]] inline Vector exponential(Vector x) {
  if constexpr (T::PAIR == 1) return power_of_two(x);
  else return rough_power_of_two(x);
}

template <class T>
[[gnu::always_inline]] inline Vector bounded_scale(Vector x) {
  if constexpr (T::PAIR == 1) return hyperbolic_tangent(x);
  const Vector square = rough_power_of_two(mul(max(constant(-20.0f), min(constant(20.0f), x)), constant(2 * LOG2_E)));
  return fnmadd(rough_reciprocal(add(square, constant(1.0f))), constant(2.0f), constant(1.0f));
}

// The spatial feature transform (`derain.network.blocks.SFT`): x (1 + tanh(scale(guide))) + shift(guide).
template <class T, int C>
class Sft {
 public:
  explicit Sft(Parameters& parameters)
      : first_(Linear<T>::next(parameters, 2 * C, C)),
        scale_(Linear<T>::next(parameters, C, C)),
        shift_(Linear<T>::next(parameters, C, C)) {}

  // Calls `use(pixel, column, result)` for a group of pixels; those of x and guide are adjacent.
  template <class Use>
  [[gnu::always_inline]] void transform(const typename T::Element* x, const typename T::Element* guide, Use&& use) const {
    alignas(64) typename T::Element hidden[GROUP * 2 * C];
    alignas(64) float scales[GROUP * C];
    multiply<T, C, 2 * C>(guide, words<T>(C), first_.packed(), [&](int pixel, int column, Vector sum) {
      store(hidden + pixel * 2 * C + column, leaky(sum, 0.1f));
    });
    multiply<T, C, C>(hidden, words<T>(2 * C), scale_.packed(), [&](int pixel, int column, Vector sum) {
      store(scales + pixel * C + column, sum);
    });
    for (int i = 0; i < GROUP * C; i += LANES) store(scales + i, bounded_scale<T>(load(scales + i)));
    multiply<T, C, C>(hidden + C, words<T>(2 * C), shift_.packed(), [&](int pixel, int column, Vector sum) {
      const Vector value = load(x + pixel * C + column);
      use(pixel, column, fmadd(value, load(scales + pixel * C + column), add(value, sum)));
    });
  }

 private:
  Linear<T> first_, scale_, shift_;
};

// Normalises rows of C numbers as `nn.LayerNorm` does.
template <class T, int C>
class Norm {
 public:
  explicit Norm(Parameters& parameters) : gain_(C), offset_(C) {
    std::memcpy(gain_.data(), parameters.take(C), sizeof(float) * C);
    std::memcpy(offset_.data(), parameters.take(C), sizeof(float) * C);
  }

  [[gnu::always_inline]] void normalise(const float* row, typename T::Element* out) const {
    Vector x[VECTORS];
    Vector sum = constant(0.0f), squares = constant(0.0f);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) sum = add(sum, x[v] = load(row + v * LANES));
    const Vector mean = mul(total(sum), constant(1.0f / C));
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      x[v] = sub(x[v], mean);
      squares = fmadd(x[v], x[v], squares);
    }
    const Vector factor = inverse_root(fmadd(total(squares), constant(1.0f / C), constant(1e-5f)));
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v)
      store(out + v * LANES, fmadd(mul(x[v], factor), load(gain_.data() + v * LANES), load(offset_.data() + v * LANES)));
  }

 private:
  static constexpr int VECTORS = C / LANES;
  Buffer<float> gain_, offset_;
};

}  // namespace derain
