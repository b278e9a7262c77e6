// The gradients of the weight and the bias of a 3x3 convolution in float32. oneDNN needs two to three
// times as long for them as for the other passes on processors with AVX2.
#include <torch/library.h>

#include <tuple>

#include "tile.h"

namespace derain {
namespace {

constexpr int TAPS = 3;
constexpr int ROWS = 4;  // input channels that are summed in registers at once

// Adds to sums (TAPS, in, out) the products of a row of the input (width, in) with a row of the output's
// gradient (width, out), for one row of taps. A pixel of the input meets the output's pixel to its right
// in the first tap, its own in the second, and the one to its left in the third.
void add_row(const float* x, const float* dy, int64_t width, int64_t in, int64_t out, float* sums) {
  for (int64_t row = 0; row < in; row += ROWS)
    for (int64_t column = 0; column < out; column += LANES) {
      float* block = sums + row * out + column;
      Vector parts[TAPS][ROWS];
      for (int tap = 0; tap < TAPS; ++tap)
        for (int r = 0; r < ROWS; ++r) parts[tap][r] = load(block + (tap * in + r) * out);
      const float* pixel = x + row;
      const float* next = dy + column;
      Vector right = load(next), own = constant(0.0f), left;
      for (int64_t i = 0; i < width; ++i, pixel += in) {
        left = own;
        own = right;
        next += out;
        right = i + 1 < width ? load(next) : constant(0.0f);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) {
          const Vector value = constant(pixel[r]);
          parts[0][r] = fmadd(value, right, parts[0][r]);
          parts[1][r] = fmadd(value, own, parts[1][r]);
          parts[2][r] = fmadd(value, left, parts[2][r]);
        }
      }
      for (int tap = 0; tap < TAPS; ++tap)
        for (int r = 0; r < ROWS; ++r) store(block + (tap * in + r) * out, parts[tap][r]);
    }
}

// Adds the pixels of a row (width, out) to sums (out).
void add_pixels(const float* dy, int64_t width, int64_t out, float* sums) {
  for (int64_t column = 0; column < out; column += LANES) {
    Vector sum = load(sums + column);
    for (int64_t i = 0; i < width; ++i) sum = add(sum, load(dy + i * out + column));
    store(sums + column, sum);
  }
}

// Returns the gradients of the weight, (out, in, 3, 3), and of the bias, (out,), for the input
// x (N, H, W, in) and the output's gradient dy (N, H, W, out). The input is padded with zeros.
std::tuple<at::Tensor, at::Tensor> convolution_gradients(const at::Tensor& x, const at::Tensor& dy) {
  const int64_t height = x.size(1), width = x.size(2), in = x.size(3), out = dy.size(3);
  TORCH_CHECK(x.is_contiguous() && dy.is_contiguous() && in % ROWS == 0 && out % LANES == 0,
              "derain: no kernel for this memory or these channels");
  const int64_t slices = at::get_num_threads();
  at::Tensor weight_sums = at::zeros({slices, TAPS, TAPS, in, out}, x.options());
  at::Tensor bias_sums = at::zeros({slices, out}, x.options());
  in_slices(x.size(0) * height, [&](int64_t first, int64_t last, int64_t slice) {
    float* weight = write<Float32>(weight_sums) + slice * TAPS * TAPS * in * out;
    for (int64_t at = first; at < last; ++at) {
      const float* row = read<Float32>(dy) + at * width * out;
      add_pixels(row, width, out, write<Float32>(bias_sums) + slice * out);
      for (int tap = 0; tap < TAPS; ++tap) {
        const int64_t above = tap - 1;
        if (at % height + above < 0 || at % height + above >= height) continue;
        const float* pixels = read<Float32>(x) + (at + above) * width * in;
        add_row(pixels, row, width, in, out, weight + tap * TAPS * in * out);
      }
    }
  });
  return {weight_sums.sum(0).permute({3, 2, 0, 1}), bias_sums.sum(0)};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) {
  library.def("convolution_gradients(Tensor x, Tensor dy) -> (Tensor, Tensor)", convolution_gradients);
}

}  // namespace derain
