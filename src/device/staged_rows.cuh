#pragma once

// Rows of a matrix on their way from global memory to a staging buffer, in vectors of 16 bytes.

#include <cute/tensor.hpp>
#include <cute/algorithm/prefetch.hpp>
#include <cutlass/arch/memory.h>

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// A part of a matrix in global memory whose rows are whole vectors, each at a multiple of 16 bytes.
struct VectorRows {
  uint128_t const* data;  // of the part's first row
  int64_t row_stride;     // vectors
  int rows, across;       // how many rows, and vectors of each, lie inside of the matrix; maybe fewer than none

  /// A part that begins with `first`, of which `rows` rows and `columns` columns lie inside.
  template <class T> CUTE_DEVICE static VectorRows at(T const* first, int64_t row_stride, int rows, int columns) {
    constexpr int VEC = sizeof(uint128_t) / sizeof(T);
    return {reinterpret_cast<uint128_t const*>(first), row_stride / VEC, rows, columns / VEC};
  }

  /// Brings the first ROWS rows, up to ACROSS vectors of each, to L2, a line of 128 bytes at a time. Called by THREADS threads.
  template <int ROWS, int ACROSS, int THREADS> CUTE_DEVICE void prefetch(int thread) const {
    constexpr int LINE = 128 / sizeof(uint128_t), LINES = ceil_div(ACROSS, LINE) + (ACROSS % LINE != 0);
    CUTLASS_PRAGMA_UNROLL
    for (int i = thread; i < ROWS * LINES; i += THREADS) {
      int r = i / LINES, v = cute::min(i % LINES * LINE, across - 1);
      if (r < rows && across > 0) cute::prefetch(data + r * row_stride + v);
    }
  }
};

/// ROWS rows of ACROSS vectors each, in the registers of a warp: all of them under way at a time.
template <int ROWS, int ACROSS> class StagedRows {
  static constexpr int warp_threads = 32, COUNT = ROWS * ACROSS / warp_threads;
  static_assert(ROWS * ACROSS % warp_threads == 0, "all threads hold as many vectors");
  uint128_t vectors_[COUNT];

  /// Of vector i of a thread: its row, and its number in the row.
  CUTE_DEVICE static int down(int i, uint32_t lane) {
    if constexpr (warp_threads % ACROSS == 0) return i * (warp_threads / ACROSS) + lane / ACROSS;
    return (i * warp_threads + lane) / ACROSS;
  }
  CUTE_DEVICE static int across(int i, uint32_t lane) {
    if constexpr (warp_threads % ACROSS == 0) return lane % ACROSS;
    return (i * warp_threads + lane) % ACROSS;
  }

 public:
  /// What lies outside of the matrix is zero. Nobody reads these rows again: they are not to drive operands out of L2.
  CUTE_DEVICE void load(VectorRows const& from, uint32_t lane) {
    auto vector_at = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return from.data + down(i, lane) * from.row_stride + across(i, lane);
    };
    uint128_t const* origin = vector_at(0);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < COUNT; ++i) {
      bool inside = down(i, lane) < from.rows && across(i, lane) < from.across;
      uint128_t const* at =
          warp_threads % ACROSS == 0 ? origin + down(i, 0) * from.row_stride : vector_at(i);  // one addition
      vectors_[i] = uint128_t{};
      cutlass::arch::global_load<uint128_t, 16, cutlass::arch::CacheOperation::LastUse>(vectors_[i], at, inside);
    }
  }
  /// To the rows of a staging buffer, (ROWS, COLUMNS) of any elements.
  template <class Smem> CUTE_DEVICE void put(Smem const& sW, uint32_t lane) const {
    Tensor sV = recast<uint128_t>(sW);  // (ROWS, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < COUNT; ++i)
      if (ACROSS == size<1>(sV) || across(i, lane) < size<1>(sV)) sV(down(i, lane), across(i, lane)) = vectors_[i];
  }
};

}  // namespace ckl::device
