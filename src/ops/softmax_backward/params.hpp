#pragma once

// What the host hands to a kernel of softmax's gradient.

#include "device/row_config.hpp"
#include "device/row_params.hpp"

namespace ckl {

/// A kernel holds the rows of y and dy.
constexpr RowNeeds softmax_backward_needs{.inputs = 2, .waits = RowWaits::registers};

struct SoftmaxBackwardParams {
  RowGrid grid;
  RowOperand y, dy, dx;
  float scale;  ///< Of x.
  bool log;     ///< y is the logarithm of the softmax.
};

}  // namespace ckl
