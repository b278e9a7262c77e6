// Sixteen numbers at a time: the number types, and the functions that AVX-512 does not have.
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
  static constexpr bool TILED = false;

  static __m512 load(const Element* from) { return _mm512_loadu_ps(from); }
  static void store(Element* to, __m512 x) { _mm512_storeu_ps(to, x); }
  static __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
};

struct BFloat16 {
  using Element = uint16_t;
  static constexpr int PAIR = 2;
  static constexpr bool TILED = false;

  static __m512 load(const Element* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static void store(Element* to, __m512 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(x));
  }
  static __m512 dot(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};

// BFloat16 on a processor with a matrix unit.
struct TiledBFloat16 : BFloat16 {
  static constexpr bool TILED = true;
};

inline __m512i broadcast_word(const void* from) {
  int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm512_set1_epi32(word);
}

constexpr __mmask16 first_lanes(int count) { return count >= LANES ? 0xFFFF : (1u << count) - 1; }

inline __m512 constant(float x) { return _mm512_set1_ps(x); }

inline void add_to(float* sums, __m512 x) { _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), x)); }

constexpr float LOG2_E = 1.44269504f;

// 2 ** x as 2 ** n * 2 ** r with |r| <= 1 / 2 and Taylor's polynomial, exact to 2e-7. x is finite.
inline __m512 power_of_two(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 sum = constant(1.5403530e-4f);
  for (float coefficient : {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 0.24022651f, 0.69314718f, 1.0f})
    sum = _mm512_fmadd_ps(sum, r, constant(coefficient));
  return _mm512_scalef_ps(sum, n);
}

// Sixteen rows of sixteen words become columns.
inline void transpose(__m512i (&rows)[LANES]) {
  __m512i pairs[LANES];
  for (int i = 0; i < LANES; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < LANES; i += 4)
    for (int j = 0; j < 2; ++j) {
      rows[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
      rows[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
    }
  // rows[4 g + c] holds column 4 l + c of rows 4 g to 4 g + 3 in its lane of four words l
  for (int c = 0; c < 4; ++c) {
    const __m512i low = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0x88), low_odd = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0xDD);
    const __m512i high = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0x88);
    const __m512i high_odd = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0xDD);
    pairs[c] = _mm512_shuffle_i32x4(low, high, 0x88);
    pairs[8 + c] = _mm512_shuffle_i32x4(low, high, 0xDD);
    pairs[4 + c] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
    pairs[12 + c] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xDD);
  }
  for (int i = 0; i < LANES; ++i) rows[i] = pairs[i];
}

// The sum of all lanes in each lane.
inline __m512 total(__m512 x) {
  x = _mm512_add_ps(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = _mm512_add_ps(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = _mm512_add_ps(x, _mm512_permute_ps(x, 0x4E));
  return _mm512_add_ps(x, _mm512_permute_ps(x, 0xB1));
}

// The greatest of all lanes in each lane.
inline __m512 greatest(__m512 x) {
  x = _mm512_max_ps(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = _mm512_max_ps(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = _mm512_max_ps(x, _mm512_permute_ps(x, 0x4E));
  return _mm512_max_ps(x, _mm512_permute_ps(x, 0xB1));
}

// One step of Newton's makes 28 bits of 14.
inline __m512 inverse_root(__m512 x) {
  const __m512 guess = _mm512_rsqrt14_ps(x);
  const __m512 half = _mm512_mul_ps(_mm512_mul_ps(x, constant(0.5f)), guess);
  return _mm512_mul_ps(guess, _mm512_fnmadd_ps(half, guess, constant(1.5f)));
}

inline __m512 reciprocal(__m512 x) {
  const __m512 guess = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(guess, _mm512_fnmadd_ps(guess, x, constant(2.0f)));
}

inline __m512 hyperbolic_tangent(__m512 x) {
  const __m512 square = power_of_two(_mm512_mul_ps(_mm512_min_ps(x, constant(20.0f)), constant(2 * LOG2_E)));  // stays finite
  return _mm512_fnmadd_ps(reciprocal(_mm512_add_ps(square, constant(1.0f))), constant(2.0f), constant(1.0f));
}

struct Gelu {
  __m512 value, slope;
};

// x Phi(x) and its derivative, Phi the normal distribution by Abramowitz and Stegun's formula 7.1.26 (absolute error 1e-7).
inline Gelu gelu(__m512 x) {
  const __m512 size = _mm512_abs_ps(x);
  const __m512 t = reciprocal(_mm512_fmadd_ps(size, constant(0.3275911f * 0.70710678f), constant(1.0f)));
  const __m512 bell = power_of_two(_mm512_mul_ps(_mm512_mul_ps(x, x), constant(-0.5f * LOG2_E)));
  __m512 tail = constant(0.5f * 1.061405429f);
  for (float coefficient : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f})
    tail = _mm512_fmadd_ps(tail, t, constant(0.5f * coefficient));
  tail = _mm512_mul_ps(_mm512_mul_ps(tail, t), bell);
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __m512 phi = _mm512_mask_mov_ps(_mm512_sub_ps(constant(1.0f), tail), negative, tail);
  return {_mm512_mul_ps(x, phi), _mm512_fmadd_ps(_mm512_mul_ps(x, constant(0.39894228f)), bell, phi)};
}

}  // namespace derain
