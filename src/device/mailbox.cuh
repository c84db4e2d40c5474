#pragma once

// Values that blocks leave in global memory for a later block of their grid.

#include <bit>

#include <cute/config.hpp>
#include <cute/container/array.hpp>

namespace ckl::device {

/// Boxes for N values of type Value, each filled by one thread and emptied by another. A word of 8 bytes has 4 of a value's and a mark that
/// they have come (as in NCCL's "LL" protocol), so that neither side waits for a fence or draws a number: what is left can be taken one
/// trip to the L2 later. The words are 0 between launches. Whoever takes waits, so it must wait for blocks of smaller numbers alone,
/// which were launched before its own.
template <class Value, int N> class Mailbox {
 public:
  static constexpr int words = N * sizeof(Value) / 4;
  static_assert(sizeof(Value) % 4 == 0);

  CUTE_DEVICE explicit Mailbox(void* memory) : memory_(static_cast<uint64_t volatile*>(memory)) {}

  CUTE_DEVICE void leave(int64_t box, Value const (&values)[N]) const {
    CUTLASS_PRAGMA_UNROLL
    for (int n = 0; n < N; ++n) {
      auto parts = std::bit_cast<Parts>(values[n]);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < PARTS; ++i) memory_[box * words + n * PARTS + i] = came | parts[i];
    }
  }

  CUTE_DEVICE void take(int64_t box, Value (&values)[N]) const {
    uint64_t found[words], all;
    do {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < words; ++i) found[i] = memory_[box * words + i];
      all = came;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < words; ++i) all &= found[i];
    } while (all == 0);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < words; ++i) memory_[box * words + i] = 0;
    CUTLASS_PRAGMA_UNROLL
    for (int n = 0; n < N; ++n) {
      Parts parts;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < PARTS; ++i) parts[i] = uint32_t(found[n * PARTS + i]);
      values[n] = std::bit_cast<Value>(parts);
    }
  }

 private:
  static constexpr int PARTS = sizeof(Value) / 4;
  using Parts = cute::array<uint32_t, PARTS>;
  static constexpr uint64_t came = uint64_t(1) << 32;

  uint64_t volatile* memory_;  // such accesses are relaxed ones: words come whole, and nothing else is ordered
};

}  // namespace ckl::device
