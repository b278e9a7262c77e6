// Layer norm of the rows of a small matrix, each of which is in registers.
#pragma once

#include "vector.h"

namespace derain {

struct Affine {
  const float *gain, *offset;
};

// Of rows of C numbers the first `channels` are normalised; what follows, less than a vector, is padding, and comes out as zeros.
template <int C, int ROWS>
class LayerNorm {
 public:
  explicit LayerNorm(int channels) : share(1.0f / channels), within(first_lanes(channels - (VECTORS - 1) * LANES)) {}

  // Normalises one row and keeps it for `backward`; the result goes into its row of `out`.
  template <class T>
  [[gnu::always_inline]] inline void normalise(int row, __m512 (&x)[C / LANES], Affine affine,
                                               typename T::Element* out) {
    const __m512 mean = _mm512_mul_ps(total(sum_of(x)), constant(share));
    for (__m512& part : x) part = _mm512_sub_ps(part, mean);
    x[VECTORS - 1] = _mm512_maskz_mov_ps(within, x[VECTORS - 1]);
    __m512 squares = _mm512_setzero_ps();
    for (const __m512& part : x) squares = _mm512_fmadd_ps(part, part, squares);
    const __m512 variance = _mm512_mul_ps(total(squares), constant(share));
    const __m512 factor = inverse_root(_mm512_add_ps(variance, constant(EPSILON)));
    inverse[row] = _mm512_cvtss_f32(factor);
    for (int v = 0; v < VECTORS; ++v) {
      const __m512 normal = _mm512_mul_ps(x[v], factor);
      _mm512_storeu_ps(kept[row] + v * LANES, normal);
      T::store(out + row * C + v * LANES, _mm512_fmadd_ps(normal, at(affine.gain, v), at(affine.offset, v)));
    }
  }

  // dx of one row from the gradient of its result; adds to the gradients of gain and offset.
  [[gnu::always_inline]] inline void backward(int row, const __m512 (&d_out)[C / LANES], const float* gain,
                                              __m512 (&dx)[C / LANES], float* d_gain, float* d_offset) const {
    __m512 along[VECTORS];
    for (int v = 0; v < VECTORS; ++v) {
      add_to(d_gain + v * LANES, _mm512_mul_ps(d_out[v], at(kept[row], v)));
      add_to(d_offset + v * LANES, d_out[v]);
      dx[v] = _mm512_mul_ps(d_out[v], at(gain, v));
      along[v] = _mm512_mul_ps(dx[v], at(kept[row], v));
    }
    const __m512 mean = _mm512_mul_ps(total(sum_of(dx)), constant(share));
    const __m512 slope = _mm512_mul_ps(total(sum_of(along)), constant(share));
    for (int v = 0; v < VECTORS; ++v) {
      const __m512 centred = _mm512_fnmadd_ps(at(kept[row], v), slope, _mm512_sub_ps(dx[v], mean));
      dx[v] = _mm512_mul_ps(centred, constant(inverse[row]));
    }
    dx[VECTORS - 1] = _mm512_maskz_mov_ps(within, dx[VECTORS - 1]);
  }

 private:
  static constexpr int VECTORS = C / LANES;

  static __m512 at(const float* row, int vector) { return _mm512_loadu_ps(row + vector * LANES); }

  static __m512 sum_of(const __m512 (&x)[VECTORS]) {
    __m512 sum = x[0];
    for (int v = 1; v < VECTORS; ++v) sum = _mm512_add_ps(sum, x[v]);
    return sum;
  }

  static constexpr float EPSILON = 1e-5f;  // of nn.LayerNorm

  const float share;
  const __mmask16 within;
  float inverse[ROWS];
  alignas(64) float kept[ROWS][C];
};

}  // namespace derain
