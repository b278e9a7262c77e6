// Sixteen numbers at a time, in the registers of AVX-512.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace derain {

using Vector = __m512;
using Words = __m512i;  // of 32 bits each
using Mask = __mmask16;

constexpr int LANES = 16;
constexpr int MAX_SUMS = 28;  // vectors of a product that fit into the registers: seven rows of four

inline Vector constant(float x) { return _mm512_set1_ps(x); }
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Vector x) { _mm512_storeu_ps(to, x); }
inline float first(Vector x) { return _mm512_cvtss_f32(x); }

inline Vector add(Vector x, Vector y) { return _mm512_add_ps(x, y); }
inline Vector sub(Vector x, Vector y) { return _mm512_sub_ps(x, y); }
inline Vector mul(Vector x, Vector y) { return _mm512_mul_ps(x, y); }
inline Vector fmadd(Vector x, Vector y, Vector z) { return _mm512_fmadd_ps(x, y, z); }    // x y + z
inline Vector fnmadd(Vector x, Vector y, Vector z) { return _mm512_fnmadd_ps(x, y, z); }  // z - x y
inline Vector min(Vector x, Vector y) { return _mm512_min_ps(x, y); }
inline Vector max(Vector x, Vector y) { return _mm512_max_ps(x, y); }
inline Vector abs(Vector x) { return _mm512_abs_ps(x); }
inline Vector nearest(Vector x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT); }
inline Vector times_power_of_two(Vector x, Vector n) { return _mm512_scalef_ps(x, n); }  // x 2 ** n for an integer n
inline Vector rough_reciprocal(Vector x) { return _mm512_rcp14_ps(x); }
inline Vector rough_inverse_root(Vector x) { return _mm512_rsqrt14_ps(x); }

inline Mask first_lanes(int count) { return count >= LANES ? 0xFFFF : count <= 0 ? 0 : (1u << count) - 1; }
inline Mask less(Vector x, Vector y) { return _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ); }
inline Vector select(Mask mask, Vector yes, Vector no) { return _mm512_mask_mov_ps(no, mask, yes); }
inline Vector only(Mask mask, Vector x) { return _mm512_maskz_mov_ps(mask, x); }

// The sum of all lanes in each lane.
inline Vector total(Vector x) {
  x = add(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = add(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = add(x, _mm512_permute_ps(x, 0x4E));
  return add(x, _mm512_permute_ps(x, 0xB1));
}

// The greatest of all lanes in each lane.
inline Vector greatest(Vector x) {
  x = max(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = max(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = max(x, _mm512_permute_ps(x, 0x4E));
  return max(x, _mm512_permute_ps(x, 0xB1));
}

inline Vector as_numbers(Words x) { return _mm512_castsi512_ps(x); }
inline Words zero_words() { return _mm512_setzero_si512(); }
inline Words load_words(const void* from) { return _mm512_loadu_si512(from); }
inline Words load_words(Mask mask, const void* from) { return _mm512_maskz_loadu_epi32(mask, from); }
inline void store_words(Mask mask, void* to, Words x) { _mm512_mask_storeu_epi32(to, mask, x); }

inline Words broadcast_word(const void* from) {
  int32_t word;
  std::memcpy(&word, from, sizeof word);
  return _mm512_set1_epi32(word);
}

// Transposes sixteen rows of sixteen words.
inline void transpose(Words (&rows)[LANES]) {
  Words pairs[LANES];
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
    const Words low = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0x88);
    const Words low_odd = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0xDD);
    const Words high = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0x88);
    const Words high_odd = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0xDD);
    pairs[c] = _mm512_shuffle_i32x4(low, high, 0x88);
    pairs[8 + c] = _mm512_shuffle_i32x4(low, high, 0xDD);
    pairs[4 + c] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
    pairs[12 + c] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xDD);
  }
  for (int i = 0; i < LANES; ++i) rows[i] = pairs[i];
}

// Bfloat16: the upper half of a float32.
inline Vector load(const uint16_t* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return as_numbers(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

inline void store(uint16_t* to, Vector x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(x));
}

inline Vector dot_pairs(Vector sum, Words a, Words b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// Stores two rows of sixteen numbers as words, each a number of the first row and the one below it.
inline void store_pairs(uint16_t* to, const uint16_t* at, const uint16_t* below) {
  const Words low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  const Words high = below ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(below))) : zero_words();
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

inline uint16_t to_bfloat16(float x) {
  const __m128bh pair = _mm_cvtneps_pbh(_mm_set_ss(x));
  uint16_t result;
  std::memcpy(&result, &pair, sizeof result);
  return result;
}

}  // namespace derain
