#pragma once

#include <cstdint>

namespace ckl {

/// A TMA descriptor as a kernel's parameter: opaque, encoded by src/host/tensor_map.cpp only.
struct alignas(128) TensorMap {
  std::uint64_t opaque[16];
};

/// What L2 is told of the lines that TMA loads; the values are those of CuTe's TMA::CacheHintSm90.
enum class CacheHint : std::uint64_t {
  normal = 0x1000000000000000,
  evict_first = 0x12F0000000000000,
  evict_last = 0x14F0000000000000,
};

/// How TMA loads an operand, as (rows, k, batch). It takes its time to fill a box with the zeros that stand for rows outside of the
/// matrix: so the last tile, where it is not full, has boxes of its own, which end with the last rows. What is multiplied instead of
/// the missing rows does not matter, since the results are not stored. Where rows are contiguous, not K, `last` is for what is left of a
/// tile behind its boxes of 128 bytes.
struct OperandMaps {
  TensorMap whole, last;
  std::int32_t last_tile;  ///< The tiles from this one on take boxes of `last`; no_tile if there are none.
  std::int32_t last_rows;  ///< Rows of a box of `last`; 0 if there are none.
  CacheHint hint;
  static constexpr std::int32_t no_tile = 0x7fffffff;
};

}  // namespace ckl
