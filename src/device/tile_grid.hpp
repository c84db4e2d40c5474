#pragma once

// The order in which a persistent grid visits the tiles of a matrix; host and kernel share it.

#include <cstdint>

#include "device/divider.hpp"
#include "device/host_device.hpp"

namespace ckl {

/// Tiles of the output in units of one cluster's share, visited in groups of rows so that the tiles in flight together
/// share operands in L2. Made by of(), on the host, which prepares the divisions of tile_at().
struct TileGrid {
  int tiles_m, tiles_n, batch;
  int group;                      ///< Rows of tiles a group, at least 1.
  Divider per_matrix, per_group;  ///< Tiles of a matrix, of a group.
  Divider rows, last_rows;        ///< Rows of a group, and of the last one, which may have fewer.

  static constexpr TileGrid of(int tiles_m, int tiles_n, int batch, int group) {
    int last = (tiles_m - 1) % group + 1;
    return {tiles_m,
            tiles_n,
            batch,
            group,
            Divider::of(std::int64_t(tiles_m) * tiles_n),
            Divider::of(std::int64_t(group) * tiles_n),
            Divider::of(group),
            Divider::of(last)};
  }

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
  int batch = grid.per_matrix.quotient(index);
  int in_matrix = index - batch * int(grid.per_matrix.divisor);
  int group = grid.per_group.quotient(in_matrix);
  int in_group = in_matrix - group * int(grid.per_group.divisor);
  const Divider& rows = (group + 1) * grid.group <= grid.tiles_m ? grid.rows : grid.last_rows;
  int n = rows.quotient(in_group);
  return {group * grid.group + in_group - n * int(rows.divisor), n, batch};
}

}  // namespace ckl
