#pragma once

// The few things of the machine that CuTe and CUTLASS do not wrap. Raw CUDA lives here and nowhere else.

#include <cute/config.hpp>

namespace ckl::device {

/// Waits until all threads of the block have arrived (bar.sync 0).
CUTE_DEVICE void block_sync() { __syncthreads(); }

/// Waits until all threads of the warp have arrived, and makes their shared-memory accesses visible to each other.
CUTE_DEVICE void warp_sync() { __syncwarp(); }

/// Whether `x` holds in all threads of the warp (vote.sync).
CUTE_DEVICE bool all_of_warp(bool x) { return __all_sync(0xffffffff, x); }

/// `x`, which all threads of the warp have alike, as a value that the compiler knows to be so: it keeps that, and what is computed of it, in
/// uniform registers as long as the threads do not diverge (redux.sync).
CUTE_DEVICE int uniform(int x) { return static_cast<int>(__reduce_or_sync(0xffffffff, static_cast<unsigned>(x))); }

/// Adds `value` to *counter and returns what was there before; orders nothing else (atom.relaxed.gpu).
CUTE_DEVICE int atomic_add(int* counter, int value) { return atomicAdd(counter, value); }

/// Programmatic dependent launch: a kernel that is launched with `overlaps_preceding` (host/launch.hpp) may start while the
/// grids before it in the stream still run. Every thread calls this before it touches global memory: it returns when those
/// grids have completed and what they wrote is visible.
CUTE_DEVICE void wait_for_preceding_grids() { cudaGridDependencySynchronize(); }

/// Says that the next grid of the stream may start as soon as there is room: its prologue then hides behind this grid's end.
CUTE_DEVICE void allow_next_grid() { cudaTriggerProgrammaticLaunchCompletion(); }

/// Stores the 1, 2 or 4 values of `x` at `to` in the shared memory of a CTA of the cluster, aligned to all of them, and counts their bytes
/// at the mbarrier `barrier` of the same CTA (st.async). Both are addresses in the cluster's window (cute::set_block_rank).
template <int W> CUTE_DEVICE void store_async(uint32_t to, float const (&x)[W], uint32_t barrier) {
  static_assert(W == 1 || W == 2 || W == 4);
  if constexpr (W == 4)
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(to),
                 "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3]), "r"(barrier));
  else if constexpr (W == 2)
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(to),
                 "f"(x[0]), "f"(x[1]), "r"(barrier));
  else
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to), "f"(x[0]),
                 "r"(barrier));
}

/// The larger one of each half of x and y, both bf16 or both f16; of a NaN and a number, the number (max.bf16x2, max.f16x2).
CUTE_DEVICE uint32_t larger_bf16x2(uint32_t x, uint32_t y) {
  uint32_t z;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(z) : "r"(x), "r"(y));
  return z;
}
CUTE_DEVICE uint32_t larger_f16x2(uint32_t x, uint32_t y) {
  uint32_t z;
  asm("max.f16x2 %0, %1, %2;" : "=r"(z) : "r"(x), "r"(y));
  return z;
}

/// 2^x to within 2 units in the last place; results below 2^-126 become 0 (ex2.approx.ftz).
CUTE_HOST_DEVICE float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Four of the eight bytes of x and y, those that the digits of `selector` name from the lowest on: 0 to 3 of x, 4 to 7 of y.
CUTE_DEVICE uint32_t permute_bytes(uint32_t x, uint32_t y, uint32_t selector) { return __byte_perm(x, y, selector); }

}  // namespace ckl::device
