#pragma once

// What the host hands to a kernel of a normalization's gradients.

#include "device/late_sums.hpp"
#include "device/row_config.hpp"
#include "device/row_params.hpp"

namespace ckl {

/// A kernel holds the rows of x and dy, and the sums over its rows.
constexpr RowNeeds norm_backward_needs{.inputs = 2,
                                       .sm_threads = 512,
                                       .ragged_sm_threads = 384,
                                       .offsets_aside = true,
                                       .persistent = true,
                                       .stages = 4,
                                       .fed_stages = 6,
                                       .waits = RowWaits::all};

/// Threads of a block. Beside each group that computes a warp fills its ring and another collects the sums: they are a warpgroup, which
/// leaves registers to the others.
constexpr int norm_backward_threads(const RowConfig& config) {
  constexpr int warpgroup = 128;
  return config.threads() + (config.is_fed() ? warpgroup : 0);
}

/// Of kernels for rows that begin anywhere, blocks come in multiples of so many, so that all rows of a group lie alike.
constexpr int ragged_partitions = 4;

/// After how many rows the sums of one are wanted: those that blocks share are known later.
constexpr unsigned norm_backward_lag(const RowConfig& config) { return config.is_shared() ? 2 : 1; }

/// Words of 8 bytes that a team of `blocks` blocks shares for the two sums of each row.
constexpr std::int64_t norm_backward_box_words(const RowConfig& config, std::int64_t blocks) {
  return late_sums_words(norm_backward_lag(config), blocks, 2, config.dtype == DType::f32 ? 8 : 4);
}

struct NormBackwardParams {
  RowGrid grid;
  RowOperand x, dy, dx;
  RowOperand weight;      ///< The same for all rows; `data` is null without.
  bool weight_f32;        ///< It is f32; else of x's type.
  bool centered;          ///< LayerNorm. Else RMSNorm.
  RowOperand mean, rstd;  ///< f32, one a row; `data` of mean is null without.
  double reciprocal_columns;
  /// The sums over each partition's rows, (partitions, columns) f32; null where nobody wants them.
  float *dweight_partials, *dbias_partials;
  std::uint64_t* boxes;  ///< Of a team's blocks, 0 at first; else null.
};

}  // namespace ckl
