#pragma once

// Sums of one tile that several CTAs have computed parts of: through the workspace, in a fixed order.

#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/barrier.h>

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// The workspace of a plan that cuts tiles: a flag for each part of each CTA, 0 between launches, then their slots.
struct FixupWorkspace {
  int* flags;
  float* slots;
};

/// Exchanges the accumulators of one consumer warpgroup. Config tells the number of parts a tile has and their size.
template <auto Config> struct Fixup {
  static constexpr int threads = Config.warpgroup_threads;
  static constexpr int values = Config.warpgroup_m() * Config.warpgroup_n() / threads;

  /// Leaves `acc` in the slot of part `part` of CTA `cta`, and says so.
  template <class Accumulators> CUTE_DEVICE static void hand_over(Accumulators const& acc,
                                                                  FixupWorkspace const& workspace, int cta, int part,
                                                                  int thread, int barrier) {
    Tensor gSlot = slot(workspace, cta, part, thread);  // (VALUES)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < values; ++i) gSlot(i) = acc(i);
    cutlass::arch::NamedBarrier::sync(threads, barrier);
    Flag::arrive_inc(workspace.flags, thread, cta * Config.readers() + part);
  }

  /// Waits for that slot, adds it to `acc`, and puts the flag back to 0 for the next launch.
  template <class Accumulators> CUTE_DEVICE static void add(Accumulators& acc, FixupWorkspace const& workspace, int cta,
                                                            int part, int thread, int barrier) {
    int flag = cta * Config.readers() + part;
    Flag::wait_eq(workspace.flags, thread, flag);
    cutlass::arch::NamedBarrier::sync(threads, barrier);
    Tensor gSlot = slot(workspace, cta, part, thread);  // (VALUES)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < values; ++i) acc(i) += gSlot(i);
    if (thread == 0) workspace.flags[flag] = 0;
  }

 private:
  /// The flags' barrier of CUTLASS; the warpgroup is synchronized here, by its own named barrier.
  struct NoSync {
    CUTE_DEVICE static void sync() {}
  };
  using Flag = cutlass::GenericBarrier<NoSync>;

  /// One thread's values of a slot; value by value, the warpgroup's threads lie side by side.
  CUTE_DEVICE static auto slot(FixupWorkspace const& workspace, int cta, int part, int thread) {
    float* first = workspace.slots + (int64_t(cta) * Config.readers() + part) * values * threads + thread;
    return make_tensor(make_gmem_ptr(first), Int<values>{}, Int<threads>{});  // (VALUES)
  }
};

}  // namespace ckl::device
