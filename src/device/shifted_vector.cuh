#pragma once

// Vectors of 16 bytes that begin between such boundaries.

#include <cute/tensor.hpp>
#include <cutlass/array.h>

namespace ckl::device {

/// The three units of 8 bytes that such a vector lies in, or two and the next one. They have to be there.
template <class T> struct ShiftedVector {
  static constexpr int UNIT = 8 / int(sizeof(T)), VEC = 2 * UNIT;  // elements
  static constexpr int PER_WORD = 4 / int(sizeof(T)), WORDS = VEC / PER_WORD;
  cute::array_aligned<T, 3 * UNIT> units;

  /// Makes all elements `x`.
  CUTE_DEVICE void fill(T x) {
    for (T& element : units) element = x;
  }

  /// Loads the units from `data` on, where one begins.
  CUTE_DEVICE void load(T const* data) {
    using Unit = cutlass::AlignedArray<T, UNIT>;
    cute::Tensor gUnits = cute::make_tensor(cute::make_gmem_ptr(data), cute::Int<3 * UNIT>{});          // (3 * UNIT)
    cute::Tensor rUnits = cute::make_tensor(cute::make_rmem_ptr(units.data()), cute::Int<3 * UNIT>{});  // (3 * UNIT)
    cute::copy(cute::recast<Unit const>(gUnits), cute::recast<Unit>(rUnits));
  }

  /// The vector that begins `shift` elements behind the first unit's begin.
  CUTE_DEVICE auto vector(int shift) const {
    cute::Tensor rUnits = cute::make_tensor(cute::make_rmem_ptr(units.data()), cute::Int<3 * UNIT>{});  // (3 * UNIT)
    cute::Tensor rWords = cute::recast<uint32_t const>(rUnits);                                         // (WORDS + 2)
    cute::Tensor rVector = cute::make_tensor<T>(cute::Int<VEC>{});                                      // (VEC)
    cute::Tensor rShifted = cute::recast<uint32_t>(rVector);                                            // (WORDS)
    auto word = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return shift >= PER_WORD ? rWords(i + 1) : rWords(i); };
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < WORDS; ++i)
      rShifted(i) =
          PER_WORD == 1 ? word(i) : uint32_t((uint64_t(word(i + 1)) << 32 | word(i)) >> shift % PER_WORD * 16);
    return rVector;
  }
};

}  // namespace ckl::device
