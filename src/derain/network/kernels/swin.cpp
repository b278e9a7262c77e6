// The Swin block of `derain.network.swin.SwinBlock`, forward and backward, one window at a time.
//
// A window is 49 pixels of (N, H, W, C): everything that the block computes for it lies in the first two caches. The forward
// pass keeps nothing but its input; the backward pass computes the window again. Sums are float32 throughout; what is multiplied
// is rounded to the number type of the picture first.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <limits>
#include <memory>
#include <vector>

#include "layer_norm.h"
#include "product.h"

namespace derain {
namespace {

constexpr int WINDOW = 7, AREA = WINDOW * WINDOW;
constexpr int KEYS = 64;  // the columns of the logits: AREA, and a blocked rest that fills the vectors
constexpr int OFFSETS = 2 * WINDOW - 1;
constexpr int SIDES = 4;  // a shifted window may cross the bottom edge, the right edge, both or none
constexpr float INFINITE = std::numeric_limits<float>::infinity();
constexpr float EPSILON = 1e-5f;  // of nn.LayerNorm

// The order in which Python gives parameters and is given their gradients.
enum Parameter {
  ATTENTION_GAIN,
  ATTENTION_OFFSET,
  QKV,
  QKV_BIAS,
  POSITION,
  PROJECTION,
  PROJECTION_BIAS,
  MLP_GAIN,
  MLP_OFFSET,
  EXPAND,
  EXPAND_BIAS,
  CONTRACT,
  CONTRACT_BIAS,
  PARAMETERS
};

int relative_position(int query, int key) {
  const int rows = query / WINDOW - key / WINDOW, columns = query % WINDOW - key % WINDOW;
  return (rows + WINDOW - 1) * OFFSETS + columns + WINDOW - 1;
}

// Whether two pixels of a window that crosses these edges come from opposite edges of the picture (`swin.shift_mask`).
bool blocked(int side, int query, int key, int shift) {
  const auto wrapped = [&](int at) { return at >= WINDOW - shift; };
  const bool rows = (side & 1) && wrapped(query / WINDOW) != wrapped(key / WINDOW);
  const bool columns = (side & 2) && wrapped(query % WINDOW) != wrapped(key % WINDOW);
  return rows || columns;
}

// What all windows of a call share: the weights in the layouts of the products, and what is added to the logits.
template <class T, int C>
struct Weights {
  using Element = typename T::Element;

  Weights(const std::vector<at::Tensor>& parameters, int shift) {
    for (int i = 0; i < PARAMETERS; ++i) plain[i] = parameters[i].const_data_ptr<float>();
    pack(QKV, 3 * C, C, qkv, qkv_back);
    pack(PROJECTION, C, C, projection, projection_back);
    pack(EXPAND, 4 * C, C, expand, expand_back);
    pack(CONTRACT, C, 4 * C, contract, contract_back);
    for (int side = 0; side < SIDES; ++side)
      for (int query = 0; query < AREA; ++query)
        for (int key = 0; key < KEYS; ++key)
          position[side][query][key] = key >= AREA || blocked(side, query, key, shift)
                                           ? -INFINITE
                                           : plain[POSITION][relative_position(query, key)];
  }

  void pack(Parameter which, int out, int in, Element* forth, Element* back) {
    pack_weight<T>(plain[which], out, in, false, forth);
    pack_weight<T>(plain[which], out, in, true, back);
  }

  const float* plain[PARAMETERS];
  alignas(64) Element qkv[3 * C * C], qkv_back[3 * C * C];
  alignas(64) Element projection[C * C], projection_back[C * C];
  alignas(64) Element expand[4 * C * C], expand_back[4 * C * C];
  alignas(64) Element contract[4 * C * C], contract_back[4 * C * C];
  alignas(64) float position[SIDES][AREA][KEYS];
};

// Where the pixels of a window lie, as offsets of their first channel.
struct Place {
  int64_t pixel[AREA];
  int side;
};

// The windows of an (N, H, W, C) picture after a cyclic shift, which is never carried out.
struct Grid {
  int64_t height, width, channels;
  int shift;

  int64_t windows(int64_t pictures) const { return pictures * (height / WINDOW) * (width / WINDOW); }

  Place place(int64_t window) const {
    const int64_t across = width / WINDOW, down = height / WINDOW;
    const int64_t left = window % across, top = window / across % down, picture = window / across / down;
    Place place;
    place.side = shift ? (top == down - 1) + 2 * (left == across - 1) : 0;
    for (int i = 0; i < AREA; ++i) {
      const int64_t row = (top * WINDOW + i / WINDOW + shift) % height;
      const int64_t column = (left * WINDOW + i % WINDOW + shift) % width;
      place.pixel[i] = ((picture * height + row) * width + column) * channels;
    }
    return place;
  }
};

// Sums over windows of the parameters' gradients, in the layouts of the parameters, but for the position bias.
template <int C>
struct Gradients {
  float attention_gain[C], attention_offset[C], qkv[3 * C * C], qkv_bias[3 * C];
  float position[AREA][KEYS];
  float projection[C * C], projection_bias[C], mlp_gain[C], mlp_offset[C];
  float expand[4 * C * C], expand_bias[4 * C], contract[4 * C * C], contract_bias[C];

  void add_into(const std::vector<at::Tensor>& sums) const {
    const float* const plain[PARAMETERS] = {attention_gain,  attention_offset, qkv,        qkv_bias, nullptr,
                                            projection,      projection_bias,  mlp_gain,   mlp_offset, expand,
                                            expand_bias,     contract,         contract_bias};
    for (int i = 0; i < PARAMETERS; ++i) {
      auto* sum = sums[i].template mutable_data_ptr<float>();
      if (i != POSITION)
        for (int64_t k = 0; k < sums[i].numel(); ++k) sum[k] += plain[i][k];
      else
        for (int query = 0; query < AREA; ++query)
          for (int key = 0; key < AREA; ++key) sum[relative_position(query, key)] += position[query][key];
    }
  }
};

// The computation of one window after another in one thread.
template <class T, int C>
class Block {
 public:
  using Element = typename T::Element;

  explicit Block(const Weights<T, C>& weights) : weights(weights) {}

  void forward(const Element* x, const Place& place, Element* y) {
    attend(x, place);
    Element* hidden = wide;
    product<T, AREA, 4 * C, ROW>(by_rows(normal, C), Right<T>{weights.expand, 4 * C}, [&](int row, int column, auto& sums) {
      const float* bias = weights.plain[EXPAND_BIAS] + column;
      each(sums, [&](int at, __m512 sum) {
        T::store(hidden + row * 4 * C + column + at, gelu(_mm512_add_ps(sum, _mm512_loadu_ps(bias + at))).value);
      });
    });
    product<T, AREA, C, 4 * ROW>(by_rows(hidden, 4 * C), Right<T>{weights.contract, C}, [&](int row, int, auto& sums) {
      each(sums, [&](int at, __m512 sum) {
        const __m512 bias = _mm512_loadu_ps(weights.plain[CONTRACT_BIAS] + at);
        T::store(y + place.pixel[row] + at, _mm512_add_ps(_mm512_add_ps(sum, bias), _mm512_loadu_ps(middle[row] + at)));
      });
    });
  }

  // dx from x and dy; adds to `sums`.
  void backward(const Element* x, const Element* dy, const Place& place, Element* dx, Gradients<C>& sums) {
    attend(x, place);
    for (int row = 0; row < AREA; ++row) std::memcpy(d_out + row * C, dy + place.pixel[row], sizeof(Element) * C);
    mlp_backward(sums);
    attention_backward(dx, place, sums);
  }

 private:
  static constexpr int ROW = C / T::PAIR;           // words of a pixel
  static constexpr int TOKENS = words<T>(AREA);     // words of a channel
  static constexpr int PADDED = TOKENS * T::PAIR;   // rows of a matrix by tokens

  static Left<T> by_rows(const Element* rows, int columns) { return {rows, columns / T::PAIR, 1}; }

  template <int N, class Use>
  [[gnu::always_inline]] static void each(const __m512 (&sums)[N], Use&& use) {
    for (int v = 0; v < N; ++v) use(v * LANES, sums[v]);
  }

  // gradient (OUT, IN) += d_out^T in, both by tokens.
  template <int OUT, int IN>
  static void add_weight_gradient(const Element* d_out, const Element* in, float* gradient) {
    product<T, OUT, IN, TOKENS>(Left<T>{d_out, 1, OUT}, Right<T>{in, IN}, [&](int row, int column, auto& sums) {
      each(sums, [&](int at, __m512 sum) { add_to(gradient + row * IN + column + at, sum); });
    });
  }

  // x + attention(norm(x)) into `middle`, and its norm into `normal`; what led there stays for the backward pass.
  void attend(const Element* x, const Place& place) {
    for (int row = 0; row < AREA; ++row) {
      __m512 pixel[C / LANES];
      for (int v = 0; v < C / LANES; ++v) pixel[v] = T::load(x + place.pixel[row] + v * LANES);
      each(pixel, [&](int at, __m512 part) { _mm512_storeu_ps(middle[row] + at, part); });
      attention_norm.template normalise<T>(row, pixel, weights.plain + ATTENTION_GAIN, attention_normal);
    }
    product<T, AREA, 3 * C, ROW>(
        by_rows(attention_normal, C), Right<T>{weights.qkv, 3 * C}, [&](int row, int column, auto& sums) {
          const float* bias = weights.plain[QKV_BIAS] + column;
          each(sums, [&](int at, __m512 sum) {
            T::store(qkv + row * 3 * C + column + at, _mm512_add_ps(sum, _mm512_loadu_ps(bias + at)));
          });
        });
    qkv_tokens = by_tokens<T, AREA, 3 * C>(qkv, qkv_room);
    transpose_words<T>(qkv + C, 3 * ROW, AREA, ROW, keys, KEYS);
    const float scale = 1.0f / std::sqrt(float(C));
    product<T, AREA, KEYS, ROW>(by_rows(qkv, 3 * C), Right<T>{keys, KEYS}, [&](int row, int, auto& sums) {
      softmax(row, sums, scale, weights.position[place.side][row]);
    });
    product<T, AREA, C, TOKENS>(
        by_rows(probability, KEYS), Right<T>{qkv_tokens + 2 * C * T::PAIR, 3 * C}, [&](int row, int, auto& sums) {
          each(sums, [&](int at, __m512 sum) { T::store(context + row * C + at, sum); });
        });
    product<T, AREA, C, ROW>(by_rows(context, C), Right<T>{weights.projection, C}, [&](int row, int, auto& sums) {
      __m512 pixel[C / LANES];
      each(sums, [&](int at, __m512 sum) {
        const __m512 bias = _mm512_loadu_ps(weights.plain[PROJECTION_BIAS] + at);
        pixel[at / LANES] = _mm512_add_ps(_mm512_add_ps(sum, bias), _mm512_loadu_ps(middle[row] + at));
        _mm512_storeu_ps(middle[row] + at, pixel[at / LANES]);
      });
      mlp_norm.template normalise<T>(row, pixel, weights.plain + MLP_GAIN, normal);
    });
  }

  void softmax(int row, const __m512 (&products)[KEYS / LANES], float scale, const float* position) {
    __m512 logits[KEYS / LANES];
    each(products, [&](int at, __m512 sum) {
      logits[at / LANES] = _mm512_fmadd_ps(sum, constant(scale), _mm512_loadu_ps(position + at));
    });
    const __m512 greatest = _mm512_max_ps(_mm512_max_ps(logits[0], logits[1]), _mm512_max_ps(logits[2], logits[3]));
    const __m512 top = constant(_mm512_reduce_max_ps(greatest));
    for (__m512& logit : logits) logit = exponential(_mm512_sub_ps(logit, top));
    const __m512 total = _mm512_add_ps(_mm512_add_ps(logits[0], logits[1]), _mm512_add_ps(logits[2], logits[3]));
    const __m512 share = constant(1.0f / _mm512_reduce_add_ps(total));
    each(logits, [&](int at, __m512 weight) {
      const __m512 seen = _mm512_mul_ps(weight, share);
      _mm512_storeu_ps(exact_probability[row] + at, seen);
      T::store(probability + row * KEYS + at, seen);
    });
  }

  // From the gradient of the output in `d_out` to that of `middle`.
  void mlp_backward(Gradients<C>& sums) {
    Element* hidden = wide;
    product<T, AREA, 4 * C, ROW>(by_rows(normal, C), Right<T>{weights.expand, 4 * C}, [&](int row, int column, auto& sums) {
      const float* bias = weights.plain[EXPAND_BIAS] + column;
      each(sums, [&](int at, __m512 sum) {
        const Gelu activation = gelu(_mm512_add_ps(sum, _mm512_loadu_ps(bias + at)));
        T::store(hidden + row * 4 * C + column + at, activation.value);
        _mm512_storeu_ps(slope[row] + column + at, activation.slope);
      });
    });
    const Element* d_out_tokens = by_tokens<T, AREA, C>(d_out, narrow_room);
    add_weight_gradient<C, 4 * C>(d_out_tokens, by_tokens<T, AREA, 4 * C>(hidden, wide_room), sums.contract);
    add_rows<T, AREA, C>(d_out, sums.contract_bias);

    Element* d_hidden = wide;  // the hidden values are spent
    product<T, AREA, 4 * C, ROW>(by_rows(d_out, C), Right<T>{weights.contract_back, 4 * C}, [&](int row, int column, auto& sums) {
      each(sums, [&](int at, __m512 sum) {
        T::store(d_hidden + row * 4 * C + column + at, _mm512_mul_ps(sum, _mm512_loadu_ps(slope[row] + column + at)));
      });
    });
    const Element* d_hidden_tokens = by_tokens<T, AREA, 4 * C>(d_hidden, wide_room);
    add_weight_gradient<4 * C, C>(d_hidden_tokens, by_tokens<T, AREA, C>(normal, narrow_room), sums.expand);
    add_rows<T, AREA, 4 * C>(d_hidden, sums.expand_bias);

    product<T, AREA, C, 4 * ROW>(by_rows(d_hidden, 4 * C), Right<T>{weights.expand_back, C}, [&](int row, int, auto& d_normal) {
      __m512 gradient[C / LANES];
      mlp_norm.backward(row, d_normal, weights.plain[MLP_GAIN], gradient, sums.mlp_gain, sums.mlp_offset);
      each(gradient, [&](int at, __m512 part) {
        const __m512 whole = _mm512_add_ps(part, T::load(d_out + row * C + at));
        _mm512_storeu_ps(d_middle[row] + at, whole);
        T::store(d_out + row * C + at, whole);
      });
    });
  }

  // From the gradient of `middle`, exact in `d_middle` and rounded in `d_out`, to that of the input.
  void attention_backward(Element* dx, const Place& place, Gradients<C>& sums) {
    const Element* d_out_tokens = by_tokens<T, AREA, C>(d_out, narrow_room);
    add_weight_gradient<C, C>(d_out_tokens, by_tokens<T, AREA, C>(context, wide_room), sums.projection);
    add_rows<T, AREA, C>(d_out, sums.projection_bias);

    Element* d_context = context;  // spent
    product<T, AREA, C, ROW>(by_rows(d_out, C), Right<T>{weights.projection_back, C}, [&](int row, int, auto& sums) {
      each(sums, [&](int at, __m512 sum) { T::store(d_context + row * C + at, sum); });
    });
    const auto to_d_qkv = [&](int part) {
      return [this, part](int row, int column, auto& sums) {
        each(sums, [&](int at, __m512 sum) { T::store(d_qkv + row * 3 * C + part * C + column + at, sum); });
      };
    };
    const Element* probability_tokens = by_tokens<T, AREA, KEYS>(probability, wide_room);
    const Element* d_context_tokens = by_tokens<T, AREA, C>(d_context, narrow_room);
    product<T, AREA, C, TOKENS>(Left<T>{probability_tokens, 1, KEYS}, Right<T>{d_context_tokens, C}, to_d_qkv(2));

    transpose_words<T>(qkv + 2 * C, 3 * ROW, AREA, ROW, keys, KEYS);  // the values, where the keys were
    Element* d_logits = probability;                                    // spent, rounded; the exact one stays
    const __m512 scale = constant(1.0f / std::sqrt(float(C)));
    product<T, AREA, KEYS, ROW>(by_rows(d_context, C), Right<T>{keys, KEYS}, [&](int row, int, auto& d_seen) {
      __m512 mean = _mm512_setzero_ps();
      each(d_seen, [&](int at, __m512 d) { mean = _mm512_fmadd_ps(d, _mm512_loadu_ps(exact_probability[row] + at), mean); });
      mean = constant(_mm512_reduce_add_ps(mean));
      each(d_seen, [&](int at, __m512 d) {
        const __m512 d_logit = _mm512_mul_ps(_mm512_loadu_ps(exact_probability[row] + at), _mm512_sub_ps(d, mean));
        add_to(sums.position[row] + at, d_logit);
        T::store(d_logits + row * KEYS + at, _mm512_mul_ps(d_logit, scale));
      });
    });
    product<T, AREA, C, TOKENS>(by_rows(d_logits, KEYS), Right<T>{qkv_tokens + C * T::PAIR, 3 * C}, to_d_qkv(0));
    const Element* d_logits_tokens = by_tokens<T, AREA, KEYS>(d_logits, wide_room);
    product<T, AREA, C, TOKENS>(Left<T>{d_logits_tokens, 1, KEYS}, Right<T>{qkv_tokens, 3 * C}, to_d_qkv(1));

    const Element* d_qkv_tokens = by_tokens<T, AREA, 3 * C>(d_qkv, wide_room);
    add_weight_gradient<3 * C, C>(d_qkv_tokens, by_tokens<T, AREA, C>(attention_normal, narrow_room), sums.qkv);
    add_rows<T, AREA, 3 * C>(d_qkv, sums.qkv_bias);

    product<T, AREA, C, 3 * ROW>(by_rows(d_qkv, 3 * C), Right<T>{weights.qkv_back, C}, [&](int row, int, auto& d_normal) {
      __m512 gradient[C / LANES];
      attention_norm.backward(
          row, d_normal, weights.plain[ATTENTION_GAIN], gradient, sums.attention_gain, sums.attention_offset);
      each(gradient, [&](int at, __m512 part) {
        T::store(dx + place.pixel[row] + at, _mm512_add_ps(part, _mm512_loadu_ps(d_middle[row] + at)));
      });
    });
  }

  static constexpr int WIDE = 4 * C > KEYS ? 4 * C : KEYS;

  const Weights<T, C>& weights;
  LayerNorm<C, AREA> attention_norm{EPSILON}, mlp_norm{EPSILON};
  const Element* qkv_tokens = nullptr;
  alignas(64) float middle[AREA][C], d_middle[AREA][C], exact_probability[AREA][KEYS], slope[AREA][4 * C];
  alignas(64) Element attention_normal[AREA * C], normal[AREA * C], context[AREA * C], d_out[AREA * C];
  alignas(64) Element qkv[AREA * 3 * C], d_qkv[AREA * 3 * C], probability[AREA * KEYS], wide[AREA * WIDE];
  alignas(64) Element qkv_room[PADDED * 3 * C], narrow_room[PADDED * C], wide_room[PADDED * WIDE];
  alignas(64) Element keys[ROW * KEYS * T::PAIR] = {};  // by channels; the columns past AREA stay zero
};

// Calls `work(first, last, slice)` for equal slices of `count`, one for each thread: what a slice sums up, and in which order the
// slices are added, depends on the number of threads alone.
template <class Work>
void in_slices(int64_t count, const Work& work) {
  const int64_t slices = at::get_num_threads();
  at::parallel_for(0, slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slice = begin; slice < end; ++slice) work(count * slice / slices, count * (slice + 1) / slices, slice);
  });
}

template <class T, int C>
void run_forward(const at::Tensor& x, const std::vector<at::Tensor>& parameters, int shift, const at::Tensor& y) {
  const Grid grid{x.size(1), x.size(2), C, shift};
  const auto weights = std::make_unique<Weights<T, C>>(parameters, shift);
  const auto* from = static_cast<const typename T::Element*>(x.const_data_ptr());
  auto* to = static_cast<typename T::Element*>(y.mutable_data_ptr());
  in_slices(grid.windows(x.size(0)), [&](int64_t first, int64_t last, int64_t) {
    const auto block = std::make_unique<Block<T, C>>(*weights);
    for (int64_t window = first; window < last; ++window) block->forward(from, grid.place(window), to);
  });
}

template <class T, int C>
void run_backward(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& parameters, int shift,
                  const at::Tensor& dx, const std::vector<at::Tensor>& gradients) {
  const Grid grid{x.size(1), x.size(2), C, shift};
  const auto weights = std::make_unique<Weights<T, C>>(parameters, shift);
  const auto* from = static_cast<const typename T::Element*>(x.const_data_ptr());
  const auto* d_from = static_cast<const typename T::Element*>(dy.const_data_ptr());
  auto* to = static_cast<typename T::Element*>(dx.mutable_data_ptr());
  std::vector<std::unique_ptr<Gradients<C>>> sums(at::get_num_threads());
  in_slices(grid.windows(x.size(0)), [&](int64_t first, int64_t last, int64_t slice) {
    const auto block = std::make_unique<Block<T, C>>(*weights);
    sums[slice] = std::make_unique<Gradients<C>>();
    for (int64_t window = first; window < last; ++window)
      block->backward(from, d_from, grid.place(window), to, *sums[slice]);
  });
  for (const auto& sum : sums) sum->add_into(gradients);
}

// Calls `run.operator()<T, C>()` for the number type and the channels of x.
template <class Run>
void dispatch(const at::Tensor& x, const Run& run) {
  const auto with_channels = [&](auto type) {
    using T = decltype(type);
    switch (x.size(3)) {
      case 16: return run(type, std::integral_constant<int, 16>());
      case 32: return run(type, std::integral_constant<int, 32>());
      case 48: return run(type, std::integral_constant<int, 48>());
      case 64: return run(type, std::integral_constant<int, 64>());
      default: TORCH_CHECK(false, "derain: no kernel for ", x.size(3), " channels");
    }
  };
  TORCH_CHECK(x.is_contiguous(), "derain: the picture is not contiguous as (N, H, W, C)");
  if (x.scalar_type() == at::kBFloat16) with_channels(BFloat16());
  else if (x.scalar_type() == at::kFloat) with_channels(Float32());
  else TORCH_CHECK(false, "derain: no kernel for ", x.scalar_type());
}

at::Tensor swin_forward(const at::Tensor& x, const std::vector<at::Tensor>& parameters, int64_t shift) {
  at::Tensor y = at::empty_like(x);
  dispatch(x, [&](auto type, auto channels) { run_forward<decltype(type), channels()>(x, parameters, shift, y); });
  return y;
}

std::vector<at::Tensor> swin_backward(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& parameters,
                                      int64_t shift) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) gradients.push_back(at::zeros(parameter.sizes(), parameter.options()));
  at::Tensor dx = at::empty_like(x);
  dispatch(x, [&](auto type, auto channels) {
    run_backward<decltype(type), channels()>(x, dy, parameters, shift, dx, gradients);
  });
  gradients.insert(gradients.begin(), dx);
  return gradients;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) {
  library.def("swin_forward(Tensor x, Tensor[] parameters, int shift) -> Tensor", swin_forward);
  library.def("swin_backward(Tensor x, Tensor dy, Tensor[] parameters, int shift) -> Tensor[]", swin_backward);
}

}  // namespace derain
