#pragma once

// Rows of fp8, each with a scale of its own.

#include <cfloat>

#include <cute/tensor.hpp>
#include <cutlass/numeric_conversion.h>

#include "ckl/tensor.hpp"

namespace ckl::device {

/// What a row of fp8 numbers is to be multiplied by, and its reciprocal, which makes them.
struct RowScale {
  float scale, reciprocal;

  /// The scale that takes `largest`, the largest magnitude of a row, to the largest number of `dtype`, e4m3 or e5m2. Never below 2^-126,
  /// so that its reciprocal is finite, that of a row of zeros too; an infinity counts as the largest float.
  CUTE_DEVICE static RowScale of(float largest, DType dtype) {
    float limit = dtype == DType::e4m3 ? 448.0f : 57344.0f;
    float scale = fmaxf(fminf(largest, FLT_MAX) / limit, FLT_MIN);
    return {scale, 1.0f / scale};
  }

  /// The number to be rounded to fp8: what is beyond its largest one saturates then.
  CUTE_DEVICE float operator()(float y) const { return y * reciprocal; }
};

/// values(0) to values(N - 1) as bits of F8, e4m3 or e5m2: rounded to the nearest, saturating.
template <class F8, int N, class Values, class Bits> CUTE_DEVICE void to_fp8(Values const& values, Bits& bits) {
  constexpr int STEP = N % 4 == 0 ? 4 : N % 2 ? 1 : 2;  // a register of them; the hardware converts two at a time
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < N; i += STEP) {
    cutlass::Array<float, STEP> x;
    CUTLASS_PRAGMA_UNROLL
    for (int j = 0; j < STEP; ++j) x[j] = values(i + j);
    auto y = cutlass::NumericArrayConverter<F8, float, STEP>::convert(x);
    using Word = cute::uint_bit_t<8 * STEP>;
    cute::recast<Word>(bits)(i / STEP) = reinterpret_cast<Word const&>(y);
  }
}

}  // namespace ckl::device
