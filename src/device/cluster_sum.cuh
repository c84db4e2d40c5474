#pragma once

// Sums of one tile whose K the CTAs of a cluster share: through distributed shared memory, in a fixed order.

#include <cute/tensor.hpp>
#include <cute/arch/cluster_sm90.hpp>
#include <cutlass/arch/barrier.h>

#include "device/arch.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// Exchanges the accumulators of one consumer warpgroup with those of the same number in the other CTAs of the cluster. Each CTA adds up a
/// share of the values, the same ones of every thread: CTA r those from r * Config.sums() on. It has an inbox for what all CTAs, itself
/// included, have of its share; the senders store there straight from their registers, and a barrier beside it counts the bytes. The inbox
/// is no part of the mainloop's stages, so that nobody has to wait until another CTA has left them.
template <auto Config> class ClusterSum {
 public:
  static constexpr int CTAS = Config.cluster_k, SUMS = Config.sums(), THREADS = Config.warpgroup_threads;

 private:
  static constexpr int W = SUMS % 4 == 0 ? 4 : 2, VECTORS = SUMS / W;  // values that are stored together
  using Vector = cutlass::AlignedArray<float, W>;
  // Of each sender, vector by vector, the warpgroup's threads lie side by side.
  using InboxLayout =
      Layout<Shape<Int<VECTORS>, Int<THREADS>, Int<CTAS>>, Stride<Int<THREADS>, _1, Int<VECTORS * THREADS>>>;
  static constexpr int inbox_bytes = CTAS * SUMS * THREADS * sizeof(float);

 public:
  struct Storage {
    alignas(128) array_aligned<Vector, cosize_v<InboxLayout>> inbox;
  };
  struct Barriers {
    cutlass::arch::ClusterTransactionBarrier full;  // this CTA's inbox is
    cutlass::arch::ClusterBarrier empty;            // all CTAs' inboxes are
  };

  /// Called by one thread of the CTA, before the cluster's first synchronization.
  CUTE_DEVICE static void initialize(Barriers& barriers) {
    barriers.full.init(1);
    barriers.empty.init(CTAS);
  }

  /// Before tile `number` of this CTA, 0 for its first: tells all CTAs that the inbox is empty again. The cluster's first synchronization
  /// has said so for the first tile, and after the last nobody may be told, who could have exited.
  CUTE_DEVICE static void announce_empty(Barriers& barriers, int number, int thread) {
    if (number > 0) barriers.empty.arrive(thread, thread < CTAS);
  }

  /// The sums of this CTA's share of the values, in the order of the CTAs' ranks; `rank` is its own. Called by all threads of the
  /// warpgroup, which `named_barrier` synchronizes, in all CTAs.
  template <class Accumulators> CUTE_DEVICE static auto reduce(Accumulators& acc, int number, int rank, int thread,
                                                               int named_barrier, Storage& storage,
                                                               Barriers& barriers) {
    if (thread == 0) barriers.full.arrive_and_expect_tx(inbox_bytes);
    if (number > 0) barriers.empty.wait((number - 1) & 1);
    Tensor sInbox = make_tensor(make_smem_ptr(storage.inbox.data()), InboxLayout{});  // (VECTORS, THREADS, CTAS)
    send(acc, rank, sInbox(_, thread, rank), barriers);

    barriers.full.wait(number & 1);
    warp_sync();                                                       // the compiler would load before the wait
    Tensor rSums = make_tensor<float>(Shape<Int<W>, Int<VECTORS>>{});  // (W, VECTORS)
    clear(rSums);
    CUTLASS_PRAGMA_UNROLL
    for (int from = 0; from < CTAS; ++from) {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VECTORS; ++v) {
        Vector x = sInbox(v, thread, from);
        CUTLASS_PRAGMA_UNROLL
        for (int w = 0; w < W; ++w) rSums(w, v) += x[w];
      }
    }
    warp_sync();                                                // nor are the loads to move beyond CUTLASS's barrier
    cutlass::arch::NamedBarrier::sync(THREADS, named_barrier);  // announce_empty() speaks for all threads
    return rSums;
  }

 private:
  /// Stores every CTA its share of `acc`, at the same place of its inbox as `sSlot` is in this one's. Each CTA begins with itself and goes
  /// on in the order of the ranks, so that no two send to the same one. The loop is not unrolled, but for what names accumulators.
  template <class Accumulators, class Slot>
  CUTE_DEVICE static void send(Accumulators& acc, int rank, Slot const& sSlot, Barriers& barriers) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (int step = 0; step < CTAS; ++step) {
      int to = (rank + step) % CTAS;
      uint32_t barrier = set_block_rank(cast_smem_ptr_to_uint(&barriers.full), to);
      warpgroup_fence_operand(acc);  // accumulators are not to be moved around outside of the loop
      for_each(make_seq<CTAS>{}, [&](auto number) CUTLASS_LAMBDA_FUNC_INLINE {
        constexpr int share = decltype(number)::value;
        if (share == to) {
          CUTLASS_PRAGMA_UNROLL
          for (int v = 0; v < VECTORS; ++v) {
            float x[W];
            CUTLASS_PRAGMA_UNROLL
            for (int w = 0; w < W; ++w) x[w] = acc(share * SUMS + v * W + w);
            store_async(set_block_rank(cast_smem_ptr_to_uint(&sSlot(v)), to), x, barrier);
          }
        }
      });
    }
  }
};

}  // namespace ckl::device
