#pragma once

// Sums and maxima over the threads that share a row: a part of a warp, a block, or the blocks of a cluster. Always in the same
// order, so that equal inputs give equal bits, in all threads.

#include <cooperative_groups.h>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/config.hpp>
#include <cute/container/array.hpp>
#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>

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

/// Reduces over groups of GROUP threads, a power of two from 4 on, each of GROUPS in a block by itself; a group that is larger than a warp
/// consists of whole warps. With max_cluster > 1, the groups of the same number in all blocks of the cluster may go on together. All
/// threads of a group call it, each time from the same place, and all with the same type. Up to max_values are reduced together,
/// for one round of synchronization.
template <int GROUP, int GROUPS, int MAX_CLUSTER, class Value = float> class RowReduction {
 public:
  static constexpr int warp = 32, warps = GROUP > warp ? GROUP / warp : 1, max_values = 3;
  static constexpr bool is_cluster = MAX_CLUSTER > 1;
  template <size_t N> using Values = cute::array<Value, N>;
  using OfBlocks = Value[max_values][MAX_CLUSTER];
  static_assert(!is_cluster || warps > 1);
  static constexpr int barriers = 16;  // that a block has
  static_assert(warps == 1 || GROUPS <= barriers);

  /// Partial results of two reductions in turn: who starts the next but one has seen everybody read this one.
  struct Storage {
    struct Group {
      Value of_warps[2][max_values][warps];
      OfBlocks of_blocks[2];
      uint64_t arrived[2];  // what the other blocks of the cluster tell
    };
    Group groups[warps > 1 ? GROUPS : 1];
  };

  /// With a cluster, waits for its blocks to start: before, their shared memory is not theirs.
  CUTE_DEVICE explicit RowReduction(Storage& storage)
      : storage_(storage.groups[warps > 1 && GROUPS > 1 ? threadIdx.x / GROUP : 0]) {
    if constexpr (is_cluster) {
      if (blocks() == 1) return;
      if (thread() == 0)
        for (uint64_t& barrier : storage_.arrived) cute::initialize_barrier(barrier, 1);
      cutlass::arch::fence_barrier_init();
      cute::cluster_arrive_relaxed();
      cute::cluster_wait();
    }
  }

  /// Over the group, and the cluster.
  template <size_t N, class Operation> CUTE_DEVICE Values<N> operator()(Values<N> x, Operation operation) {
    x = in_group(x, operation);
    if constexpr (is_cluster) {
      if (blocks() == 1) return x;
      OfBlocks const& all = gather(x);
      for (size_t n = 0; n < N; ++n) {
        x[n] = all[n][0];
        for (int block = 1; block < blocks(); ++block) x[n] = operation(x[n], all[n][block]);
      }
    }
    return x;
  }
  template <class Operation> CUTE_DEVICE Value operator()(Value x, Operation operation) {
    return (*this)(Values<1>{{x}}, operation)[0];
  }

  /// Over the group alone.
  template <size_t N, class Operation> CUTE_DEVICE Values<N> in_group(Values<N> x, Operation operation) {
    static_assert(N <= max_values);
    x = within_warp(x, operation, GROUP < warp ? GROUP : warp);
    if constexpr (warps > 1) {
      auto& partial = storage_.of_warps[turn_];
      int lane = threadIdx.x % warp;
      CUTLASS_PRAGMA_UNROLL
      for (size_t n = 0; n < N; ++n)
        if (lane == 0) partial[n][thread() / warp] = x[n];
      sync();
      CUTLASS_PRAGMA_UNROLL
      for (size_t n = 0; n < N; ++n) x[n] = partial[n][lane % warps];
      x = within_warp(x, operation, warps);
    }
    turn_ ^= 1;
    return x;
  }
  template <class Operation> CUTE_DEVICE Value in_group(Value x, Operation operation) {
    return in_group(Values<1>{{x}}, operation)[0];
  }

  /// The same behind a branch that all threads of the group take: which buffer is next does not depend on that.
  template <size_t N, class Operation> CUTE_DEVICE Values<N> in_group_aside(Values<N> x, Operation operation) {
    x = in_group(x, operation);
    sync();
    turn_ ^= 1;
    return x;
  }

  /// Whether `x` holds for a group of those that share a warp: for the group, where it is no smaller. All threads of a group agree on it.
  CUTE_DEVICE static bool any_group_of_warp(bool x) {
    namespace cg = cooperative_groups;
    if constexpr (GROUP < warp) return cg::tiled_partition<warp>(cg::this_thread_block()).any(x);
    return x;
  }

  /// Tells the other blocks of the cluster what the group's threads agree on, and learns the same of them: value n of block b is [n][b],
  /// until the next but one call. Between two calls the group reduces something.
  template <size_t N> CUTE_DEVICE OfBlocks const& gather(Values<N> const& x) {
    static_assert(N <= max_values);
    OfBlocks& all = storage_.of_blocks[cluster_turn_ & 1];
    uint64_t& arrived = storage_.arrived[cluster_turn_ & 1];
    if (thread() == 0) cute::set_barrier_transaction_bytes(arrived, uint32_t(blocks() * N * sizeof(Value)));
    if (thread() < blocks()) {
      CUTLASS_PRAGMA_UNROLL
      for (size_t n = 0; n < N; ++n) tell(x[n], all[n][cute::block_rank_in_cluster()], arrived, thread());
    }
    cute::wait_barrier(arrived, cluster_turn_ >> 1 & 1);
    warp_sync();  // the compiler would load before the wait
    ++cluster_turn_;
    return all;
  }

  /// Waits for the group's threads.
  CUTE_DEVICE static void sync() {
    if constexpr (warps == 1) {
      warp_sync();
    } else if constexpr (GROUPS == 1) {
      block_sync();
    } else {  // 0 is block_sync()'s barrier
      int id = (GROUPS < barriers ? 1 : 0) + int(threadIdx.x) / GROUP;
      auto meet = [](int id) CUTLASS_LAMBDA_FUNC_INLINE {
        cutlass::arch::NamedBarrier::sync(GROUP, static_cast<cutlass::arch::ReservedNamedBarriers>(id));
      };
      warp_sync();  // the compiler would move memory accesses across CUTLASS's barriers
      // A barrier whose number is not known takes all 16 of a block, and an SM has them for four such blocks.
      if constexpr (GROUPS == 2)
        id == 1 ? meet(1) : meet(2);
      else
        meet(id);
      warp_sync();
    }
  }

  /// Blocks that share a row.
  CUTE_DEVICE static int blocks() { return is_cluster ? int(cute::cluster_shape().x) : 1; }

 private:
  CUTE_DEVICE static int thread() { return int(threadIdx.x) % GROUP; }

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

  /// Stores `value` at `place` of block `block`, and says so at `barrier` there. Unlike a store and the cluster's barrier, this waits for
  /// nothing else that is under way, such as the stores of a row.
  CUTE_DEVICE static void tell(Value value, Value& place, uint64_t& barrier, int block) {
    using Words = cute::array<uint32_t, sizeof(Value) / sizeof(uint32_t)>;
    Words words = cutlass::platform::bit_cast<Words>(value);
    CUTLASS_PRAGMA_UNROLL
    for (size_t w = 0; w < words.size(); ++w)
      cute::store_shared_remote(words[w], cute::cast_smem_ptr_to_uint(reinterpret_cast<uint32_t*>(&place) + w),
                                cute::cast_smem_ptr_to_uint(&barrier), block);
  }

  typename Storage::Group& storage_;
  int turn_ = 0, cluster_turn_ = 0;
};

}  // namespace ckl::device
