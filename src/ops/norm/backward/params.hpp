#pragma once

// What the host hands to a kernel of a normalization's gradients.

#include "device/row_config.hpp"
#include "device/row_params.hpp"

namespace ckl {

/// A kernel holds the rows of x and dy, and the sums over its rows.
constexpr RowNeeds norm_backward_needs{
    .inputs = 2, .sm_threads = 512, .persistent = true, .stages = 4, .waits = RowWaits::all};

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
};

}  // namespace ckl
