#pragma once

// Sums over a row that are asked for some rows later: while the warps, and the blocks that share the row, hear of each other, they go on with
// the next ones.

#include <bit>

#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/late_sums.hpp"
#include "device/row_reduction.cuh"

namespace ckl::device {

/// Two sums over the threads of a row, which nobody waits for: a warp gives what its threads have of a row, the one that fills the ring
/// collects them, from all blocks that share the row, and any thread takes the sum up to LAG rows later. MAX_BLOCKS: that may share it,
/// as a cluster or, if IS_TEAM, through `boxes` in global memory.
template <int WARPS, int MAX_BLOCKS, bool IS_TEAM, unsigned LAG, class Value> class LateSums {
 public:
  static constexpr int N = 2;
  static constexpr unsigned SLOTS = late_sums_slots(LAG);
  static_assert(SLOTS >= LAG + 3);
  using Values = cute::array<Value, N>;
  struct Storage {
    alignas(16) Values of_blocks[SLOTS][IS_TEAM ? 1 : MAX_BLOCKS];
    Values totals[SLOTS];
    Value of_warps[SLOTS][N][WARPS];
    uint64_t given[SLOTS], told[SLOTS], known[SLOTS];
  };

  /// Called by one thread, before a synchronization of all blocks that share rows as a cluster.
  CUTE_DEVICE static void initialize(Storage& storage) {
    for (unsigned slot = 0; slot < SLOTS; ++slot) {
      cute::initialize_barrier(storage.given[slot], N * WARPS);
      cute::initialize_barrier(storage.told[slot], 1);
      cute::initialize_barrier(storage.known[slot], 1);
    }
  }

  /// Block `rank` of `blocks` that share rows. `boxes`: a team's, late_sums_words() of them.
  CUTE_DEVICE LateSums(Storage& storage, int blocks, int rank, uint64_t* boxes)
      : storage_(storage), blocks_(blocks), rank_(rank), boxes_(boxes) {}

  /// Adds what the threads of a warp, number `warp`, have of row `i`.
  CUTE_DEVICE void give(unsigned i, int warp, Values x) const {
    int lane = int(threadIdx.x) % 32;
    bool is_odd = lane % 2;  // even lanes go on with the first sum, odd ones with the second
    Value sum = (is_odd ? x[1] : x[0]) + from_lane_xor(is_odd ? x[0] : x[1], 1);
    CUTLASS_PRAGMA_UNROLL
    for (int distance = 2; distance < 32; distance *= 2) sum += from_lane_xor(sum, distance);
    if (lane >= N) return;
    storage_.of_warps[i % SLOTS][lane][warp] = sum;
    cute::arrive_barrier(storage_.given[i % SLOTS]);
  }

  /// Called by a warp: when all warps have given theirs of row `i`, their sum is known or, if blocks share the row, sent.
  CUTE_DEVICE void send(unsigned i) const {
    unsigned slot = i % SLOTS;
    int lane = int(threadIdx.x) % 32;
    cute::wait_barrier(storage_.given[slot], i / SLOTS & 1);
    warp_sync();
    Values x;
    CUTLASS_PRAGMA_UNROLL
    for (int n = 0; n < N; ++n) x[n] = storage_.of_warps[slot][n][lane % WARPS];
    x = over_lanes<WARPS>(x);
    if (blocks_ == 1) {
      publish(i, x);
    } else if constexpr (IS_TEAM) {
      auto words = std::bit_cast<Words>(x);
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < WORDS; ++w)
        if (lane == w) box(i, rank_)[w] = uint64_t(i + 1) << 32 | words[w];
    } else if constexpr (MAX_BLOCKS > 1) {
      auto const& words = reinterpret_cast<float const(&)[WORDS]>(x);
      auto address = [&](void* place) CUTLASS_LAMBDA_FUNC_INLINE {
        return cute::set_block_rank(cute::cast_smem_ptr_to_uint(place), lane);
      };
      if (lane == 0) cute::set_barrier_transaction_bytes(storage_.told[slot], uint32_t(blocks_ * sizeof(Values)));
      if (lane < blocks_) store_async(address(&storage_.of_blocks[slot][rank_]), words, address(&storage_.told[slot]));
    }
  }

  /// Called by the same warp behind send() of this row, better of the next one: what all blocks have sent of row `i` becomes known.
  CUTE_DEVICE void collect(unsigned i) const {
    if (blocks_ == 1) return;
    unsigned slot = i % SLOTS;
    int lane = int(threadIdx.x) % 32;
    Values x;
    CUTLASS_PRAGMA_UNROLL
    for (int n = 0; n < N; ++n) x[n] = 0;
    if constexpr (IS_TEAM) {
      CUTLASS_PRAGMA_NO_UNROLL
      for (int first = 0; first < blocks_; first += 32 * AT_A_TIME) add_found(i, first + lane, x);
    } else {
      cute::wait_barrier(storage_.told[slot], i / SLOTS & 1);
      warp_sync();
      if (lane < blocks_) x = storage_.of_blocks[slot][lane];
    }
    warp_sync();
    publish(i, over_lanes<32>(x));
  }

  /// Called by a warp: send() and collect() of rows 0 to rows - 1.
  CUTE_DEVICE void collect_all(unsigned rows) const {
    CUTLASS_PRAGMA_NO_UNROLL
    for (unsigned i = 0; i < rows; ++i) {
      send(i);
      if (i > 0) collect(i - 1);
    }
    if (rows > 0) collect(rows - 1);
  }

  /// The sums of row `i`, behind its collect() or soon.
  CUTE_DEVICE Values take(unsigned i) const {
    unsigned slot = i % SLOTS;
    cute::wait_barrier(storage_.known[slot], i / SLOTS & 1);
    warp_sync();
    return storage_.totals[slot];
  }

 private:
  static constexpr int WORDS = sizeof(Values) / 4;  // that blocks send
  static constexpr int AT_A_TIME = 10 / WORDS;  // blocks whose words a thread loads before it looks at them: registers
  using Words = cute::array<uint32_t, WORDS>;

  CUTE_DEVICE void publish(unsigned i, Values const& x) const {
    if (threadIdx.x % 32 != 0) return;
    storage_.totals[i % SLOTS] = x;
    cute::arrive_barrier(storage_.known[i % SLOTS]);
  }

  template <int WIDTH> CUTE_DEVICE static Values over_lanes(Values x) {
    CUTLASS_PRAGMA_UNROLL
    for (int distance = 1; distance < WIDTH; distance *= 2) {
      CUTLASS_PRAGMA_UNROLL
      for (int n = 0; n < N; ++n) x[n] += from_lane_xor(x[n], distance);
    }
    return x;
  }

  /// What block `block` has sent of row `i`: each word has 4 bytes, and a mark that says of which row they are (as in Mailbox).
  CUTE_DEVICE uint64_t volatile* box(unsigned i, int block) const {
    return static_cast<uint64_t volatile*>(boxes_) + (i % SLOTS * unsigned(blocks_) + block) * WORDS;
  }

  /// Adds what AT_A_TIME blocks, the first of which is number `first`, have sent of row `i`, once all have.
  CUTE_DEVICE void add_found(unsigned i, int first, Values& x) const {
    uint64_t found[AT_A_TIME][WORDS];
    bool all;
    do {
      all = true;
      CUTLASS_PRAGMA_UNROLL
      for (int b = 0; b < AT_A_TIME; ++b) {
        CUTLASS_PRAGMA_UNROLL
        for (int w = 0; w < WORDS; ++w)
          found[b][w] = first + 32 * b < blocks_ ? box(i, first + 32 * b)[w] : uint64_t(i + 1) << 32;
      }
      CUTLASS_PRAGMA_UNROLL
      for (int b = 0; b < AT_A_TIME; ++b) {
        CUTLASS_PRAGMA_UNROLL
        for (int w = 0; w < WORDS; ++w) all = all && found[b][w] >> 32 == i + 1;
      }
    } while (!all);
    CUTLASS_PRAGMA_UNROLL
    for (int b = 0; b < AT_A_TIME; ++b) {
      Words words;
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < WORDS; ++w) words[w] = uint32_t(found[b][w]);
      auto values = std::bit_cast<Values>(words);
      CUTLASS_PRAGMA_UNROLL
      for (int n = 0; n < N; ++n) x[n] += values[n];
    }
  }

  Storage& storage_;
  int blocks_, rank_;
  uint64_t* boxes_;
};

}  // namespace ckl::device
