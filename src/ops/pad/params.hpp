#pragma once

// What the host hands to a padding kernel: plain data, laid out alike by both compilers.

#include <cstdint>

#include "device/divider.hpp"

namespace ckl {

/// One matrix to copy. Strides in elements; the copy's rows are contiguous and `pitch` elements apart.
struct PadMatrix {
  const void* from;
  void* to;
  std::int64_t rows, columns;
  std::int64_t row_stride, column_stride;  ///< Of the original: any.
  std::int64_t pitch;                      ///< Of the copy.
  Divider column_tiles;                    ///< Tiles side by side.
};

constexpr int max_padded_matrices = 2;

/// The first `first_tiles` blocks copy matrix 0, the others matrix 1.
struct PadParams {
  PadMatrix matrix[max_padded_matrices];
  int first_tiles;
};

}  // namespace ckl
