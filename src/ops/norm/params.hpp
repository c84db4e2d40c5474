#pragma once

// What the host hands to a normalization kernel.

#include "device/row_config.hpp"
#include "device/row_params.hpp"

namespace ckl {

constexpr RowNeeds norm_needs{.ragged_tail = 8, .small_blocks = true, .waits = RowWaits::registers};

struct NormParams {
  RowGrid grid;
  RowOperand x, y;
  RowOperand residual, sum;  ///< Added to x before; where the sum is stored. `data` is null without.
  RowOperand weight, bias;   ///< The same for all rows; `data` is null without.
  bool affine_f32;           ///< weight and bias are f32; else of x's type.
  bool centered;             ///< LayerNorm: the mean is subtracted. Else RMSNorm.
  float *mean, *rstd;        ///< One value a row, in the rows' order; null where nobody wants them.
  double epsilon, reciprocal_columns;
  float* scale;   ///< Of an fp8 y: one value a row, as above.
  DType y_dtype;  ///< Of an fp8 y: e4m3 or e5m2.
};

}  // namespace ckl
