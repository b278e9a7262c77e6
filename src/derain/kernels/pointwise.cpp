// The pixelwise parts of PLNLIM, forward and backward, one tile of pixels at a time: the spatial feature
// transform (`derain.network.blocks.SFT`), and the fusion of two or three feature maps by a 1x1
// convolution (`derain.network.blocks.Fusion`).
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <memory>
#include <utility>

#include "tile.h"

namespace derain {
namespace {

constexpr float LEAK = 0.1f;  // of SFT's LeakyReLU

Vector leaky(Vector x) { return max(x, mul(x, constant(LEAK))); }

// The slope of `leaky` where its result is `value`: 1 if that is positive, else LEAK.
Vector leaky_slope(Vector value) {
  return select(less(constant(0.0f), value), constant(1.0f), constant(LEAK));
}

template <class T, int C>
struct SftWeights {
  explicit SftWeights(const std::vector<at::Tensor>& p) : first(p[0], p[1]), scale(p[2], p[3]), shift(p[4], p[5]) {}

  Layer<T, 2 * C, C> first;
  Layer<T, C, C> scale, shift;
};

template <int C>
struct SftGradients {
  LayerGradient<2 * C, C> first;
  LayerGradient<C, C> scale, shift;

  void add_into(const std::vector<at::Tensor>& sums) const {
    first.add_into(sums[0], sums[1]);
    scale.add_into(sums[2], sums[3]);
    shift.add_into(sums[4], sums[5]);
  }
};

// Computes y = x (1 + tanh(scale(guide))) + shift(guide), tile by tile in one thread.
template <class T, int C>
class Sft {
 public:
  using Element = typename T::Element;

  explicit Sft(const SftWeights<T, C>& weights) : weights(weights) {}

  void forward(const Element* x, const Element* guide, Element* y) {
    compute_hidden(guide);
    scale_by([&](int row, int at, Vector scale) { store(scales[row] + at, scale); });
    product<T, TILE, C, ROW>(by_rows<T>(hidden + C, 2 * C), weights.shift.forth(), [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) {
        const Vector value = load(x + row * C + at), shift = add(sum, load(weights.shift.bias + at));
        store(y + row * C + at, fmadd(value, load(scales[row] + at), add(value, shift)));
      });
    });
  }

  // Computes dx and d_guide, and adds to `sums` unless it is null.
  void backward(const Element* x, const Element* guide, const Element* dy, Element* dx, Element* d_guide, SftGradients<C>* sums) {
    compute_hidden(guide);
    scale_by([&](int row, int at, Vector scale) {
      const Vector d = load(dy + row * C + at);
      store(dx + row * C + at, fmadd(d, scale, d));
      const Vector slope = fnmadd(scale, scale, constant(1.0f));
      store(d_scale + row * C + at, mul(mul(d, slope), load(x + row * C + at)));
    });
    if (sums) {
      const Element* hidden_tokens = by_tokens<T, TILE, 2 * C>(hidden, hidden_room);
      sums->scale.template add_weight<T>(by_tokens<T, TILE, C>(d_scale, room), hidden_tokens, 2 * C);
      add_rows<T, TILE, C>(d_scale, sums->scale.bias);
      sums->shift.template add_weight<T>(by_tokens<T, TILE, C>(dy, room), hidden_tokens + C * T::PAIR, 2 * C);
      add_rows<T, TILE, C>(dy, sums->shift.bias);
    }
    hidden_backward(d_scale, weights.scale.back(), 0);
    hidden_backward(dy, weights.shift.back(), C);
    if (sums) sums->first.template add<T>(d_hidden, guide, hidden_room, room);
    product<T, TILE, C, 2 * ROW>(by_rows<T>(d_hidden, 2 * C), weights.first.back(), [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) { store(d_guide + row * C + at, sum); });
    });
  }

 private:
  static constexpr int ROW = C / T::PAIR;  // words of a pixel

  // Computes the first layers of both paths: the channels of the scale, then those of the shift.
  void compute_hidden(const Element* guide) {
    product<T, TILE, 2 * C, ROW>(by_rows<T>(guide, C), weights.first.forth(), [&](int row, int column, auto& sums) {
      each(sums, [&](int at, Vector sum) {
        const Vector bias = load(weights.first.bias + column + at);
        store(hidden + row * 2 * C + column + at, leaky(add(sum, bias)));
      });
    });
  }

  // Calls `use(row, column, scale)` for each vector of the bounded scale.
  template <class Use>
  [[gnu::always_inline]] void scale_by(Use&& use) {
    product<T, TILE, C, ROW>(by_rows<T>(hidden, 2 * C), weights.scale.forth(), [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) {
        use(row, at, hyperbolic_tangent(add(sum, load(weights.scale.bias + at))));
      });
    });
  }

  void hidden_backward(const Element* d_out, Right<T> weight, int first_column) {
    product<T, TILE, C, ROW>(by_rows<T>(d_out, C), weight, [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) {
        const int here = row * 2 * C + first_column + at;
        store(d_hidden + here, mul(sum, leaky_slope(load(hidden + here))));
      });
    });
  }

  const SftWeights<T, C>& weights;
  Multiplier<T> multiplier;
  alignas(64) float scales[TILE][C];
  alignas(64) Element hidden[TILE * 2 * C], d_hidden[TILE * 2 * C], d_scale[TILE * C];
  alignas(64) Element room[PAIRED_TILE<T> * C], hidden_room[PAIRED_TILE<T> * 2 * C];
};

at::Tensor sft_forward(const at::Tensor& x, const at::Tensor& guide, const std::vector<at::Tensor>& parameters) {
  at::Tensor y = at::empty_like(x);
  dispatch(x, [&](auto type, auto channels) {
    using T = decltype(type);
    constexpr int C = channels(), STEP = TILE * C;
    const auto weights = std::make_unique<SftWeights<T, C>>(parameters);
    in_slices(x.numel() / STEP, [&](int64_t first, int64_t last, int64_t) {
      const auto sft = std::make_unique<Sft<T, C>>(*weights);
      for (int64_t at = first * STEP; at < last * STEP; at += STEP)
        sft->forward(read<T>(x) + at, read<T>(guide) + at, write<T>(y) + at);
    });
  });
  return y;
}

// Returns dx, d_guide and, if `trainable`, the gradients of the parameters.
std::vector<at::Tensor> sft_backward(const at::Tensor& x, const at::Tensor& guide, const at::Tensor& dy,
                                     const std::vector<at::Tensor>& parameters, bool trainable) {
  at::Tensor dx = at::empty_like(x), d_guide = at::empty_like(guide);
  std::vector<at::Tensor> gradients;
  if (trainable) gradients = zeros_like_each(parameters);
  dispatch(x, [&](auto type, auto channels) {
    using T = decltype(type);
    constexpr int C = channels(), STEP = TILE * C;
    const auto weights = std::make_unique<SftWeights<T, C>>(parameters);
    std::vector<std::unique_ptr<SftGradients<C>>> sums(at::get_num_threads());
    in_slices(x.numel() / STEP, [&](int64_t first, int64_t last, int64_t slice) {
      const auto sft = std::make_unique<Sft<T, C>>(*weights);
      if (trainable) sums[slice] = std::make_unique<SftGradients<C>>();
      for (int64_t at = first * STEP; at < last * STEP; at += STEP)
        sft->backward(read<T>(x) + at, read<T>(guide) + at, read<T>(dy) + at, write<T>(dx) + at, write<T>(d_guide) + at,
                      sums[slice].get());
    });
    if (trainable)
      for (const auto& sum : sums) sum->add_into(gradients);
  });
  gradients.insert(gradients.begin(), {dx, d_guide});
  return gradients;
}

// Concatenates the pixels of the maps, (TILE, MAPS * C), as `torch.cat` does for the whole picture.
template <class T, int C, int MAPS>
void join(const std::vector<at::Tensor>& maps, int64_t from, typename T::Element* joined) {
  for (int map = 0; map < MAPS; ++map) {
    const auto* pixels = read<T>(maps[map]) + from;
    for (int row = 0; row < TILE; ++row) std::memcpy(joined + (row * MAPS + map) * C, pixels + row * C, sizeof *joined * C);
  }
}

template <class T, int C, int MAPS>
void fuse(const std::vector<at::Tensor>& maps, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& y) {
  constexpr int WIDE = MAPS * C, STEP = TILE * C;
  const auto layer = std::make_unique<Layer<T, C, WIDE>>(weight, bias);
  in_slices(y.numel() / STEP, [&](int64_t first, int64_t last, int64_t) {
    const Multiplier<T> multiplier;
    alignas(64) typename T::Element joined[TILE * WIDE];
    for (int64_t from = first * STEP; from < last * STEP; from += STEP) {
      join<T, C, MAPS>(maps, from, joined);
      auto* out = write<T>(y) + from;
      product<T, TILE, C, WIDE / T::PAIR>(by_rows<T>(joined, WIDE), layer->forth(), [&](int row, int column, auto& sums) {
        each(sums, column, [&](int at, Vector sum) {
          store(out + row * C + at, add(sum, load(layer->bias + at)));
        });
      });
    }
  });
}

template <class T, int C, int MAPS>
void fuse_backward(const std::vector<at::Tensor>& maps, const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& bias,
                   const std::vector<at::Tensor>& d_maps, const std::vector<at::Tensor>& d_layer) {
  constexpr int WIDE = MAPS * C, STEP = TILE * C;
  const auto layer = std::make_unique<Layer<T, C, WIDE>>(weight, bias);
  std::vector<std::unique_ptr<LayerGradient<C, WIDE>>> sums(at::get_num_threads());
  in_slices(dy.numel() / STEP, [&](int64_t first, int64_t last, int64_t slice) {
    const Multiplier<T> multiplier;
    alignas(64) typename T::Element joined[TILE * WIDE], joined_room[PAIRED_TILE<T> * WIDE], room[PAIRED_TILE<T> * C];
    if (!d_layer.empty()) sums[slice] = std::make_unique<LayerGradient<C, WIDE>>();
    for (int64_t from = first * STEP; from < last * STEP; from += STEP) {
      const auto* d_out = read<T>(dy) + from;
      typename T::Element* d_pixels[MAPS];
      for (int map = 0; map < MAPS; ++map) d_pixels[map] = write<T>(d_maps[map]) + from;
      if (sums[slice]) {
        join<T, C, MAPS>(maps, from, joined);
        sums[slice]->template add<T>(d_out, joined, room, joined_room);
      }
      product<T, TILE, WIDE, C / T::PAIR>(by_rows<T>(d_out, C), layer->back(), [&](int row, int column, auto& parts) {
        each(parts, [&](int at, Vector part) {
          const int map = (column + at) / C, channel = (column + at) % C;
          store(d_pixels[map] + row * C + channel, part);
        });
      });
    }
  });
  if (d_layer.empty()) return;
  for (const auto& sum : sums) sum->add_into(d_layer[0], d_layer[1]);
}

// Calls `run(number type, channels, number of maps)`.
template <class Run>
void dispatch_maps(const std::vector<at::Tensor>& maps, const Run& run) {
  dispatch(maps[0], [&](auto type, auto channels) {
    switch (maps.size()) {
      case 2: return run(type, channels, std::integral_constant<int, 2>());
      case 3: return run(type, channels, std::integral_constant<int, 3>());
      default: TORCH_CHECK(false, "derain: no kernel for ", maps.size(), " maps");
    }
  });
}

at::Tensor fusion_forward(const std::vector<at::Tensor>& maps, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y = at::empty_like(maps[0]);
  dispatch_maps(maps, [&](auto type, auto channels, auto count) {
    fuse<decltype(type), channels(), count()>(maps, weight, bias, y);
  });
  return y;
}

// Returns the gradients of the maps and, if `trainable`, of the weight and the bias.
std::vector<at::Tensor> fusion_backward(const std::vector<at::Tensor>& maps, const at::Tensor& dy, const at::Tensor& weight,
                                        const at::Tensor& bias, bool trainable) {
  std::vector<at::Tensor> gradients;
  for (const auto& map : maps) gradients.push_back(at::empty_like(map));
  std::vector<at::Tensor> d_layer;
  if (trainable) d_layer = zeros_like_each({weight, bias});
  dispatch_maps(maps, [&](auto type, auto channels, auto count) {
    fuse_backward<decltype(type), channels(), count()>(maps, dy, weight, bias, gradients, d_layer);
  });
  gradients.insert(gradients.end(), d_layer.begin(), d_layer.end());
  return gradients;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) {
  library.def("sft_forward(Tensor x, Tensor guide, Tensor[] parameters) -> Tensor", sft_forward);
  library.def("sft_backward(Tensor x, Tensor guide, Tensor dy, Tensor[] parameters, bool trainable) -> Tensor[]", sft_backward);
  library.def("fusion_forward(Tensor[] maps, Tensor weight, Tensor bias) -> Tensor", fusion_forward);
  library.def("fusion_backward(Tensor[] maps, Tensor dy, Tensor weight, Tensor bias, bool trainable) -> Tensor[]", fusion_backward);
}

}  // namespace derain
