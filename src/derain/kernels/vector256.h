// Eight numbers at a time, in the registers of AVX2 with FMA.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace derain {

using Vector = __m256;
using Words = __m256i;  // of 32 bits each
using Mask = __m256i;   // all bits of a word, or none

constexpr int LANES = 8;
constexpr int MAX_SUMS = 12;  // vectors of a product that fit into the registers: six rows of two

inline Vector constant(float x) { return _mm256_set1_ps(x); }
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Vector x) { _mm256_storeu_ps(to, x); }
inline float first(Vector x) { return _mm256_cvtss_f32(x); }

inline Vector add(Vector x, Vector y) { return _mm256_add_ps(x, y); }
inline Vector sub(Vector x, Vector y) { return _mm256_sub_ps(x, y); }
inline Vector mul(Vector x, Vector y) { return _mm256_mul_ps(x, y); }
inline Vector fmadd(Vector x, Vector y, Vector z) { return _mm256_fmadd_ps(x, y, z); }    // x y + z
inline Vector fnmadd(Vector x, Vector y, Vector z) { return _mm256_fnmadd_ps(x, y, z); }  // z - x y
inline Vector min(Vector x, Vector y) { return _mm256_min_ps(x, y); }
inline Vector max(Vector x, Vector y) { return _mm256_max_ps(x, y); }
inline Vector abs(Vector x) { return _mm256_andnot_ps(constant(-0.0f), x); }
inline Vector nearest(Vector x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vector rough_reciprocal(Vector x) { return _mm256_rcp_ps(x); }
inline Vector rough_inverse_root(Vector x) { return _mm256_rsqrt_ps(x); }

// x 2 ** n for an integer n; n below -126 is treated as -126.
inline Vector times_power_of_two(Vector x, Vector n) {
  const Words exponent = _mm256_add_epi32(_mm256_cvtps_epi32(max(n, constant(-126.0f))), _mm256_set1_epi32(127));
  return mul(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

inline Mask first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Mask less(Vector x, Vector y) { return _mm256_castps_si256(_mm256_cmp_ps(x, y, _CMP_LT_OQ)); }
inline Vector select(Mask mask, Vector yes, Vector no) { return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask)); }
inline Vector only(Mask mask, Vector x) { return _mm256_and_ps(_mm256_castsi256_ps(mask), x); }

// The sum of all lanes in each lane.
inline Vector total(Vector x) {
  x = add(x, _mm256_permute2f128_ps(x, x, 1));
  x = add(x, _mm256_permute_ps(x, 0x4E));
  return add(x, _mm256_permute_ps(x, 0xB1));
}

// The greatest of all lanes in each lane.
inline Vector greatest(Vector x) {
  x = max(x, _mm256_permute2f128_ps(x, x, 1));
  x = max(x, _mm256_permute_ps(x, 0x4E));
  return max(x, _mm256_permute_ps(x, 0xB1));
}

inline Vector as_numbers(Words x) { return _mm256_castsi256_ps(x); }
inline Words zero_words() { return _mm256_setzero_si256(); }
inline Words load_words(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline Words load_words(Mask mask, const void* from) { return _mm256_maskload_epi32(static_cast<const int*>(from), mask); }
inline void store_words(Mask mask, void* to, Words x) { _mm256_maskstore_epi32(static_cast<int*>(to), mask, x); }

inline Words broadcast_word(const void* from) {
  float word;
  std::memcpy(&word, from, sizeof word);
  return _mm256_castps_si256(_mm256_set1_ps(word));
}

// Transposes eight rows of eight words.
inline void transpose(Words (&rows)[LANES]) {
  Words pairs[LANES];
  for (int i = 0; i < LANES; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < LANES; i += 4)
    for (int j = 0; j < 2; ++j) {
      rows[i + 2 * j] = _mm256_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
      rows[i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
    }
  // rows[4 g + c] holds column 4 l + c of rows 4 g to 4 g + 3 in its lane of four words l
  for (int c = 0; c < 4; ++c) {
    pairs[c] = _mm256_permute2x128_si256(rows[c], rows[4 + c], 0x20);
    pairs[4 + c] = _mm256_permute2x128_si256(rows[c], rows[4 + c], 0x31);
  }
  for (int i = 0; i < LANES; ++i) rows[i] = pairs[i];
}

}  // namespace derain
