// The Swin block (`derain.network.swin.SwinBlock`), one window of 49 pixels at a time.
#pragma once

#include "layers.h"

namespace derain {

template <class T, int C>
class SwinBlock {
 public:
  using Element = typename T::Element;

  SwinBlock(Parameters& parameters, int shift) : SwinBlock(Attention(parameters), parameters, shift) {}

  // Reads the pixels at `place` by `gather(row, pixels)`, which writes a window's row of seven pixels as
  // float32, and calls `use(pixel, column, result)` for each vector of the block's result.
  template <class Gather, class Use>
  void compute(const Place& place, Gather&& gather, Use&& use) const {
    alignas(64) float middle[TILE * C], logits[GROUP * KEYS];
    alignas(64) Element normal[TILE * C], query[TILE * C], value[TILE * C], value_room[PAIRED * C];
    alignas(64) Element keys[ROW * KEYS * T::PAIR], hidden[TILE * 4 * C], probability[GROUP * KEYS];

    for (int row = 0; row < WINDOW; ++row) gather(row, middle + row * GROUP * C);
    for (int pixel = 0; pixel < TILE; ++pixel) attention_norm_.normalise(middle + pixel * C, normal + pixel * C);
    for (int first = 0; first < TILE; first += GROUP)
      multiply<T, C, 2 * C>(normal + first * C, ROW, query_value_.packed(), [&](int pixel, int column, Vector sum) {
        store((column < C ? query + column : value + (column - C)) + (first + pixel) * C, sum);
      });
    const Element* values = by_tokens<T, TILE, C>(value, value_room);
    for (int word = 0; word < ROW; ++word)  // the transpose leaves the padding as it is
      std::memset(keys + (word * KEYS + TILE / LANES * LANES) * T::PAIR, 0, sizeof(Element) * (KEYS - TILE / LANES * LANES) * T::PAIR);
    transpose_words<T>(normal, ROW, TILE, ROW, keys, KEYS);

    for (int first = 0; first < TILE; first += GROUP) {
      multiply<T, C, KEYS>(query + first * C, ROW, PackedLayer<T>{keys, nullptr}, [&](int pixel, int column, Vector sum) {
        store(logits + pixel * KEYS + column, sum);
      });
      for (int pixel = 0; pixel < GROUP; ++pixel)
        softmax(logits + pixel * KEYS, position_[place.side].data() + (first + pixel) * KEYS, probability + pixel * KEYS);
      float* to = middle + first * C;
      multiply<T, TILE, C>(probability, KEYS / T::PAIR, PackedLayer<T>{values, context_bias_.data()},
                           [&](int pixel, int column, Vector sum) { add_to(to + pixel * C + column, sum); });
    }

    for (int pixel = 0; pixel < TILE; ++pixel) mlp_norm_.normalise(middle + pixel * C, normal + pixel * C);
    for (int first = 0; first < TILE; first += GROUP)
      multiply<T, C, 4 * C>(normal + first * C, ROW, expand_.packed(), [&](int pixel, int column, Vector sum) {
        store(hidden + (first + pixel) * 4 * C + column, activated<T>(sum));
      });
    for (int first = 0; first < TILE; first += GROUP)
      multiply<T, 4 * C, C>(hidden + first * 4 * C, 4 * ROW, contract_.packed(), [&](int pixel, int column, Vector sum) {
        use(first + pixel, column, add(sum, load(middle + (first + pixel) * C + column)));
      });
  }

  int shift() const { return shift_; }

 private:
  static constexpr int ROW = words<T>(C);
  static constexpr int PAIRED = words<T>(TILE) * T::PAIR;

  // The parameters up to the projection's.
  struct Attention {
    explicit Attention(Parameters& parameters)
        : norm(parameters),
          offsets(parameters.take(OFFSETS * OFFSETS)),
          qkv(parameters.take(3 * C * C)),
          qkv_bias(parameters.take(3 * C)),
          projection(parameters.take(C * C)),
          projection_bias(parameters.take(C)) {}

    Norm<T, C> norm;
    const float *offsets, *qkv, *qkv_bias, *projection, *projection_bias;
  };

  SwinBlock(Attention attention, Parameters& parameters, int shift)
      : shift_(shift),
        attention_norm_(std::move(attention.norm)),
        query_value_(joined(attention)),
        context_bias_(C),
        mlp_norm_(parameters),
        expand_(Linear<T>::next(parameters, 4 * C, C)),
        contract_(Linear<T>::next(parameters, C, 4 * C)) {
    for (int out = 0; out < C; ++out) {
      double sum = attention.projection_bias[out];
      for (int inner = 0; inner < C; ++inner) sum += double(attention.projection[out * C + inner]) * attention.qkv_bias[2 * C + inner];
      context_bias_.data()[out] = static_cast<float>(sum);
    }
    for (int side = 0; side < SIDES; ++side) {
      position_.emplace_back(TILE * KEYS);
      write_position(side, shift, attention.offsets, position_[side].data());
    }
  }

  // Returns the layer of queries, (C, C), then that of values. A query times the matrix of the keys gives
  // its logits as products with the pixels themselves, and the projection is part of the values: two
  // products less than in the network as it is written.
  static Linear<T> joined(const Attention& attention) {
    const float *query = attention.qkv, *key = query + C * C, *value = key + C * C;
    const double scale = LOG2_E_EXACT / std::sqrt(double(C));  // e ** x is computed as a power of two
    std::vector<float> weight(2 * C * C), bias(2 * C, 0.0f);
    for (int out = 0; out < C; ++out) {
      double offset = 0;
      for (int inner = 0; inner < C; ++inner) offset += double(key[inner * C + out]) * attention.qkv_bias[inner];
      bias[out] = static_cast<float>(scale * offset);
      for (int in = 0; in < C; ++in) {
        double of_query = 0, of_value = 0;
        for (int inner = 0; inner < C; ++inner) {
          of_query += double(key[inner * C + out]) * query[inner * C + in];
          of_value += double(attention.projection[out * C + inner]) * value[inner * C + in];
        }
        weight[out * C + in] = static_cast<float>(scale * of_query);
        weight[(C + out) * C + in] = static_cast<float>(of_value);
      }
    }
    return Linear<T>(weight.data(), bias.data(), 2 * C, C);
  }

  [[gnu::always_inline]] static void softmax(const float* logits, const float* position, Element* probability) {
    constexpr int VECTORS = KEYS / LANES;
    Vector weights[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) weights[v] = add(load(logits + v * LANES), load(position + v * LANES));
    Vector top = weights[0], sum = constant(0.0f);
#pragma GCC unroll 8
    for (int v = 1; v < VECTORS; ++v) top = max(top, weights[v]);
    top = greatest(top);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) sum = add(sum, weights[v] = exponential<T>(sub(weights[v], top)));
    const Vector share = reciprocal(total(sum));
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) store(probability + v * LANES, mul(weights[v], share));
  }

  static constexpr double LOG2_E_EXACT = 1.4426950408889634;

  int shift_;
  Norm<T, C> attention_norm_;
  Linear<T> query_value_;
  Buffer<float> context_bias_;
  Norm<T, C> mlp_norm_;
  Linear<T> expand_, contract_;
  std::vector<Buffer<float>> position_;
};

}  // namespace derain
