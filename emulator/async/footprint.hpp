#pragma once

#include <cstdint>
#include <vector>

namespace emu::async {

/// The part of a 128-byte line of a CTA's shared memory that an asynchronous operation reads or writes.
struct LineUnits {
  std::uint32_t line = 0;   // offset in shared memory / 128
  std::uint32_t units = 0;  // bit i: the bytes [16 * i, 16 * i + 16) of the line

  bool operator==(const LineUnits&) const = default;
};

/// Shared memory that an operation touches; each line at most once. Asynchronous operations work on units of 16 bytes.
using Footprint = std::vector<LineUnits>;

/// Appends the units of [offset, offset + bytes), both multiples of 16, to `footprint`.
void append_range(Footprint& footprint, std::uint32_t offset, std::uint32_t bytes);

}  // namespace emu::async
