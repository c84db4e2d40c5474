#pragma once

// Elements of dtypes that are known at run time only. The branches are the same for all threads.

#include <cute/tensor.hpp>
#include <cutlass/numeric_conversion.h>

#include "ckl/tensor.hpp"

namespace ckl::device {

/// A boolean as it lies in memory: any byte but 0 is true.
struct Boolean {
  uint8_t byte;
};

/// Calls f(uintN_t{}) with the unsigned integer of `bytes` bytes, Widest at most.
template <int Widest, class F> CUTE_DEVICE void with_element_bits(int bytes, F&& f) {
  if constexpr (Widest == 8)
    if (bytes == 8) return f(uint64_t{});
  if constexpr (Widest >= 4)
    if (bytes == 4) return f(uint32_t{});
  if constexpr (Widest >= 2)
    if (bytes == 2) return f(uint16_t{});
  f(uint8_t{});
}

/// Calls f(Element{}) for the type of DType `dtype`, which is one of those that convert to and from C and have at most Widest bytes: all but f64
/// and i8 for float; i64, i32 and b8 for int64_t.
template <class C, int Widest, class F> CUTE_DEVICE void with_element(int dtype, F&& f) {
  if constexpr (Widest == 8)
    if (dtype == int(DType::i64)) return f(int64_t{});
  if constexpr (cute::is_same_v<C, float>) {
    if constexpr (Widest >= 4)
      if (dtype == int(DType::f32)) return f(float{});
    if constexpr (Widest >= 2)
      if (dtype == int(DType::bf16)) return f(cutlass::bfloat16_t{});
    if (dtype == int(DType::e4m3)) return f(cutlass::float_e4m3_t{});
    if constexpr (Widest >= 2)
      if (dtype == int(DType::f16)) return f(cutlass::half_t{});
    if (dtype == int(DType::e5m2)) return f(cutlass::float_e5m2_t{});
  }
  if constexpr (Widest >= 4)
    if (dtype == int(DType::i32)) return f(int32_t{});
  f(Boolean{});
}

/// One element. Integers round to the nearest float; floats truncate to integers, beyond whose range they saturate, and NaN becomes 0; an
/// i64 keeps its low bits in an i32. What is not 0 is true.
template <class To, class From> CUTE_DEVICE To convert_element(From x) {
  if constexpr (cute::is_same_v<To, From>)
    return x;
  else if constexpr (cute::is_same_v<To, Boolean>)
    return Boolean{uint8_t(x != From(0))};
  else if constexpr (cute::is_same_v<From, Boolean>)
    return To(int(x.byte != 0));
  else if constexpr (cute::is_same_v<To, int64_t> && cute::is_same_v<From, float>)
    return x == x ? int64_t(x) : 0;  // the hardware makes the lowest number of a NaN
  else
    return To(x);
}

template <class T> inline constexpr bool is_float_v =
    cute::is_same_v<T, float> || cute::is_same_v<T, cutlass::half_t> || cute::is_same_v<T, cutlass::bfloat16_t> ||
    cute::is_same_v<T, cutlass::float_e4m3_t> || cute::is_same_v<T, cutlass::float_e5m2_t>;

/// A vector of elements. Floats round to the nearest, ties to even; 8-bit ones saturate.
template <class To, class From, int N> CUTE_DEVICE cutlass::Array<To, N> convert(cutlass::Array<From, N> const& x) {
  if constexpr (is_float_v<To> && is_float_v<From>) {
    return cutlass::NumericArrayConverter<To, From, N>::convert(x);
  } else {
    cutlass::Array<To, N> y;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < N; ++i) y[i] = convert_element<To>(From(x[i]));
    return y;
  }
}

}  // namespace ckl::device
