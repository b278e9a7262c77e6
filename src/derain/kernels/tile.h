// Shared by the kernels: tiles of pixels, threads, and the dispatch from a tensor to its kernel.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <type_traits>
#include <vector>

#include "product.h"
#include "windows.h"

namespace derain {

// A matrix (rows, columns) as a left operand. For a part of wider rows, `columns` is the full width.
template <class T>
inline Left<T> by_rows(const typename T::Element* rows, int columns) {
  return {rows, columns / T::PAIR, 1};
}

// Rows of a tile by tokens, rounded up to whole pairs.
template <class T>
constexpr int PAIRED_TILE = words<T>(TILE) * T::PAIR;

// The weight (OUT, IN) of a linear layer, packed for the forward and the backward product, and its
// bias.
template <class T, int OUT, int IN>
struct Layer {
  Layer(const at::Tensor& weight, const at::Tensor& bias) : bias(bias.const_data_ptr<float>()) {
    pack_weight<T>(weight.const_data_ptr<float>(), OUT, IN, false, forth_);
    pack_weight<T>(weight.const_data_ptr<float>(), OUT, IN, true, back_);
  }

  Right<T> forth() const { return {forth_, OUT}; }
  Right<T> back() const { return {back_, IN}; }

  const float* bias;

 private:
  alignas(64) typename T::Element forth_[OUT * IN], back_[OUT * IN];
};

inline void add_sums(const float* from, const at::Tensor& sum) {
  auto* to = sum.mutable_data_ptr<float>();
  for (int64_t i = 0; i < sum.numel(); ++i) to[i] += from[i];
}

// Sums of a layer's gradients. Rows of the weight's are its narrower side, which is fastest in
// `add_product`.
template <int OUT, int IN>
struct LayerGradient {
  float weight[OUT * IN], bias[OUT];

  // Adds d_out^T in to the weight's and d_out to the bias's gradient for the pixels of a tile. Both are
  // by rows; each room holds its matrix by tokens.
  template <class T>
  void add(const typename T::Element* d_out, const typename T::Element* in, typename T::Element* out_room,
           typename T::Element* in_room) {
    add_weight<T>(by_tokens<T, TILE, OUT>(d_out, out_room), by_tokens<T, TILE, IN>(in, in_room), IN);
    add_rows<T, TILE, OUT>(d_out, bias);
  }

  // Adds d_out^T in to the weight's gradient for the pixels of a tile. Both are by tokens, those of `in`
  // `in_line` words apart.
  template <class T>
  void add_weight(const typename T::Element* d_out, const typename T::Element* in, int in_line) {
    constexpr int M = OUT < IN ? OUT : IN, N = OUT < IN ? IN : OUT, K = words<T>(TILE);
    alignas(64) typename T::Element room[T::TILED ? M * whole_lanes(K) * T::PAIR : 1];
    if constexpr (OUT < IN)
      add_product<T, M, N, K>(by_columns<T, M, K>(d_out, OUT, room), Right<T>{in, in_line}, weight);
    else
      add_product<T, M, N, K>(by_columns<T, M, K>(in, in_line, room), Right<T>{d_out, OUT}, weight);
  }

  void add_into(const at::Tensor& weight_sum, const at::Tensor& bias_sum) const {
    auto* to = weight_sum.mutable_data_ptr<float>();
    for (int out = 0; out < OUT; ++out)
      for (int in = 0; in < IN; ++in) to[out * IN + in] += OUT < IN ? weight[out * IN + in] : weight[in * OUT + out];
    add_sums(bias, bias_sum);
  }
};

// While an instance exists, its thread can compute products of T.
template <class T>
class Multiplier {
  std::conditional_t<T::TILED, amx::Registers, char> registers{};
};

// True if the matrix unit multiplies bfloat16; set by `use_matrix_unit`.
bool& tiled();

// Calls `work(first, last, slice)` for equal slices of `count`, one for each thread. The sums of a slice,
// and the order in which slices are added, depend on the number of threads alone.
template <class Work>
void in_slices(int64_t count, const Work& work) {
  const int64_t slices = at::get_num_threads();
  at::parallel_for(0, slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slice = begin; slice < end; ++slice) work(count * slice / slices, count * (slice + 1) / slices, slice);
  });
}

// Calls `run(number type, std::integral_constant<int, C>)` for the number type and the channels of x,
// (N, H, W, C).
template <class Run>
void dispatch(const at::Tensor& x, const Run& run) {
  TORCH_CHECK(x.is_contiguous() && x.size(0) * x.size(1) * x.size(2) % TILE == 0, "derain: no kernel for this memory or size");
  const auto with_channels = [&](auto type) {
    switch (x.size(3)) {
      case 16: return run(type, std::integral_constant<int, 16>());
      case 32: return run(type, std::integral_constant<int, 32>());
      case 48: return run(type, std::integral_constant<int, 48>());
      case 64: return run(type, std::integral_constant<int, 64>());
      default: TORCH_CHECK(false, "derain: no kernel for ", x.size(3), " channels");
    }
  };
  if (x.scalar_type() == at::kFloat) return with_channels(Float32());
#ifdef __AVX512F__
  if (x.scalar_type() == at::kBFloat16 && tiled()) return with_channels(TiledBFloat16());
  if (x.scalar_type() == at::kBFloat16) return with_channels(BFloat16());
#endif
  TORCH_CHECK(false, "derain: no kernel for ", x.scalar_type());
}

template <class T>
const typename T::Element* read(const at::Tensor& x) {
  return static_cast<const typename T::Element*>(x.const_data_ptr());
}

template <class T>
typename T::Element* write(const at::Tensor& x) {
  return static_cast<typename T::Element*>(x.mutable_data_ptr());
}

inline std::vector<at::Tensor> zeros_like_each(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> zeros;
  for (const auto& parameter : parameters) zeros.push_back(at::zeros(parameter.sizes(), parameter.options()));
  return zeros;
}

}  // namespace derain
