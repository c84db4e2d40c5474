#pragma once

// What every kernel of the row engine is told: how many rows, how long, and where each operand has them.

#include <cstdint>

#include "ckl/tensor.hpp"
#include "device/divider.hpp"

namespace ckl {

/// The dimensions that count rows, outermost first.
constexpr int max_row_dimensions = max_rank - 1;

/// One operand, strides in elements.
struct RowOperand {
  void* data;
  std::int64_t step;  ///< From one element of a row to the next.
  std::int64_t strides[max_row_dimensions];
};

struct RowGrid {
  std::int64_t rows;  ///< In all.
  std::int64_t columns;
  std::int64_t part;  ///< Columns of each block of a cluster, a multiple of the vector; of the last one, at most.
  int dimensions;     ///< In use, 1 at least.
  int clusters;       ///< Blocks, or clusters of them, that are launched.
  Divider sizes[max_row_dimensions];
};

}  // namespace ckl
