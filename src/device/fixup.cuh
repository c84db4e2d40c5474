#pragma once

// Sums of one tile that several CTAs have computed parts of: through the workspace, in a fixed order.

#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/barrier.h>

#include "device/arch.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// The workspace of a plan that cuts tiles: two flags for each part of each CTA, 0 between launches, then their slots.
struct FixupWorkspace {
  int* flags;
  float* slots;
};

/// Exchanges the accumulators of one consumer warpgroup, or the sums that it has got of them in its cluster. Config tells the number of
/// parts a tile has and their size.
template <auto Config> struct Fixup {
  static constexpr int threads = Config.warpgroup_threads;
  static constexpr int values = Config.sums();

  /// Stream-K: leaves `acc` in the slot of part `part` of CTA `cta`, and says so.
  template <class Accumulators> CUTE_DEVICE static void hand_over(Accumulators const& acc,
                                                                  FixupWorkspace const& workspace, int cta, int part,
                                                                  int thread, int barrier) {
    leave(acc, workspace, cta, part, thread, barrier);
    Flag::arrive_inc(workspace.flags, thread, flag(cta, part));
  }

  /// Waits for that slot, adds it to `acc`, and puts the flag back to 0 for the next launch.
  template <class Accumulators> CUTE_DEVICE static void add(Accumulators& acc, FixupWorkspace const& workspace, int cta,
                                                            int part, int thread, int barrier) {
    Flag::wait_eq(workspace.flags, thread, flag(cta, part));
    cutlass::arch::NamedBarrier::sync(threads, barrier);
    Tensor gSlot = slot(workspace, cta, part, thread);  // (VALUES)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < values; ++i) acc(i) += gSlot(i);
    if (thread == 0) workspace.flags[flag(cta, part)] = 0;
  }

  /// Split-K: leaves `acc` in this CTA's slot, waits until all `splits` CTAs that share the tile have done so, and calls
  /// f(value, sum) for this CTA's share of the values: sums in the order of the CTAs, which lie `stride` apart from
  /// `first_cta` on, this being number `split` of them.
  template <class Accumulators, class F>
  CUTE_DEVICE static void reduce(Accumulators const& acc, FixupWorkspace const& workspace, int first_cta, int stride,
                                 int split, int splits, int part, int thread, int barrier, F const& f) {
    leave(acc, workspace, first_cta + split * stride, part, thread, barrier);
    int arrived = flag(first_cta, part), finished = arrived + 1;
    Flag::arrive_inc(workspace.flags, thread, arrived);
    Flag::wait_lt(workspace.flags, thread, arrived, splits);
    cutlass::arch::NamedBarrier::sync(threads, barrier);

    // As many loads at a time as there are registers for: each takes hundreds of clocks. Shares of LARGE values are of few slots, which one
    // round of loads takes: (values + splits - 1) / splits >= LARGE.
    constexpr int LARGE = 16, FEW = 8;
    static_assert(Config.can_split_k() && (values - 1) / (LARGE - 1) <= FEW, "a thread has 128 values at most");
    int share = (values + splits - 1) / splits, begin = split * share;
    int end = begin + share < values ? begin + share : values;
    auto slot_of = [&](int s) { return slot(workspace, first_cta + s * stride, part, thread); };
    if (share == 1)
      add_slots<1, 32>(slot_of, splits, begin, end, f);
    else if (share < LARGE)
      add_slots<4, 32>(slot_of, splits, begin, end, f);
    else
      add_slots<LARGE, FEW>(slot_of, splits, begin, end, f);

    // The last to finish puts both flags back to 0 for the next launch.
    cutlass::arch::NamedBarrier::sync(threads, barrier);
    if (thread == 0 && atomic_add(&workspace.flags[finished], 1) == splits - 1)
      workspace.flags[arrived] = workspace.flags[finished] = 0;
  }

 private:
  /// The flags' barrier of CUTLASS; the warpgroup is synchronized here, by its own named barrier.
  struct NoSync {
    CUTE_DEVICE static void sync() {}
  };
  using Flag = cutlass::GenericBarrier<NoSync>;

  /// f(v, the sum of value v of all slots, in their order) for the values from `begin` to `end`, V values of S slots at a time.
  template <int V, int S, class Slots, class F>
  CUTE_DEVICE static void add_slots(Slots const& slot_of, int slots, int begin, int end, F const& f) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (int v = begin; v < end; v += V) {
      float sums[V] = {};
      CUTLASS_PRAGMA_NO_UNROLL
      for (int s = 0; s < slots; s += S) {
        Tensor rSlots = make_tensor<float>(Shape<Int<V>, Int<S>>{});  // (V, S)
        CUTLASS_PRAGMA_UNROLL
        for (int j = 0; j < S; ++j) {
          Tensor gSlot = slot_of(s + j);  // (VALUES)
          CUTLASS_PRAGMA_UNROLL
          for (int i = 0; i < V; ++i) rSlots(i, j) = v + i < end && s + j < slots ? gSlot(v + i) : 0.0f;
        }
        CUTLASS_PRAGMA_UNROLL
        for (int j = 0; j < S; ++j) {
          CUTLASS_PRAGMA_UNROLL
          for (int i = 0; i < V; ++i) sums[i] += rSlots(i, j);
        }
      }
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < V; ++i)
        if (v + i < end) f(v + i, sums[i]);
    }
  }

  /// The first of the two flags of a part of a CTA.
  CUTE_DEVICE static int flag(int cta, int part) { return 2 * (cta * Config.readers() + part); }

  template <class Accumulators> CUTE_DEVICE static void leave(Accumulators const& acc, FixupWorkspace const& workspace,
                                                              int cta, int part, int thread, int barrier) {
    Tensor gSlot = slot(workspace, cta, part, thread);  // (VALUES)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < values; ++i) gSlot(i) = acc(i);
    cutlass::arch::NamedBarrier::sync(threads, barrier);
  }

  /// One thread's values of a slot; value by value, the warpgroup's threads lie side by side.
  CUTE_DEVICE static auto slot(FixupWorkspace const& workspace, int cta, int part, int thread) {
    float* first = workspace.slots + (int64_t(cta) * Config.readers() + part) * values * threads + thread;
    return make_tensor(make_gmem_ptr(first), Int<values>{}, Int<threads>{});  // (VALUES)
  }
};

}  // namespace ckl::device
