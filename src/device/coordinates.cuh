#pragma once

// From the number of an element to its coordinates and its place in memory. Dimensions are laid out from the outermost inwards.

#include <cstdint>

#include <cute/config.hpp>

#include "device/divider.hpp"

namespace ckl::device {

/// Calls f(d, coordinate) for the dimensions `inner`, the fastest, down to `outer`, of element `number` of them, counted in C order. No
/// division is done for the outermost one: its size is not looked at.
template <class Index, class F>
CUTE_DEVICE void for_each_coordinate(Divider const* sizes, int outer, int inner, Index number, F const& f) {
  CUTLASS_PRAGMA_NO_UNROLL
  for (int d = inner; d > outer; --d) {
    Index rest = sizes[d].quotient(number);
    f(d, int64_t(number - rest * Index(sizes[d].divisor)));
    number = rest;
  }
  f(outer, int64_t(number));
}

/// Elements from the first one to element `number` < `count` of `rank` dimensions, at least one. Where numbers have 32 bits, so have the
/// divisions.
CUTE_DEVICE int64_t strided_offset(Divider const* sizes, int64_t const* strides, int rank, int64_t count,
                                   int64_t number) {
  if (rank == 1) return number * strides[0];
  int64_t offset = 0;
  auto add = [&](int d, int64_t coordinate) CUTLASS_LAMBDA_FUNC_INLINE { offset += coordinate * strides[d]; };
  if (count < int64_t(1) << 31)
    for_each_coordinate(sizes, 0, rank - 1, int32_t(number), add);
  else
    for_each_coordinate(sizes, 0, rank - 1, number, add);
  return offset;
}

/// The same of numbers of 32 bits, out of line.
inline __noinline__ __device__ int64_t strided_offset_aside(Divider const* sizes, int64_t const* strides, int rank,
                                                            int32_t number) {
  int64_t offset = 0;
  for_each_coordinate(sizes, 0, rank - 1, number,
                      [&](int d, int64_t coordinate) CUTLASS_LAMBDA_FUNC_INLINE { offset += coordinate * strides[d]; });
  return offset;
}

}  // namespace ckl::device
