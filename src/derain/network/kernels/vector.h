// Sixteen numbers at a time: the two number types, and the functions that AVX-512 does not have.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace derain {

constexpr int LANES = 16;

// A number type says how numbers lie in memory and how they are multiplied. `dot` takes words of 32 bits that hold `PAIR`
// neighbours of the inner dimension each; sums are float32 in both.
struct Float32 {
  using Element = float;
  static constexpr int PAIR = 1;

  static __m512 load(const Element* from) { return _mm512_loadu_ps(from); }
  static void store(Element* to, __m512 x) { _mm512_storeu_ps(to, x); }
  static __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
};

struct BFloat16 {
  using Element = uint16_t;
  static constexpr int PAIR = 2;

  static __m512 load(const Element* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static void store(Element* to, __m512 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(x));
  }
  static __m512 dot(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};

inline __m512i broadcast_word(const void* from) {
  int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm512_set1_epi32(word);
}

inline __m512 constant(float x) { return _mm512_set1_ps(x); }

inline void add_to(float* sums, __m512 x) { _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), x)); }

// e ** x as 2 ** n * e ** r with |r| <= ln(2) / 2 and Taylor's polynomial, exact to 2e-7; 0 for -infinity.
inline __m512 exponential(__m512 x) {
  x = _mm512_max_ps(x, constant(-200.0f));  // infinity times 0 would be no number
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, constant(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, constant(0.693359375f), x);  // ln(2) in two parts: the first times n is exact
  r = _mm512_fnmadd_ps(n, constant(-2.12194440e-4f), r);
  __m512 sum = constant(1.0f / 720);
  for (float coefficient : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) sum = _mm512_fmadd_ps(sum, r, constant(coefficient));
  return _mm512_scalef_ps(sum, n);
}

inline __m512 reciprocal(__m512 x) {
  const __m512 guess = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(guess, _mm512_fnmadd_ps(guess, x, constant(2.0f)));  // one step of Newton's: 14 bits become 28
}

struct Gelu {
  __m512 value, slope;
};

// x Phi(x) and its derivative, Phi the normal distribution by Abramowitz and Stegun's formula 7.1.26 (absolute error 1e-7).
inline Gelu gelu(__m512 x) {
  const __m512 size = _mm512_abs_ps(x);
  const __m512 t = reciprocal(_mm512_fmadd_ps(size, constant(0.3275911f * 0.70710678f), constant(1.0f)));
  const __m512 bell = exponential(_mm512_mul_ps(_mm512_mul_ps(x, x), constant(-0.5f)));
  __m512 tail = constant(0.5f * 1.061405429f);
  for (float coefficient : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f})
    tail = _mm512_fmadd_ps(tail, t, constant(0.5f * coefficient));
  tail = _mm512_mul_ps(_mm512_mul_ps(tail, t), bell);
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __m512 phi = _mm512_mask_mov_ps(_mm512_sub_ps(constant(1.0f), tail), negative, tail);
  return {_mm512_mul_ps(x, phi), _mm512_fmadd_ps(_mm512_mul_ps(x, constant(0.39894228f)), bell, phi)};
}

}  // namespace derain
