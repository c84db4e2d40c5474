#include "ops/pad/pad.hpp"

#include <algorithm>
#include <string>

#include "host/ceil_div.hpp"
#include "host/module.hpp"
#include "host/require.hpp"

namespace ckl {

std::string to_string(const PadConfig& c) {
  return host::sentence("b", c.element_bits, "_", c.tile_rows, "x", c.tile_columns);
}

std::size_t padded_bytes(const PadSource& source, int element_bytes) {
  return std::size_t(source.rows * padded_pitch(source.columns, element_bytes) * element_bytes);
}

PadLauncher::PadLauncher(const std::vector<PadSource>& sources, int element_bytes) : count_(int(sources.size())) {
  std::int64_t narrowest = sources.front().columns;
  for (const PadSource& s : sources) narrowest = std::min(narrowest, s.columns);
  const PadConfig config = pad_config(narrowest, element_bytes);

  std::int64_t tiles = 0;
  for (int i = 0; i < count_; ++i) {
    const PadSource& s = sources[i];
    std::int64_t column_tiles = host::ceil_div(s.columns, config.tile_columns);
    params_.matrix[i] = {nullptr,
                         nullptr,
                         s.rows,
                         s.columns,
                         s.row_stride,
                         s.column_stride,
                         padded_pitch(s.columns, element_bytes),
                         Divider::of(column_tiles)};
    tiles += host::ceil_div(s.rows, config.tile_rows) * column_tiles;
    if (i == 0) params_.first_tiles = int(std::min(tiles, max_pad_tiles));
  }
  host::require_supported(tiles <= max_pad_tiles, "operands that need a padded copy must make at most ", max_pad_tiles,
                          " tiles of ", config.tile_rows, "x", config.tile_columns, ", but make ", tiles);
  launch_.kernel = host::find_kernel("pad", to_string(config));
  launch_.grid = unsigned(tiles);
  launch_.threads = PadConfig::threads;
  launch_.overlaps_preceding = true;
}

void PadLauncher::run(const void* const* from, void* const* to, Stream stream) const {
  PadParams params = params_;
  for (int i = 0; i < count_; ++i) {
    params.matrix[i].from = from[i];
    params.matrix[i].to = to[i];
  }
  host::launch(launch_, &params, stream);
}

}  // namespace ckl
