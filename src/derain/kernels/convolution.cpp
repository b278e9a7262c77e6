// 3x3 convolutions in float32 and their gradients by Winograd's algorithm F(4x4, 3x3): for a channel of a
// patch of 4x4 pixels, 36 products instead of 144 (Lavin and Gray, Fast algorithms for convolutional
// neural networks, CVPR 2016). With d the 6x6 pixels around a patch, and g the weight of 3x3 taps:
//
//   y = A^T [(G g G^T) * (B^T d B)] A
//
// Each of the 36 places of the brackets, here a point, is a product of matrices, patches times channels.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>

#include "tile.h"

namespace derain {
namespace {

constexpr int TAPS = 3, PATCH_PX = 4, SIDE = PATCH_PX + TAPS - 1, POINTS = SIDE * SIDE;
constexpr int ROWS = 6, VECTORS = 16 / LANES;  // of a product that is summed in registers
constexpr int BLOCK = 24;                      // patches computed together

// B^T
struct InputTransform {
  static constexpr int FROM = SIDE, TO = SIDE;

  static void apply(const Vector (&d)[FROM], Vector (&v)[TO]) {
    const Vector even = fnmadd(d[2], constant(4.0f), d[4]), odd = fnmadd(d[1], constant(4.0f), d[3]);
    const Vector near = sub(d[4], d[2]), twice = sub(d[3], d[1]), far = add(twice, twice);
    v[0] = fmadd(d[0], constant(4.0f), fnmadd(d[2], constant(5.0f), d[4]));
    v[1] = add(even, odd);
    v[2] = sub(even, odd);
    v[3] = add(near, far);
    v[4] = sub(near, far);
    v[5] = fmadd(d[1], constant(4.0f), fnmadd(d[3], constant(5.0f), d[5]));
  }
};

// A^T
struct OutputTransform {
  static constexpr int FROM = SIDE, TO = PATCH_PX;

  static void apply(const Vector (&m)[FROM], Vector (&y)[TO]) {
    const Vector near = add(m[1], m[2]), far = add(m[3], m[4]);
    const Vector near_slope = sub(m[1], m[2]), far_slope = sub(m[3], m[4]);
    y[0] = add(m[0], add(near, far));
    y[1] = fmadd(far_slope, constant(2.0f), near_slope);
    y[2] = fmadd(far, constant(4.0f), near);
    y[3] = add(m[5], fmadd(far_slope, constant(8.0f), near_slope));
  }
};

// A
struct OutputGradientTransform {
  static constexpr int FROM = PATCH_PX, TO = SIDE;

  static void apply(const Vector (&dy)[FROM], Vector (&dm)[TO]) {
    const Vector near = add(dy[0], dy[2]), near_slope = add(dy[1], dy[3]);
    const Vector far = fmadd(dy[2], constant(4.0f), dy[0]);
    const Vector far_slope = fmadd(dy[3], constant(8.0f), add(dy[1], dy[1]));
    dm[0] = dy[0];
    dm[1] = add(near, near_slope);
    dm[2] = sub(near, near_slope);
    dm[3] = add(far, far_slope);
    dm[4] = sub(far, far_slope);
    dm[5] = dy[3];
  }
};

// G
struct WeightTransform {
  static constexpr int FROM = TAPS, TO = SIDE;

  static void apply(const Vector (&g)[FROM], Vector (&u)[TO]) {
    const Vector near = mul(add(g[0], g[2]), constant(-1.0f / 6)), slope = mul(g[1], constant(1.0f / 12));
    const Vector far = fmadd(g[0], constant(1.0f / 24), mul(g[2], constant(1.0f / 6)));
    u[0] = mul(g[0], constant(0.25f));
    u[1] = sub(near, add(slope, slope));
    u[2] = add(near, add(slope, slope));
    u[3] = add(far, slope);
    u[4] = sub(far, slope);
    u[5] = g[2];
  }
};

// G^T
struct WeightGradientTransform {
  static constexpr int FROM = SIDE, TO = TAPS;

  static void apply(const Vector (&du)[FROM], Vector (&dg)[TO]) {
    const Vector near = mul(add(du[1], du[2]), constant(-1.0f / 6)), far = add(du[3], du[4]);
    const Vector slope = mul(sub(du[2], du[1]), constant(1.0f / 6));
    dg[0] = fmadd(du[0], constant(0.25f), fmadd(far, constant(1.0f / 24), near));
    dg[1] = fmadd(sub(du[3], du[4]), constant(1.0f / 12), slope);
    dg[2] = add(du[5], fmadd(far, constant(1.0f / 6), near));
  }
};

// Transforms a square of vectors, its rows and then its columns. `get(row, column)` returns one of them,
// `set(row, column, vector)` takes one of the result.
template <class Transform, class Get, class Set>
[[gnu::always_inline]] inline void transform_square(Get&& get, Set&& set) {
  Vector half[Transform::TO][Transform::FROM];
  for (int row = 0; row < Transform::FROM; ++row) {
    Vector line[Transform::FROM], transformed[Transform::TO];
    for (int column = 0; column < Transform::FROM; ++column) line[column] = get(row, column);
    Transform::apply(line, transformed);
    for (int column = 0; column < Transform::TO; ++column) half[column][row] = transformed[column];
  }
  for (int column = 0; column < Transform::TO; ++column) {
    Vector transformed[Transform::TO];
    Transform::apply(half[column], transformed);
    for (int row = 0; row < Transform::TO; ++row) set(row, column, transformed[row]);
  }
}

// The patches of maps (N, H, W, C), numbered by picture, row and column. The last ones of a row or a
// column may reach beyond the map.
struct Patches {
  int64_t height, width, rows, columns, count;

  explicit Patches(const at::Tensor& maps)
      : height(maps.size(1)),
        width(maps.size(2)),
        rows((height + PATCH_PX - 1) / PATCH_PX),
        columns((width + PATCH_PX - 1) / PATCH_PX),
        count(maps.size(0) * rows * columns) {}

  int64_t blocks() const { return (count + BLOCK - 1) / BLOCK; }
  int64_t in_block(int64_t block) const { return std::min<int64_t>(BLOCK, count - block * BLOCK); }

  // Finds the pixels of a patch with `margin` more on each side: their places in maps (N, H, W, channels),
  // and `outside` for those beyond the map.
  template <int SIZE, class Number>
  void find(int64_t patch, int64_t margin, Number* maps, int64_t channels, Number* outside, Number* (&pixels)[SIZE][SIZE]) const {
    const int64_t picture = patch / (rows * columns);
    const int64_t top = patch / columns % rows * PATCH_PX - margin, left = patch % columns * PATCH_PX - margin;
    for (int64_t y = top; y < top + SIZE; ++y)
      for (int64_t x = left; x < left + SIZE; ++x) {
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        pixels[y - top][x - left] = inside ? maps + ((picture * height + y) * width + x) * channels : outside;
      }
  }
};

// Memory that is not initialised.
inline std::unique_ptr<float[]> room(int64_t count) { return std::unique_ptr<float[]>(new float[count]); }

// The points of a block of patches, (POINTS, BLOCK, channels). Points are some more apart than their
// matrices need, since the cache holds few lines whose addresses differ by a high power of two.
struct Points {
  int64_t channels, line;
  std::unique_ptr<float[]> numbers;

  explicit Points(int64_t channels) : channels(channels), line(BLOCK * channels + 16), numbers(room(POINTS * line)) {}

  float* at(int point) const { return numbers.get() + point * line; }
};

// Transforms the maps of a block of patches, (N, H, W, channels). What is beyond the map is zero.
template <class Transform>
void to_points(const Patches& patches, int64_t block, const float* maps, const Points& points) {
  constexpr int SIZE = Transform::FROM, MARGIN = (SIZE - PATCH_PX) / 2;
  const std::vector<float> zeros(points.channels);
  for (int64_t i = 0; i < patches.in_block(block); ++i) {
    const float* pixels[SIZE][SIZE];
    patches.find(block * BLOCK + i, MARGIN, maps, points.channels, zeros.data(), pixels);
    for (int64_t channel = 0; channel < points.channels; channel += LANES) {
      float* to = points.at(0) + i * points.channels + channel;
      transform_square<Transform>(
          [&](int row, int column) { return load(pixels[row][column] + channel); },
          [&](int row, int column, Vector value) { store(to + (row * SIDE + column) * points.line, value); });
    }
  }
}

// Writes the maps of a block of patches, (N, H, W, channels), transformed from their points.
void from_points(const Patches& patches, int64_t block, const Points& points, const float* bias, float* maps) {
  std::vector<float> ignored(points.channels);
  for (int64_t i = 0; i < patches.in_block(block); ++i) {
    float* pixels[PATCH_PX][PATCH_PX];
    patches.find(block * BLOCK + i, 0, maps, points.channels, ignored.data(), pixels);
    for (int64_t channel = 0; channel < points.channels; channel += LANES) {
      const float* from = points.at(0) + i * points.channels + channel;
      const Vector added = bias ? load(bias + channel) : constant(0.0f);
      transform_square<OutputTransform>(
          [&](int row, int column) { return load(from + (row * SIDE + column) * points.line); },
          [&](int row, int column, Vector value) { store(pixels[row][column] + channel, add(value, added)); });
    }
  }
}

// Calls `use(row, column, sums)` for each row and each `VECTORS` vectors of columns of a product.
template <class Use>
[[gnu::always_inline]] inline void point_product(Left<Float32> left, Right<Float32> right, int rows, int columns,
                                                 int inner, Use&& use) {
  for (int column = 0; column < columns; column += VECTORS * LANES) {
    int row = 0;
    for (; row + ROWS <= rows; row += ROWS) block_product<Float32, ROWS, VECTORS>(left, right, row, column, inner, use);
    for (; row + 4 <= rows; row += 4) block_product<Float32, 4, VECTORS>(left, right, row, column, inner, use);
    for (; row < rows; ++row) block_product<Float32, 1, VECTORS>(left, right, row, column, inner, use);
  }
}

// Returns the convolution (N, H, W, out) of x (N, H, W, in), padded with zeros, with the taps
// (3, 3, in, out).
at::Tensor convolution(const at::Tensor& x, const at::Tensor& taps, const std::optional<at::Tensor>& bias) {
  const int64_t in = taps.size(2), out = taps.size(3);
  TORCH_CHECK(x.is_contiguous() && taps.is_contiguous() && x.size(3) == in && in % LANES == 0 && out % 16 == 0,
              "derain: no kernel for this memory or these channels");
  const Patches patches(x);
  const auto weights = room(POINTS * in * out);
  for (int64_t at = 0; at < in * out; at += LANES)
    transform_square<WeightTransform>(
        [&](int row, int column) { return load(read<Float32>(taps) + (row * TAPS + column) * in * out + at); },
        [&](int row, int column, Vector value) { store(weights.get() + (row * SIDE + column) * in * out + at, value); });
  at::Tensor y = at::empty({x.size(0), x.size(1), x.size(2), out}, x.options());
  at::parallel_for(0, patches.blocks(), 1, [&](int64_t first, int64_t last) {
    const Points inputs(in), outputs(out);
    for (int64_t block = first; block < last; ++block) {
      to_points<InputTransform>(patches, block, read<Float32>(x), inputs);
      for (int point = 0; point < POINTS; ++point) {
        const Left<Float32> left{inputs.at(point), int(in), 1};
        const Right<Float32> right{weights.get() + point * in * out, int(out)};
        float* to = outputs.at(point);
        point_product(left, right, patches.in_block(block), out, in, [&](int row, int column, auto& sums) {
          each(sums, column, [&](int at, Vector sum) { store(to + row * out + at, sum); });
        });
      }
      from_points(patches, block, outputs, bias ? read<Float32>(*bias) : nullptr, write<Float32>(y));
    }
  });
  return y;
}

// Returns the gradients of the taps, (3, 3, in, out), and of the bias, (out,), for the input
// x (N, H, W, in) and the output's gradient dy (N, H, W, out). The input is padded with zeros.
std::tuple<at::Tensor, at::Tensor> convolution_gradients(const at::Tensor& x, const at::Tensor& dy) {
  const int64_t in = x.size(3), out = dy.size(3), slices = at::get_num_threads();
  TORCH_CHECK(x.is_contiguous() && dy.is_contiguous() && in % LANES == 0 && out % 16 == 0,
              "derain: no kernel for this memory or these channels");
  const Patches patches(x);
  at::Tensor sums = at::zeros({slices, POINTS, in, out}, x.options());
  in_slices(patches.blocks(), [&](int64_t first, int64_t last, int64_t slice) {
    const Points inputs(in), outputs(out);
    for (int64_t block = first; block < last; ++block) {
      to_points<InputTransform>(patches, block, read<Float32>(x), inputs);
      to_points<OutputGradientTransform>(patches, block, read<Float32>(dy), outputs);
      for (int point = 0; point < POINTS; ++point) {
        const Left<Float32> left{inputs.at(point), 1, int(in)};
        const Right<Float32> right{outputs.at(point), int(out)};
        float* to = write<Float32>(sums) + (slice * POINTS + point) * in * out;
        point_product(left, right, in, out, patches.in_block(block), [&](int row, int column, auto& block_sums) {
          each(block_sums, column, [&](int at, Vector sum) { add_to(to + row * out + at, sum); });
        });
      }
    }
  });
  const at::Tensor total = sums.sum(0);
  at::Tensor taps = at::empty({TAPS, TAPS, in, out}, x.options());
  for (int64_t at = 0; at < in * out; at += LANES)
    transform_square<WeightGradientTransform>(
        [&](int row, int column) { return load(read<Float32>(total) + (row * SIDE + column) * in * out + at); },
        [&](int row, int column, Vector value) {
          store(write<Float32>(taps) + (row * TAPS + column) * in * out + at, value);
        });
  return {taps, dy.sum(at::IntArrayRef{0, 1, 2})};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) {
  library.def("convolution(Tensor x, Tensor taps, Tensor? bias) -> Tensor", convolution);
  library.def("convolution_gradients(Tensor x, Tensor dy) -> (Tensor, Tensor)", convolution_gradients);
}

}  // namespace derain
