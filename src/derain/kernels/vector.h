// Vectors of the length of the processor's registers, the number types, and functions for which there
// is no instruction.
#pragma once

#ifdef __AVX512F__
#include "vector512.h"
#else
#include "vector256.h"
#endif

namespace derain {

// A number type defines how numbers are stored and multiplied. `dot` takes 32-bit words, each of which
// holds PAIR neighbours along the inner dimension. Sums are float32 in all types.
struct Float32 {
  using Element = float;
  static constexpr int PAIR = 1;
  static constexpr bool TILED = false;

  static float rounded(float x) { return x; }
  static Vector dot(Vector sum, Words a, Words b) { return fmadd(as_numbers(a), as_numbers(b), sum); }
};

#ifdef __AVX512F__
struct BFloat16 {
  using Element = uint16_t;
  static constexpr int PAIR = 2;
  static constexpr bool TILED = false;

  static uint16_t rounded(float x) { return to_bfloat16(x); }
  static Vector dot(Vector sum, Words a, Words b) { return dot_pairs(sum, a, b); }
};

// BFloat16 on a processor with a matrix unit.
struct TiledBFloat16 : BFloat16 {
  static constexpr bool TILED = true;
};
#endif

inline void add_to(float* sums, Vector x) { store(sums, add(load(sums), x)); }

constexpr float LOG2_E = 1.44269504f;

// 2 ** x as 2 ** n * 2 ** r with |r| <= 1 / 2 and Taylor's polynomial. The error is below 2e-7; x must
// be finite.
inline Vector power_of_two(Vector x) {
  const Vector n = nearest(x);
  const Vector r = sub(x, n);
  Vector sum = constant(1.5403530e-4f);
  for (float coefficient : {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 0.24022651f, 0.69314718f, 1.0f})
    sum = fmadd(sum, r, constant(coefficient));
  return times_power_of_two(sum, n);
}

// A Newton step doubles the correct bits, of which the guess has at least 12.
inline Vector inverse_root(Vector x) {
  const Vector guess = rough_inverse_root(x);
  const Vector half = mul(mul(x, constant(0.5f)), guess);
  return mul(guess, fnmadd(half, guess, constant(1.5f)));
}

inline Vector reciprocal(Vector x) {
  const Vector guess = rough_reciprocal(x);
  return mul(guess, fnmadd(guess, x, constant(2.0f)));
}

inline Vector hyperbolic_tangent(Vector x) {
  const Vector bounded = min(constant(20.0f), x);  // stays finite; of these, NaN is the second
  const Vector square = power_of_two(mul(bounded, constant(2 * LOG2_E)));
  return fnmadd(reciprocal(add(square, constant(1.0f))), constant(2.0f), constant(1.0f));
}

struct Gelu {
  Vector value, slope;
};

// x Phi(x) and its derivative, where Phi is the normal distribution by Abramowitz and Stegun's formula
// 7.1.26 (absolute error 1e-7).
inline Gelu gelu(Vector x) {
  const Vector size = abs(x);
  const Vector t = reciprocal(fmadd(size, constant(0.3275911f * 0.70710678f), constant(1.0f)));
  const Vector bell = power_of_two(mul(mul(x, x), constant(-0.5f * LOG2_E)));
  Vector tail = constant(0.5f * 1.061405429f);
  for (float coefficient : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f})
    tail = fmadd(tail, t, constant(0.5f * coefficient));
  tail = mul(mul(tail, t), bell);
  const Vector phi = select(less(x, constant(0.0f)), tail, sub(constant(1.0f), tail));
  return {mul(x, phi), fmadd(mul(x, constant(0.39894228f)), bell, phi)};
}

}  // namespace derain
