#pragma once

// What the host hands to a softmax kernel.

#include "device/row_config.hpp"
#include "device/row_params.hpp"

namespace ckl {

constexpr RowNeeds softmax_needs{.ragged_sm_threads = 768, .small_blocks = true, .waits = RowWaits::registers};

struct SoftmaxParams {
  RowGrid grid;
  RowOperand x, y;
  RowOperand mask;  ///< Added to scale * x; `data` is null without.
  float scale;      ///< Of x.
  bool log;         ///< The logarithm of the softmax.
  bool causal;      ///< Row i of each `matrix_rows` sees columns 0 to i + diagonal.
  Divider matrix_rows;
  std::int64_t diagonal;
};

}  // namespace ckl
