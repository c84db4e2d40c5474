#pragma once

// What the host hands to a kernel of softmax's gradient.

#include "device/row_params.hpp"

namespace ckl {

/// Operands whose rows a kernel holds: y and dy.
constexpr int softmax_backward_inputs = 2;

struct SoftmaxBackwardParams {
  RowGrid grid;
  RowOperand y, dy, dx;
  float scale;  ///< Of x.
  bool log;     ///< y is the logarithm of the softmax.
};

}  // namespace ckl
