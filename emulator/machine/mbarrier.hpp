#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace emu::machine {

/// The state of an mbarrier object (PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier"), kept in the
/// 8 bytes of shared memory that it is.
struct Mbarrier {
  static constexpr std::uint32_t max_count = (1u << 20) - 1;

  std::uint32_t phase = 0;        // its parity
  std::uint32_t expected = 0;     // arrivals of a phase
  std::uint32_t pending = 0;      // arrivals that the current phase still waits for
  std::int32_t transactions = 0;  // bytes that it still waits for; negative if they came before they were expected

  static Mbarrier load(const std::byte* at) {
    std::uint64_t bits;
    std::memcpy(&bits, at, 8);
    Mbarrier m;
    m.phase = bits & 1;
    m.expected = bits >> 1 & max_count;
    m.pending = bits >> 21 & max_count;
    m.transactions = static_cast<std::int32_t>(static_cast<std::int64_t>(bits << 1) >> 42);
    return m;
  }
  void store(std::byte* at) const {
    const std::uint64_t bits = std::uint64_t{phase} | std::uint64_t{expected} << 1 | std::uint64_t{pending} << 21 |
                               (static_cast<std::uint64_t>(static_cast<std::int64_t>(transactions)) & 0x3fffff) << 41;
    std::memcpy(at, &bits, 8);
  }
  /// Completes the phase if nothing is left to wait for; true if it did.
  bool complete() {
    if (pending != 0 || transactions != 0) return false;
    phase ^= 1;
    pending = expected;
    return true;
  }
};

}  // namespace emu::machine
