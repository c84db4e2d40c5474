#pragma once

// How much memory the blocks of a team share for LateSums (late_sums.cuh). Host and kernel know it.

#include <cstdint>

namespace ckl {

/// Rows whose sums are under way, where a sum is taken `lag` rows later, and where they lie: row i's in slot i % late_sums_slots(lag). Who sends
/// those of a row has taken those of lag + 1 rows before; so all others had sent theirs by then, and had collected those of the row before that.
constexpr unsigned late_sums_slots(unsigned lag) { return lag == 1 ? 4 : 8; }

/// Words of 8 bytes that a team of `blocks` blocks shares for `values` sums a row of `value_bytes` bytes; they must be 0 before a launch.
constexpr std::int64_t late_sums_words(unsigned lag, std::int64_t blocks, int values, int value_bytes) {
  return std::int64_t(late_sums_slots(lag)) * blocks * values * (value_bytes / 4);
}

}  // namespace ckl
