// Layer norm of the rows of a small matrix, one row at a time in registers.
#pragma once

#include "vector.h"

namespace derain {

struct Affine {
  const float *gain, *offset;
};

// Normalises the first `channels` of each row of C numbers. The rest, fewer than 16, is padding and
// becomes zero.
template <int C, int ROWS>
class LayerNorm {
 public:
  explicit LayerNorm(int channels) : inverse_count(1.0f / channels), channels(channels) {}

  // Normalises one row, keeps it for `backward`, and writes the result to its row of `out`.
  template <class T>
  [[gnu::always_inline]] inline void normalise(int row, Vector (&x)[C / LANES], Affine affine,
                                               typename T::Element* out) {
    const Vector mean = mul(total(sum_of(x)), constant(inverse_count));
    for (Vector& part : x) part = sub(part, mean);
    blank(x);
    Vector squares = constant(0.0f);
    for (const Vector& part : x) squares = fmadd(part, part, squares);
    const Vector variance = mul(total(squares), constant(inverse_count));
    const Vector factor = inverse_root(add(variance, constant(EPSILON)));
    inverse[row] = first(factor);
    for (int v = 0; v < VECTORS; ++v) {
      const Vector normal = mul(x[v], factor);
      store(normals[row] + v * LANES, normal);
      store(out + row * C + v * LANES, fmadd(normal, at(affine.gain, v), at(affine.offset, v)));
    }
  }

  // Computes dx of one row from the gradient of its result, and adds to the gradients of gain and
  // offset.
  [[gnu::always_inline]] inline void backward(int row, const Vector (&d_out)[C / LANES], const float* gain,
                                              Vector (&dx)[C / LANES], float* d_gain, float* d_offset) const {
    Vector products[VECTORS];
    for (int v = 0; v < VECTORS; ++v) {
      add_to(d_gain + v * LANES, mul(d_out[v], at(normals[row], v)));
      add_to(d_offset + v * LANES, d_out[v]);
      dx[v] = mul(d_out[v], at(gain, v));
      products[v] = mul(dx[v], at(normals[row], v));
    }
    const Vector mean = mul(total(sum_of(dx)), constant(inverse_count));
    const Vector slope = mul(total(sum_of(products)), constant(inverse_count));
    for (int v = 0; v < VECTORS; ++v) {
      const Vector centred = fnmadd(at(normals[row], v), slope, sub(dx[v], mean));
      dx[v] = mul(centred, constant(inverse[row]));
    }
    blank(dx);
  }

 private:
  static constexpr int VECTORS = C / LANES;
  static constexpr int PADDED = 16 / LANES;  // C is a multiple of 16

  static Vector at(const float* row, int vector) { return load(row + vector * LANES); }

  // Sets the padding to zero.
  void blank(Vector (&x)[VECTORS]) const {
    for (int v = VECTORS - PADDED; v < VECTORS; ++v) x[v] = only(first_lanes(channels - v * LANES), x[v]);
  }

  static Vector sum_of(const Vector (&x)[VECTORS]) {
    Vector sum = x[0];
    for (int v = 1; v < VECTORS; ++v) sum = add(sum, x[v]);
    return sum;
  }

  static constexpr float EPSILON = 1e-5f;  // of nn.LayerNorm

  const float inverse_count;
  const int channels;
  float inverse[ROWS];
  alignas(64) float normals[ROWS][C];
};

}  // namespace derain
