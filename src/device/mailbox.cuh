#pragma once

// Values that blocks leave in global memory for a later block of their grid.

#include <bit>

#include <cute/config.hpp>
#include <cute/container/array.hpp>

#include "device/mailbox.hpp"

namespace ckl::device {

/// Boxes for N values of type Value, each filled by one thread and emptied by another. A word of 8 bytes has 4 of a value's and a
/// mark that they have come (as in NCCL's "LL" protocol), so that neither side waits for a fence or draws a number: what is left can be
/// taken one trip to the L2 later. The words are 0 between launches. Whoever takes waits, so it must wait for blocks of smaller numbers
/// alone, which were launched before its own.
template <class Value, int N> class Mailbox {
 public:
  static constexpr int words = N * sizeof(Value) / 4;  // of a box
  static_assert(sizeof(Value) % 4 == 0);

  CUTE_DEVICE explicit Mailbox(void* memory) : memory_(static_cast<uint64_t volatile*>(memory)) {}

  CUTE_DEVICE void leave(uint64_t box, Value const (&values)[N]) const {
    CUTLASS_PRAGMA_UNROLL
    for (int n = 0; n < N; ++n) {
      auto parts = std::bit_cast<Parts>(values[n]);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < PARTS; ++i) word(box, n * PARTS + i) = came | parts[i];
    }
  }

  /// Calls f(n, value n). Waits for a few values at a time, since each takes twice its registers.
  template <class F> CUTE_DEVICE void take(uint64_t box, F const& f) const {
    constexpr int AT_A_TIME = cute::min(N, cute::max(1, 8 / PARTS));
    static_assert(N % AT_A_TIME == 0);
    CUTLASS_PRAGMA_UNROLL
    for (int first = 0; first < N; first += AT_A_TIME) {
      uint64_t found[AT_A_TIME * PARTS], all;
      do {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < AT_A_TIME * PARTS; ++i) found[i] = word(box, first * PARTS + i);
        all = came;
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < AT_A_TIME * PARTS; ++i) all &= found[i];
      } while (all == 0);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < AT_A_TIME * PARTS; ++i) word(box, first * PARTS + i) = 0;
      CUTLASS_PRAGMA_UNROLL
      for (int n = 0; n < AT_A_TIME; ++n) {
        Parts parts;
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < PARTS; ++i) parts[i] = uint32_t(found[n * PARTS + i]);
        f(first + n, std::bit_cast<Value>(parts));
      }
    }
  }

 private:
  static constexpr int PARTS = sizeof(Value) / 4;
  using Parts = cute::array<uint32_t, PARTS>;
  static constexpr uint64_t came = uint64_t(1) << 32;

  /// Word i of a box lies beside that of its neighbours, mailbox_row of them, as the threads do that take them. Volatile accesses are
  /// relaxed ones: a word comes whole, and nothing else is ordered.
  CUTE_DEVICE uint64_t volatile& word(uint64_t box, int i) const {
    return memory_[(box / mailbox_row * words + i) * mailbox_row + box % mailbox_row];
  }

  uint64_t volatile* memory_;
};

}  // namespace ckl::device
