// Layer norm of the rows of a small matrix, each of which is in registers.
#pragma once

#include "vector.h"

namespace derain {

struct Affine {
  const float *gain, *offset;
};

// Of rows of C numbers the first `channels` are normalised; what follows, fewer than 16, is padding, and comes out as zeros.
template <int C, int ROWS>
class LayerNorm {
 public:
  explicit LayerNorm(int channels) : share(1.0f / channels), channels(channels) {}

  // Normalises one row and keeps it for `backward`; the result goes into its row of `out`.
  template <class T>
  [[gnu::always_inline]] inline void normalise(int row, Vector (&x)[C / LANES], Affine affine,
                                               typename T::Element* out) {
    const Vector mean = mul(total(sum_of(x)), constant(share));
    for (Vector& part : x) part = sub(part, mean);
    blank(x);
    Vector squares = constant(0.0f);
    for (const Vector& part : x) squares = fmadd(part, part, squares);
    const Vector variance = mul(total(squares), constant(share));
    const Vector factor = inverse_root(add(variance, constant(EPSILON)));
    inverse[row] = first(factor);
    for (int v = 0; v < VECTORS; ++v) {
      const Vector normal = mul(x[v], factor);
      store(kept[row] + v * LANES, normal);
      store(out + row * C + v * LANES, fmadd(normal, at(affine.gain, v), at(affine.offset, v)));
    }
  }

  // dx of one row from the gradient of its result; adds to the gradients of gain and offset.
  [[gnu::always_inline]] inline void backward(int row, const Vector (&d_out)[C / LANES], const float* gain,
                                              Vector (&dx)[C / LANES], float* d_gain, float* d_offset) const {
    Vector along[VECTORS];
    for (int v = 0; v < VECTORS; ++v) {
      add_to(d_gain + v * LANES, mul(d_out[v], at(kept[row], v)));
      add_to(d_offset + v * LANES, d_out[v]);
      dx[v] = mul(d_out[v], at(gain, v));
      along[v] = mul(dx[v], at(kept[row], v));
    }
    const Vector mean = mul(total(sum_of(dx)), constant(share));
    const Vector slope = mul(total(sum_of(along)), constant(share));
    for (int v = 0; v < VECTORS; ++v) {
      const Vector centred = fnmadd(at(kept[row], v), slope, sub(dx[v], mean));
      dx[v] = mul(centred, constant(inverse[row]));
    }
    blank(dx);
  }

 private:
  static constexpr int VECTORS = C / LANES;
  static constexpr int PADDED = 16 / LANES;  // C is a multiple of 16

  static Vector at(const float* row, int vector) { return load(row + vector * LANES); }

  // Nothing where the padding is.
  void blank(Vector (&x)[VECTORS]) const {
    for (int v = VECTORS - PADDED; v < VECTORS; ++v) x[v] = only(first_lanes(channels - v * LANES), x[v]);
  }

  static Vector sum_of(const Vector (&x)[VECTORS]) {
    Vector sum = x[0];
    for (int v = 1; v < VECTORS; ++v) sum = add(sum, x[v]);
    return sum;
  }

  static constexpr float EPSILON = 1e-5f;  // of nn.LayerNorm

  const float share;
  const int channels;
  float inverse[ROWS];
  alignas(64) float kept[ROWS][C];
};

}  // namespace derain
