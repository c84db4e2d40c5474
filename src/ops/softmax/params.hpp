#pragma once

// What the host hands to a softmax kernel.

#include "device/row_params.hpp"

namespace ckl {

struct SoftmaxParams {
  RowGrid grid;
  RowOperand x, y;
  float scale;  ///< Of x.
  bool log;     ///< The logarithm of the softmax.
};

}  // namespace ckl
