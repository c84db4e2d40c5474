#pragma once

// The ring of shared-memory stages between the producer and the consumers of a cluster.

#include <cute/arch/cluster_sm90.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/pipeline/sm90_pipeline.hpp>

#include "device/arch.cuh"

namespace ckl::device {

/// Two mbarriers a stage. `full` completes when the producers have arrived and all bytes have landed; `empty`
/// completes when every consumer warpgroup that reads the stage, in this CTA and in the CTAs that this one
/// multicasts to, has arrived once.
///
/// The cluster is ClusterM x ClusterN CTAs, rank = x + ClusterM * y: CTAs of one row index x share A, CTAs of one
/// column index y share B. So a CTA's peers are those with its x or its y, itself included.
/// Converged: the threads of a consumer's warp are to be known not to diverge where they wait, which uniform registers take.
template <int Stages, int ClusterM, int ClusterN, bool Converged> class StagePipeline {
 public:
  struct Storage {
    cutlass::arch::ClusterTransactionBarrier full[Stages];
    cutlass::arch::ClusterBarrier empty[Stages];
  };
  using State = cutlass::PipelineState<Stages>;
  static constexpr int peers = ClusterM + ClusterN - 1;

  CUTE_DEVICE explicit StagePipeline(Storage& storage) : storage_(storage) {}

  /// Called by one thread of the CTA, before the cluster's first synchronization.
  CUTE_DEVICE static void initialize(Storage& storage, int producer_arrivals, int readers) {
    for (int stage = 0; stage < Stages; ++stage) {
      storage.full[stage].init(producer_arrivals);
      storage.empty[stage].init(readers * peers);
    }
  }

  /// A fresh producer finds every stage empty.
  CUTE_DEVICE static State producer_start() { return State(0, 1, 0); }

  // Producer side
  CUTE_DEVICE void wait_empty(State const& at) { storage_.empty[at.index()].wait(at.phase()); }
  /// Arrives and announces `bytes` of bulk copies; the barrier that the copies are to complete on.
  CUTE_DEVICE uint64_t& arrive_and_expect(State const& at, uint32_t bytes) {
    storage_.full[at.index()].arrive_and_expect_tx(bytes);
    return reinterpret_cast<uint64_t&>(storage_.full[at.index()]);
  }
  /// Arrives for data that this thread wrote itself, and has fenced.
  CUTE_DEVICE void arrive_full(State const& at) { storage_.full[at.index()].arrive(); }
  /// Waits until every stage has been released, so that no peer signals a CTA that has exited.
  CUTE_DEVICE void drain(State at) {
    for (int stage = 0; stage < Stages; ++stage, ++at) wait_empty(at);
  }

  // Consumer side
  CUTE_DEVICE void wait_full(State const& at) {
    auto& full = storage_.full[at.index()];
    if constexpr (Converged) {
      while (!all_of_warp(full.try_wait(at.phase()))) {}
    } else {
      full.wait(at.phase());
    }
  }
  /// Called by a whole warpgroup, which has read `stage`: thread i < peers tells peer i.
  CUTE_DEVICE void release(int stage, int thread) {
    if constexpr (peers == 1) {
      if (thread == 0) storage_.empty[stage].arrive();
    } else {
      storage_.empty[stage].arrive(peer(thread), thread < peers);
    }
  }

 private:
  CUTE_DEVICE static int peer(int i) {
    if constexpr (ClusterM == 1 || ClusterN == 1) {
      return i;
    } else {  // the CTAs of this y by x, then the other CTAs of this x by y
      int rank = cute::block_rank_in_cluster(), x = rank % ClusterM, y = rank / ClusterM;
      int other_y = i - ClusterM + (i - ClusterM >= y ? 1 : 0);
      return i < ClusterM ? i + ClusterM * y : x + ClusterM * other_y;
    }
  }

  Storage& storage_;
};

}  // namespace ckl::device
