#pragma once

// Sums and maxima over the threads that share a row: a part of a warp, a block, or the blocks of a cluster. Always in the same
// order, so that equal inputs give equal bits, in all threads.

#include <cooperative_groups.h>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/config.hpp>
#include <cute/container/array.hpp>
#include <cute/tensor.hpp>

#include "device/arch.cuh"

namespace ckl::device {

struct Sum {
  static constexpr float identity = 0.0f;
  template <class Value> CUTE_DEVICE Value operator()(Value x, Value y) const { return x + y; }
};
struct Max {
  static constexpr float identity = -INFINITY;
  CUTE_DEVICE float operator()(float x, float y) const { return fmaxf(x, y); }
};

/// The value of `x` in the lane whose number differs in the bits of `mask`; all lanes of the warp take part.
template <class Value> CUTE_DEVICE Value from_lane_xor(Value x, int mask) {
  namespace cg = cooperative_groups;
  return cg::tiled_partition<32>(cg::this_thread_block()).shfl_xor(x, unsigned(mask));
}

/// Reduces over groups of GROUP threads, a power of two from 4 on. A group larger than a warp is the whole block; with IsCluster, the
/// block's result is reduced further over its cluster. All threads of the block call it, each time from the same place, and all with
/// the same type: Value is the widest. Up to max_values are reduced together, for one round of synchronization.
template <int GROUP, bool IsCluster, class Value = float> class RowReduction {
 public:
  static constexpr int warp = 32, warps = GROUP > warp ? GROUP / warp : 1, max_cluster = 8, max_values = 2;
  template <size_t N> using Values = cute::array<Value, N>;

  /// Partial results of two reductions in turn: who starts the next but one has seen everybody read this one.
  struct Storage {
    Value of_warps[2][max_values][warps], of_blocks[2][max_values][max_cluster];
  };

  CUTE_DEVICE explicit RowReduction(Storage& storage) : storage_(storage) {
    if constexpr (IsCluster) cute::cluster_arrive_relaxed();
  }

  template <class Operation> CUTE_DEVICE Value operator()(Value x, Operation operation) {
    return (*this)(Values<1>{{x}}, operation)[0];
  }

  /// The same for N values, each by itself.
  template <size_t N, class Operation> CUTE_DEVICE Values<N> operator()(Values<N> x, Operation operation) {
    static_assert(N <= max_values);
    x = within_warp(x, operation, GROUP < warp ? GROUP : warp);
    if constexpr (warps > 1) {
      auto& partial = storage_.of_warps[turn_];
      int lane = threadIdx.x % warp;
      CUTLASS_PRAGMA_UNROLL
      for (size_t n = 0; n < N; ++n)
        if (lane == 0) partial[n][threadIdx.x / warp] = x[n];
      block_sync();
      CUTLASS_PRAGMA_UNROLL
      for (size_t n = 0; n < N; ++n) x[n] = lane < warps ? partial[n][lane] : Value(Operation::identity);
      x = within_warp(x, operation, warp);
    }
    if constexpr (IsCluster) x = within_cluster(x, operation);
    turn_ ^= 1;
    return x;
  }

 private:
  /// Over neighbouring lanes, `width` of them; every lane gets the same bits, since both operations commute.
  template <size_t N, class Operation>
  CUTE_DEVICE static Values<N> within_warp(Values<N> x, Operation operation, int width) {
    CUTLASS_PRAGMA_UNROLL
    for (int distance = 1; distance < warp; distance *= 2) {
      CUTLASS_PRAGMA_UNROLL
      for (size_t n = 0; n < N; ++n)
        if (distance < width) x[n] = operation(x[n], from_lane_xor(x[n], distance));
    }
    return x;
  }

  /// Every block tells all blocks of the cluster its result. Whoever has left has read the results of all, and nobody writes to it any
  /// more.
  template <size_t N, class Operation> CUTE_DEVICE Values<N> within_cluster(Values<N> x, Operation operation) {
    if (!peers_have_started_) cute::cluster_wait();
    peers_have_started_ = true;
    auto& partial = storage_.of_blocks[turn_];
    int blocks = int(cute::cluster_shape().x), rank = int(cute::block_rank_in_cluster());
    CUTLASS_PRAGMA_UNROLL
    for (size_t n = 0; n < N; ++n)
      if (int(threadIdx.x) < blocks)
        *cooperative_groups::this_cluster().map_shared_rank(&partial[n][rank], threadIdx.x) = x[n];
    cute::cluster_sync();
    CUTLASS_PRAGMA_UNROLL
    for (size_t n = 0; n < N; ++n) {
      x[n] = partial[n][0];
      for (int block = 1; block < blocks; ++block) x[n] = operation(x[n], partial[n][block]);
    }
    return x;
  }

  Storage& storage_;
  int turn_ = 0;
  bool peers_have_started_ = false;  // before, their shared memory is not theirs
};

}  // namespace ckl::device
