// Layer norm of the rows of a small matrix, each of which is in registers.
#pragma once

#include <cmath>

#include "vector.h"

namespace derain {

template <int C, int ROWS>
class LayerNorm {
 public:
  explicit LayerNorm(float epsilon) : epsilon(epsilon) {}

  // Normalises one row and keeps it for `backward`; `affine` points to gain and offset; the result goes into its row of `out`.
  template <class T>
  [[gnu::always_inline]] inline void normalise(int row, __m512 (&x)[C / LANES], const float* const affine[2], typename T::Element* out) {
    const float mean = _mm512_reduce_add_ps(sum_of(x)) / C;
    __m512 squares = _mm512_setzero_ps();
    for (__m512& part : x) {
      part = _mm512_sub_ps(part, constant(mean));
      squares = _mm512_fmadd_ps(part, part, squares);
    }
    inverse[row] = 1.0f / std::sqrt(_mm512_reduce_add_ps(squares) / C + epsilon);
    for (int v = 0; v < VECTORS; ++v) {
      const __m512 normal = _mm512_mul_ps(x[v], constant(inverse[row]));
      _mm512_storeu_ps(kept[row] + v * LANES, normal);
      T::store(out + row * C + v * LANES, _mm512_fmadd_ps(normal, at(affine[0], v), at(affine[1], v)));
    }
  }

  // dx of one row from the gradient of its result; adds to the gradients of gain and offset.
  [[gnu::always_inline]] inline void backward(int row, const __m512 (&d_out)[C / LANES], const float* gain, __m512 (&dx)[C / LANES],
                                              float* d_gain, float* d_offset) const {
    __m512 along[VECTORS];
    for (int v = 0; v < VECTORS; ++v) {
      add_to(d_gain + v * LANES, _mm512_mul_ps(d_out[v], at(kept[row], v)));
      add_to(d_offset + v * LANES, d_out[v]);
      dx[v] = _mm512_mul_ps(d_out[v], at(gain, v));
      along[v] = _mm512_mul_ps(dx[v], at(kept[row], v));
    }
    const __m512 mean = constant(_mm512_reduce_add_ps(sum_of(dx)) / C);
    const __m512 slope = constant(_mm512_reduce_add_ps(sum_of(along)) / C);
    for (int v = 0; v < VECTORS; ++v) {
      const __m512 centred = _mm512_fnmadd_ps(at(kept[row], v), slope, _mm512_sub_ps(dx[v], mean));
      dx[v] = _mm512_mul_ps(centred, constant(inverse[row]));
    }
  }

 private:
  static constexpr int VECTORS = C / LANES;

  static __m512 at(const float* row, int vector) { return _mm512_loadu_ps(row + vector * LANES); }

  static __m512 sum_of(const __m512 (&x)[VECTORS]) {
    __m512 sum = x[0];
    for (int v = 1; v < VECTORS; ++v) sum = _mm512_add_ps(sum, x[v]);
    return sum;
  }

  float epsilon;
  float inverse[ROWS];
  alignas(64) float kept[ROWS][C];
};

}  // namespace derain
