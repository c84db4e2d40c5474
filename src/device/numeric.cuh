#pragma once

#include <cutlass/array.h>
#include <cutlass/numeric_conversion.h>
#include <cutlass/numeric_types.h>
#include <cutlass/platform/platform.h>

#include "ckl/tensor.hpp"

namespace ckl::device {

/// The CUTLASS type of a DType.
template <DType D> struct ElementOf;
template <> struct ElementOf<DType::f32> { using type = float; };
template <> struct ElementOf<DType::f16> { using type = cutlass::half_t; };
template <> struct ElementOf<DType::bf16> { using type = cutlass::bfloat16_t; };
template <> struct ElementOf<DType::f64> { using type = double; };
template <> struct ElementOf<DType::i32> { using type = int32_t; };
template <> struct ElementOf<DType::i64> { using type = int64_t; };
template <DType D> using Element = typename ElementOf<D>::type;

/// e^x
CUTE_DEVICE float exponential(float x) { return exp2f(x * 1.4426950408889634f); }
CUTE_DEVICE double exponential(double x) { return exp(x); }

/// Calls f(Element{}) for the floating-point type that `dtype` names at run time: f32, f16 or bf16.
template <class F> CUTE_DEVICE void with_element(DType dtype, F&& f) {
  if (dtype == DType::bf16)
    f(cutlass::bfloat16_t{});
  else if (dtype == DType::f16)
    f(cutlass::half_t{});
  else
    f(float{});
}

/// Converts elements of type T, or the bits of f16 or bf16 ones, of which of the two is known at run time: code for both is there once, but
/// takes two more instructions for each pair.
struct RuntimeFormat {
  using Bits = uint16_t;
  bool is_f16;

  CUTE_DEVICE explicit RuntimeFormat(DType dtype) : is_f16(dtype == DType::f16) {}

  template <class T> CUTE_DEVICE float to_float(T x) const {
    if constexpr (cute::is_same_v<T, Bits>)
      return is_f16 ? float(cutlass::half_t::bitcast(x)) : float(cutlass::bfloat16_t::bitcast(x));
    else
      return float(x);
  }
  template <class T> CUTE_DEVICE cutlass::Array<T, 2> from_floats(cutlass::Array<float, 2> const& x) const {
    if constexpr (cute::is_same_v<T, Bits>) {
      using cutlass::platform::bit_cast;
      auto f16 = bit_cast<uint32_t>(cutlass::NumericArrayConverter<cutlass::half_t, float, 2>::convert(x));
      auto bf16 = bit_cast<uint32_t>(cutlass::NumericArrayConverter<cutlass::bfloat16_t, float, 2>::convert(x));
      return bit_cast<cutlass::Array<T, 2>>(is_f16 ? f16 : bf16);
    } else {
      return cutlass::NumericArrayConverter<T, float, 2>::convert(x);
    }
  }
};

/// Calls f(float{}) for f32, f(RuntimeFormat::Bits{}) for f16 and bf16.
template <class F> CUTE_DEVICE void with_stored_element(DType dtype, F&& f) {
  if (dtype == DType::f32)
    f(float{});
  else
    f(RuntimeFormat::Bits{});
}

}  // namespace ckl::device
