#pragma once

// How matrices are copied into rows that TMA can load: one small value, named by one string such as b16_16x256: bits of an element,
// rows and columns that a block copies.

#include <cstdint>
#include <string>
#include <string_view>

namespace ckl {

/// The config of one kernel entry.
struct PadConfig {
  int element_bits = 0;  ///< Elements are copied as they are: only their size counts.
  int tile_rows = 0, tile_columns = 0;

  friend constexpr bool operator==(const PadConfig&, const PadConfig&) = default;

  static constexpr int threads = 256;
  /// Threads along a row of the tile: a warp reads 32 neighbours, whatever their alignment.
  static constexpr int row_threads = 32;
  /// Elements that a thread has in flight.
  constexpr int elements() const { return tile_rows * tile_columns / threads; }
};

/// The config for matrices whose rows have `columns` elements: wide tiles, but where they would be mostly empty.
constexpr PadConfig pad_config(std::int64_t columns, int element_bytes) {
  return columns > 128 ? PadConfig{8 * element_bytes, 16, 256} : PadConfig{8 * element_bytes, 64, 64};
}

/// Blocks of one grid.
constexpr std::int64_t max_pad_tiles = (std::int64_t(1) << 31) - 1;

/// The name of `config`.
std::string to_string(const PadConfig& config);

/// The config that `name` stands for; `element_bits` is 0 if it is no config's name.
constexpr PadConfig parse_pad_config(std::string_view name) {
  if (name == "b16_16x256") return {16, 16, 256};
  if (name == "b16_64x64") return {16, 64, 64};
  return {};
}

/// Elements from one padded row to the next: a multiple of 128 bytes, so that each row begins on a line of L2. What lies between
/// the rows is never written, and no TMA load that knows the rows' length reads it.
constexpr std::int64_t padded_pitch(std::int64_t columns, int element_bytes) {
  std::int64_t per_line = 128 / element_bytes;
  return (columns + per_line - 1) / per_line * per_line;
}

}  // namespace ckl
