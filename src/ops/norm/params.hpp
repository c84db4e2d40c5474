#pragma once

// What the host hands to a normalization kernel.

#include "device/row_params.hpp"

namespace ckl {

struct NormParams {
  RowGrid grid;
  RowOperand x, y;
  RowOperand residual, sum;  ///< Added to x before; where the sum is stored. `data` is null without.
  RowOperand weight, bias;   ///< The same for all rows; `data` is null without.
  bool affine_f32;           ///< weight and bias are f32; else of x's type.
  bool centered;             ///< LayerNorm: the mean is subtracted. Else RMSNorm.
  float *mean, *rstd;        ///< One value a row, in the rows' order; null where nobody wants them.
  double epsilon, reciprocal_columns;
};

}  // namespace ckl
