#pragma once

// In which order the consumers of a CTA issue their products, so that one's epilogue hides behind the other's products.

#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/pipeline/sm90_pipeline.hpp>

namespace ckl::device {

/// Ping-pong consumers take turns: one issues all products of its tile, then the other one those of the next tile.
template <int WarpgroupThreads> class PingpongOrder {
  using Turns = cutlass::OrderedSequenceBarrier<1, 2>;

 public:
  using Storage = typename Turns::SharedStorage;

  /// Called by all threads of the CTA, before its first synchronization.
  CUTE_DEVICE PingpongOrder(Storage& storage, int consumer, int /*named_barrier*/)
      : turns_(storage, {uint32_t(consumer), WarpgroupThreads}) {}

  CUTE_DEVICE void begin_tile(int /*k_tiles*/) { turns_.wait(); }
  CUTE_DEVICE void begin_k_tile(int /*left*/) {}
  CUTE_DEVICE void end_tile() { turns_.arrive(); }

 private:
  Turns turns_;
};

/// Cooperative consumers, each with its part of the same tile, end that one after the other: the second one does not begin its last `lead` K
/// tiles before the first one has issued all of its own, for which the tensor cores are all its own. So the first one's epilogue hides
/// behind these, and the second one's behind the first one's K tiles of the next tile. A third one goes with the first.
template <int WarpgroupThreads, int Stages> class CooperativeOrder {
  static constexpr int lead = Stages - 1 < 3 ? Stages - 1 : 3;  // the last `lead` K tiles are in stages all at once
  static constexpr int threads = 2 * WarpgroupThreads;

 public:
  struct Storage {};

  CUTE_DEVICE CooperativeOrder(Storage&, int consumer, int named_barrier)
      : consumer_(consumer), named_barrier_(named_barrier) {}

  /// With few K tiles the first consumer could be at the end of the next tile before the second one has heard of this one's end.
  CUTE_DEVICE void begin_tile(int k_tiles) {
    bool ordered = k_tiles > Stages;
    hold_at_ = ordered && consumer_ == 1 ? lead : 0;
    tells_ = ordered && consumer_ == 0;
  }
  /// Before all K tiles of a tile but the first; this one and those after it are `left`.
  CUTE_DEVICE void begin_k_tile(int left) {
    if (left == hold_at_) cutlass::arch::NamedBarrier::sync(threads, named_barrier_);
  }
  /// When the last product has been issued.
  CUTE_DEVICE void end_tile() {
    if (tells_) cutlass::arch::NamedBarrier::arrive(threads, named_barrier_);
  }

 private:
  int consumer_, named_barrier_, hold_at_ = 0;
  bool tells_ = false;
};

}  // namespace ckl::device
