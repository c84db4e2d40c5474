#pragma once

// What the host hands to a cross-entropy kernel.

#include "device/row_config.hpp"
#include "device/row_params.hpp"

namespace ckl {

constexpr RowNeeds cross_entropy_needs{.offsets_aside = true, .waits = RowWaits::all};

/// Which class each row has to predict, and what of that the kernels need to know.
struct TargetParams {
  RowOperand data;  ///< One a row.
  bool is_i64;      ///< Else i32.
  std::int64_t ignore_index;
  float smoothing;  ///< The part of the target's weight that all classes share, 0 to 1.
};

struct CrossEntropyParams {
  RowGrid grid;
  RowOperand logits;
  TargetParams targets;
  RowOperand loss, lse;  ///< f32, one a row; `data` is null where nobody wants lse.
  int waiting_blocks;    ///< So many have room at a time, and may have to wait for the preceding grids.
};

}  // namespace ckl
