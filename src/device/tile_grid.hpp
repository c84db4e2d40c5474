#pragma once

// The order in which a persistent grid visits the tiles of a matrix; host and kernel share it.

#include <cstdint>

#include "device/host_device.hpp"

namespace ckl {

/// Tiles of the output in units of one cluster's share, visited in groups of `group` rows so that the tiles
/// in flight together share operands in L2.
struct TileGrid {
  int tiles_m, tiles_n, batch;
  int group;  ///< Rows of tiles a group, at least 1.

  /// Cluster tiles in all.
  CKL_HOST_DEVICE constexpr std::int64_t count() const { return std::int64_t(tiles_m) * tiles_n * batch; }
};

/// One cluster's tile.
struct TileIndex {
  int m, n, batch;
};

/// The tile that is visited as number `index`, 0 <= index < grid.count(): batch by batch, group by group, and
/// within a group column by column.
CKL_HOST_DEVICE constexpr TileIndex tile_at(const TileGrid& grid, int index) {
  int per_matrix = grid.tiles_m * grid.tiles_n;
  int batch = index / per_matrix;
  int in_matrix = index - batch * per_matrix;
  int per_group = grid.group * grid.tiles_n;
  int group = in_matrix / per_group;
  int in_group = in_matrix - group * per_group;
  int rows_left = grid.tiles_m - group * grid.group;
  int rows = rows_left < grid.group ? rows_left : grid.group;
  return {group * grid.group + in_group % rows, in_group / rows, batch};
}

}  // namespace ckl
