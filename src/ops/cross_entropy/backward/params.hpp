#pragma once

// What the host hands to a kernel of cross-entropy's gradient.

#include "ops/cross_entropy/params.hpp"

namespace ckl {

/// Rows in registers, for as long as they are short.
constexpr RowNeeds cross_entropy_backward_needs{.waits = RowWaits::registers};

struct CrossEntropyBackwardParams {
  RowGrid grid;
  RowOperand logits, dlogits;
  TargetParams targets;
  RowOperand lse, dloss;  ///< f32, one a row.
};

}  // namespace ckl
