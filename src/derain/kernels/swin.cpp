// The Swin block of `derain.network.swin.SwinBlock`, forward and backward, one window at a time.
//
// A window is 49 pixels of (N, H, W, C); all that the block computes for it fits into the first two
// caches. The forward pass keeps only its input, and the backward pass computes the window again. Sums
// are float32; factors are rounded to the number type of the picture. C is a multiple of 16: a block
// with fewer `channels` has zeros in the rest of its picture and of its parameters.
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <cmath>
#include <memory>

#include "layer_norm.h"
#include "tile.h"

namespace derain {
namespace {

// Index of the position bias among the parameters, which `fused_swin_block` in fused.py orders.
constexpr int POSITION = 4;

// Shared by all windows of a call: the packed weights, and the terms added to the logits.
template <class T, int C>
struct Weights {
  Weights(const std::vector<at::Tensor>& p, int shift, int channels)
      : channels(channels),
        attention_norm{p[0].const_data_ptr<float>(), p[1].const_data_ptr<float>()},
        qkv(p[2], p[3]),
        projection(p[5], p[6]),
        mlp_norm{p[7].const_data_ptr<float>(), p[8].const_data_ptr<float>()},
        expand(p[9], p[10]),
        contract(p[11], p[12]) {
    const auto* offsets = p[POSITION].const_data_ptr<float>();
    for (int side = 0; side < SIDES; ++side) write_position(side, shift, offsets, &position[side][0][0]);
  }

  int channels;
  Affine attention_norm;
  Layer<T, 3 * C, C> qkv;
  Layer<T, C, C> projection;
  Affine mlp_norm;
  Layer<T, 4 * C, C> expand;
  Layer<T, C, 4 * C> contract;
  alignas(64) float position[SIDES][TILE][KEYS];
};

// Sums of the parameters' gradients over windows.
template <int C>
struct Gradients {
  float attention_gain[C], attention_offset[C];
  LayerGradient<3 * C, C> qkv;
  float position[TILE][KEYS];
  LayerGradient<C, C> projection;
  float mlp_gain[C], mlp_offset[C];
  LayerGradient<4 * C, C> expand;
  LayerGradient<C, 4 * C> contract;

  void add_into(const std::vector<at::Tensor>& sums) const {
    add_sums(attention_gain, sums[0]);
    add_sums(attention_offset, sums[1]);
    qkv.add_into(sums[2], sums[3]);
    auto* offsets = sums[POSITION].mutable_data_ptr<float>();
    for (int query = 0; query < TILE; ++query)
      for (int key = 0; key < TILE; ++key) offsets[relative_position(query, key)] += position[query][key];
    projection.add_into(sums[5], sums[6]);
    add_sums(mlp_gain, sums[7]);
    add_sums(mlp_offset, sums[8]);
    expand.add_into(sums[9], sums[10]);
    contract.add_into(sums[11], sums[12]);
  }
};

// Computes window after window in one thread.
template <class T, int C>
class Block {
 public:
  using Element = typename T::Element;

  // Gradients of the layers are summed only if they are `trainable`.
  explicit Block(const Weights<T, C>& weights, bool trainable = false)
      : weights(weights),
        trainable(trainable),
        scale(1.0f / std::sqrt(float(weights.channels))),
        attention_norm(weights.channels),
        mlp_norm(weights.channels) {}

  void forward(const Element* x, const Place& place, Element* y) {
    attend(x, place);
    Element* hidden = wide;
    product<T, TILE, 4 * C, ROW>(by_rows<T>(normal, C), weights.expand.forth(), [&](int row, int column, auto& sums) {
      const float* bias = weights.expand.bias + column;
      each(sums, [&](int at, Vector sum) {
        store(hidden + row * 4 * C + column + at, gelu(add(sum, load(bias + at))).value);
      });
    });
    product<T, TILE, C, 4 * ROW>(by_rows<T>(hidden, 4 * C), weights.contract.forth(), [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) {
        const Vector bias = load(weights.contract.bias + at);
        store(y + place.pixel[row] + at, add(add(sum, bias), load(middle[row] + at)));
      });
    });
  }

  // Computes dx from x and dy, and adds to `sums`.
  void backward(const Element* x, const Element* dy, const Place& place, Element* dx, Gradients<C>& sums) {
    attend(x, place);
    for (int row = 0; row < TILE; ++row) std::memcpy(d_out + row * C, dy + place.pixel[row], sizeof(Element) * C);
    mlp_backward(sums);
    attention_backward(dx, place, sums);
  }

 private:
  static constexpr int ROW = C / T::PAIR;        // words of a pixel
  static constexpr int TOKENS = words<T>(TILE);  // words of a channel
  static constexpr int WIDE = 4 * C > KEYS ? 4 * C : KEYS;

  // Writes x + attention(norm(x)) to `middle` and its norm to `normal`, and keeps intermediate values
  // for the backward pass.
  void attend(const Element* x, const Place& place) {
    for (int row = 0; row < TILE; ++row) {
      Vector pixel[C / LANES];
      for (int v = 0; v < C / LANES; ++v) pixel[v] = load(x + place.pixel[row] + v * LANES);
      each(pixel, [&](int at, Vector part) { store(middle[row] + at, part); });
      attention_norm.template normalise<T>(row, pixel, weights.attention_norm, attention_normal);
    }
    product<T, TILE, 3 * C, ROW>(
        by_rows<T>(attention_normal, C), weights.qkv.forth(), [&](int row, int column, auto& sums) {
          const float* bias = weights.qkv.bias + column;
          each(sums, [&](int at, Vector sum) {
            store(qkv + row * 3 * C + column + at, add(sum, load(bias + at)));
          });
        });
    qkv_tokens = by_tokens<T, TILE, 3 * C>(qkv, qkv_room);
    transpose_words<T>(qkv + C, 3 * ROW, TILE, ROW, keys, KEYS);
    row_product<T, TILE, KEYS, ROW>(by_rows<T>(qkv, 3 * C), Right<T>{keys, KEYS}, [&](int row, int, auto& sums) {
      softmax(row, sums, LOG2_E * scale, weights.position[place.side][row]);  // e ** x is computed as a power of two
    });
    product<T, TILE, C, TOKENS>(
        by_rows<T>(probability, KEYS), Right<T>{qkv_tokens + 2 * C * T::PAIR, 3 * C}, [&](int row, int column, auto& sums) {
          each(sums, column, [&](int at, Vector sum) { store(context + row * C + at, sum); });
        });
    row_product<T, TILE, C, ROW>(by_rows<T>(context, C), weights.projection.forth(), [&](int row, int, auto& sums) {
      Vector pixel[C / LANES];
      each(sums, [&](int at, Vector sum) {
        const Vector bias = load(weights.projection.bias + at);
        pixel[at / LANES] = add(add(sum, bias), load(middle[row] + at));
        store(middle[row] + at, pixel[at / LANES]);
      });
      mlp_norm.template normalise<T>(row, pixel, weights.mlp_norm, normal);
    });
  }

  void softmax(int row, const Vector (&products)[KEYS / LANES], float scale, const float* position) {
    Vector logits[KEYS / LANES];
    each(products, [&](int at, Vector sum) {
      logits[at / LANES] = fmadd(sum, constant(scale), load(position + at));
    });
    Vector top = logits[0], sum = constant(0.0f);
    for (const Vector& logit : logits) top = max(top, logit);
    top = greatest(top);
    for (Vector& logit : logits) {
      logit = power_of_two(sub(logit, top));
      sum = add(sum, logit);
    }
    const Vector share = reciprocal(total(sum));
    each(logits, [&](int at, Vector weight) {
      store(probability + row * KEYS + at, mul(weight, share));
    });
  }

  // Computes the gradient of `middle` from that of the output in `d_out`.
  void mlp_backward(Gradients<C>& sums) {
    Element* hidden = wide;
    product<T, TILE, 4 * C, ROW>(by_rows<T>(normal, C), weights.expand.forth(), [&](int row, int column, auto& sums) {
      const float* bias = weights.expand.bias + column;
      each(sums, [&](int at, Vector sum) {
        const Gelu activation = gelu(add(sum, load(bias + at)));
        store(hidden + row * 4 * C + column + at, activation.value);
        store(slope + row * 4 * C + column + at, activation.slope);
      });
    });
    if (trainable) sums.contract.template add<T>(d_out, hidden, narrow_room, wide_room);

    Element* d_hidden = wide;  // the hidden values are no longer needed
    product<T, TILE, 4 * C, ROW>(by_rows<T>(d_out, C), weights.contract.back(), [&](int row, int column, auto& sums) {
      each(sums, [&](int at, Vector sum) {
        store(d_hidden + row * 4 * C + column + at, mul(sum, load(slope + row * 4 * C + column + at)));
      });
    });
    if (trainable) sums.expand.template add<T>(d_hidden, normal, wide_room, narrow_room);

    row_product<T, TILE, C, 4 * ROW>(by_rows<T>(d_hidden, 4 * C), weights.expand.back(), [&](int row, int, auto& d_normal) {
      Vector gradient[C / LANES];
      mlp_norm.backward(row, d_normal, weights.mlp_norm.gain, gradient, sums.mlp_gain, sums.mlp_offset);
      each(gradient, [&](int at, Vector part) {
        const Vector whole = add(part, load(d_out + row * C + at));
        store(d_middle[row] + at, whole);
        store(d_out + row * C + at, whole);
      });
    });
  }

  // Computes the gradient of the input from that of `middle`, which is exact in `d_middle` and rounded
  // in `d_out`.
  void attention_backward(Element* dx, const Place& place, Gradients<C>& sums) {
    if (trainable) sums.projection.template add<T>(d_out, context, narrow_room, wide_room);

    Element* d_context = context;  // no longer needed
    product<T, TILE, C, ROW>(by_rows<T>(d_out, C), weights.projection.back(), [&](int row, int column, auto& sums) {
      each(sums, column, [&](int at, Vector sum) { store(d_context + row * C + at, sum); });
    });
    const auto to_d_qkv = [&](int part) {
      return [this, part](int row, int column, auto& sums) {
        each(sums, [&](int at, Vector sum) { store(d_qkv + row * 3 * C + part * C + column + at, sum); });
      };
    };
    const Element* probability_tokens = by_tokens<T, TILE, KEYS>(probability, wide_room);
    const Element* d_context_tokens = by_tokens<T, TILE, C>(d_context, narrow_room);
    product<T, TILE, C, TOKENS>(
        by_columns<T, TILE, TOKENS>(probability_tokens, KEYS, columns_room), Right<T>{d_context_tokens, C}, to_d_qkv(2));

    transpose_words<T>(qkv + 2 * C, 3 * ROW, TILE, ROW, keys, KEYS);  // the values replace the keys
    Element* d_logits = probability;  // overwritten row by row
    row_product<T, TILE, KEYS, ROW>(by_rows<T>(d_context, C), Right<T>{keys, KEYS}, [&](int row, int, auto& d_seen) {
      Vector mean = constant(0.0f);
      each(d_seen, [&](int at, Vector d) { mean = fmadd(d, load(probability + row * KEYS + at), mean); });
      mean = total(mean);
      each(d_seen, [&](int at, Vector d) {
        const Vector d_logit = mul(load(probability + row * KEYS + at), sub(d, mean));
        add_to(sums.position[row] + at, d_logit);
        store(d_logits + row * KEYS + at, mul(d_logit, constant(scale)));
      });
    });
    product<T, TILE, C, TOKENS>(by_rows<T>(d_logits, KEYS), Right<T>{qkv_tokens + C * T::PAIR, 3 * C}, to_d_qkv(0));
    const Element* d_logits_tokens = by_tokens<T, TILE, KEYS>(d_logits, wide_room);
    product<T, TILE, C, TOKENS>(
        by_columns<T, TILE, TOKENS>(d_logits_tokens, KEYS, columns_room), Right<T>{qkv_tokens, 3 * C}, to_d_qkv(1));

    if (trainable) sums.qkv.template add<T>(d_qkv, attention_normal, wide_room, narrow_room);

    row_product<T, TILE, C, 3 * ROW>(by_rows<T>(d_qkv, 3 * C), weights.qkv.back(), [&](int row, int, auto& d_normal) {
      Vector gradient[C / LANES];
      attention_norm.backward(
          row, d_normal, weights.attention_norm.gain, gradient, sums.attention_gain, sums.attention_offset);
      each(gradient, [&](int at, Vector part) {
        store(dx + place.pixel[row] + at, add(part, load(d_middle[row] + at)));
      });
    });
  }

  const Weights<T, C>& weights;
  const bool trainable;
  const float scale;  // of the logits
  Multiplier<T> multiplier;
  LayerNorm<C, TILE> attention_norm, mlp_norm;
  const Element* qkv_tokens = nullptr;
  alignas(64) float middle[TILE][C], d_middle[TILE][C];
  alignas(64) Element attention_normal[TILE * C], normal[TILE * C], context[TILE * C], d_out[TILE * C];
  alignas(64) Element qkv[TILE * 3 * C], d_qkv[TILE * 3 * C], probability[TILE * KEYS], wide[TILE * WIDE], slope[TILE * 4 * C];
  alignas(64) Element qkv_room[PAIRED_TILE<T> * 3 * C], narrow_room[PAIRED_TILE<T> * C], wide_room[PAIRED_TILE<T> * WIDE];
  alignas(64) Element columns_room[T::TILED ? TILE * whole_lanes(TOKENS) * T::PAIR : 1];
  alignas(64) Element keys[ROW * KEYS * T::PAIR] = {};  // by channels; the columns past TILE stay zero
};

template <class T, int C>
void run_forward(const at::Tensor& x, const std::vector<at::Tensor>& parameters, int shift, int channels, const at::Tensor& y) {
  const Grid grid{x.size(1), x.size(2), C, shift};
  const auto weights = std::make_unique<Weights<T, C>>(parameters, shift, channels);
  const auto* from = read<T>(x);
  auto* to = write<T>(y);
  in_slices(grid.windows(x.size(0)), [&](int64_t first, int64_t last, int64_t) {
    const auto block = std::make_unique<Block<T, C>>(*weights);
    for (int64_t window = first; window < last; ++window) block->forward(from, grid.place(window), to);
  });
}

template <class T, int C>
void run_backward(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& parameters, int shift, int channels,
                  const at::Tensor& dx, const std::vector<at::Tensor>& gradients) {
  const Grid grid{x.size(1), x.size(2), C, shift};
  const auto weights = std::make_unique<Weights<T, C>>(parameters, shift, channels);
  const auto* from = read<T>(x);
  const auto* d_from = read<T>(dy);
  auto* to = write<T>(dx);
  std::vector<std::unique_ptr<Gradients<C>>> sums(at::get_num_threads());
  in_slices(grid.windows(x.size(0)), [&](int64_t first, int64_t last, int64_t slice) {
    const auto block = std::make_unique<Block<T, C>>(*weights, !gradients.empty());
    sums[slice] = std::make_unique<Gradients<C>>();
    for (int64_t window = first; window < last; ++window)
      block->backward(from, d_from, grid.place(window), to, *sums[slice]);
  });
  if (gradients.empty()) return;
  for (const auto& sum : sums) sum->add_into(gradients);
}

at::Tensor swin_forward(const at::Tensor& x, const std::vector<at::Tensor>& parameters, int64_t shift, int64_t channels) {
  at::Tensor y = at::empty_like(x);
  dispatch(x, [&](auto type, auto padded) { run_forward<decltype(type), padded()>(x, parameters, shift, channels, y); });
  return y;
}

// Returns dx and, if `trainable`, the gradients of the parameters.
std::vector<at::Tensor> swin_backward(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& parameters,
                                      int64_t shift, int64_t channels, bool trainable) {
  std::vector<at::Tensor> gradients;
  if (trainable) gradients = zeros_like_each(parameters);
  at::Tensor dx = at::empty_like(x);
  dispatch(x, [&](auto type, auto padded) {
    run_backward<decltype(type), padded()>(x, dy, parameters, shift, channels, dx, gradients);
  });
  gradients.insert(gradients.begin(), dx);
  return gradients;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) {
  library.def("swin_forward(Tensor x, Tensor[] parameters, int shift, int channels) -> Tensor", swin_forward);
  library.def("swin_backward(Tensor x, Tensor dy, Tensor[] parameters, int shift, int channels, bool trainable) -> Tensor[]",
              swin_backward);
}

}  // namespace derain
