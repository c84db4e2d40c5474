#pragma once

// Values that blocks leave in global memory for a later block of their grid.

#include <bit>

#include <cute/config.hpp>
#include <cute/container/array.hpp>

#include "device/mailbox.hpp"

namespace ckl::device {

/// Boxes for a value each, filled by one thread and emptied by another. A word of 8 bytes has 4 of a value's and a
/// mark that they have come (as in NCCL's "LL" protocol), so that neither side waits for a fence or draws a number: what is left can be
/// taken one trip to the L2 later. The words are 0 between launches. Whoever takes waits, so it must wait for blocks of smaller numbers
/// alone, which were launched before its own. With IS_F64_SUM, a value is an f64 to be added to others: 0 leaves as -0, and no mark is needed.
template <class Value, bool IS_F64_SUM = false> class Mailbox {
 public:
  static constexpr int words = IS_F64_SUM ? 1 : sizeof(Value) / 4;  // of a box
  static_assert(sizeof(Value) % 4 == 0 && (!IS_F64_SUM || sizeof(Value) == 8));

  CUTE_DEVICE explicit Mailbox(void* memory) : memory_(static_cast<uint64_t volatile*>(memory)) {}

  CUTE_DEVICE void leave(uint64_t box, Value value) const {
    if constexpr (IS_F64_SUM) {
      auto bits = std::bit_cast<uint64_t>(value);
      word(box, 0) = bits == 0 ? minus_zero : bits;
    } else {
      auto parts = std::bit_cast<Parts>(value);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < words; ++i) word(box, i) = came | parts[i];
    }
  }

  /// Calls f(value) for the boxes box(first), box(first + step), ... before box(count), in this order. Waits for AT_A_TIME of them, since each
  /// takes registers.
  template <int AT_A_TIME, class Box, class F>
  CUTE_DEVICE void take(int first, int step, int count, Box const& box, F const& f) const {
    CUTLASS_PRAGMA_NO_UNROLL
    for (; first < count; first += AT_A_TIME * step) {
      uint64_t found[AT_A_TIME][words];
      bool all;
      do {
        all = true;
        CUTLASS_PRAGMA_UNROLL
        for (int n = 0; n < AT_A_TIME; ++n) {
          CUTLASS_PRAGMA_UNROLL
          for (int i = 0; i < words; ++i)
            found[n][i] = first + n * step < count ? uint64_t(word(box(first + n * step), i)) : uint64_t(came);
        }
        CUTLASS_PRAGMA_UNROLL
        for (int n = 0; n < AT_A_TIME; ++n) {
          CUTLASS_PRAGMA_UNROLL
          for (int i = 0; i < words; ++i) all &= has_come(found[n][i]);
        }
      } while (!all);
      CUTLASS_PRAGMA_UNROLL
      for (int n = 0; n < AT_A_TIME; ++n) {
        if (first + n * step >= count) break;
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < words; ++i) word(box(first + n * step), i) = 0;
        if constexpr (IS_F64_SUM) {
          f(std::bit_cast<Value>(found[n][0]));
        } else {
          Parts parts;
          CUTLASS_PRAGMA_UNROLL
          for (int i = 0; i < words; ++i) parts[i] = uint32_t(found[n][i]);
          f(std::bit_cast<Value>(parts));
        }
      }
    }
  }

 private:
  using Parts = cute::array<uint32_t, words>;
  static constexpr uint64_t came = uint64_t(1) << 32, minus_zero = uint64_t(1) << 63;

  CUTE_DEVICE static bool has_come(uint64_t found) { return IS_F64_SUM ? found != 0 : (found & came) != 0; }

  /// Word i of a box lies beside that of its neighbours, mailbox_row of them, as the threads do that take them. Volatile accesses are
  /// relaxed ones: a word comes whole, and nothing else is ordered.
  CUTE_DEVICE uint64_t volatile& word(uint64_t box, int i) const {
    return memory_[(box / mailbox_row * words + i) * mailbox_row + box % mailbox_row];
  }

  uint64_t volatile* memory_;
};

}  // namespace ckl::device
