#pragma once

// What the host hands to an elementwise kernel: plain data, laid out alike by both compilers.

#include <cstdint>

#include "ckl/tensor.hpp"
#include "device/divider.hpp"

namespace ckl {

constexpr int max_elementwise_inputs = 4;
constexpr int max_elementwise_outputs = 2;
constexpr int max_elementwise_scalars = 2;

/// One operand, without its shape. Strides in elements.
struct ElementwiseOperand {
  void* data;
  std::int64_t strides[max_rank];
  std::int32_t dtype;  ///< A DType. Kernels would have to extend a byte before they compare it.
  bool aligned;        ///< Whether every vector of a tile is.
  std::uint8_t element_bytes;
};

/// The operands in a common shape, outermost dimension first; dimension max_rank - 1 is the innermost one, and dimensions before
/// `first_dimension` have size 1. Flat kernels take `row` elements in a run: what counts or describes vectors, rows and tiles is not set for
/// them.
struct ElementwiseParams {
  ElementwiseOperand in[max_elementwise_inputs];
  ElementwiseOperand out[max_elementwise_outputs];
  std::int64_t row;      ///< Elements of the innermost dimension.
  std::int64_t vectors;  ///< Vectors in all: those of a row, ceil(row / vector), times the rows.
  Divider row_vectors;   ///< Vectors of a row.
  Divider sizes[max_rank - 1];
  int first_dimension;
  int tile_dimension;  ///< The one in which the input of tiles is dense. `sizes` and `row_vectors` count tiles then.
  int outer_dimension;  ///< The same; or where that has few elements, the one whose neighbours follow each other in the input: a tile takes
      ///< several.
  int log_row;  ///< 2^log_row elements of tile_dimension belong to each element of another outer_dimension; else 0.
  std::int64_t tile_rows;  ///< Elements of that dimension, or of both.
  bool narrow_tiles;       ///< Whether tiles are half as wide, and twice as long.
  int waiting_blocks;  ///< So many have room at a time, and may have to wait for the preceding grids; 0 where there is no input.
  int inputs, outputs;  ///< How many of the operands there are. Of no input, the first one's dtype is b8.
  bool inputs_alike;    ///< Whether they have one dtype.
  bool all_alike;       ///< Whether the outputs have it as well.
  bool moves;           ///< Whether the elements' bits leave as they came.
  bool casts;           ///< Whether they are converted only.
  int whole_blocks;     ///< So many blocks take whole vectors of dense runs or of rows that lie a stride apart.
  int function;         ///< Which one; its meaning is the functions'.
  float f32_scalars[max_elementwise_scalars];
  std::int64_t i64_scalars[max_elementwise_scalars];
};

/// The most that a function of the user's own may add, in bytes, and what its parameters are aligned to.
constexpr int max_elementwise_user_params = 256, elementwise_user_params_align = 64;

/// The parameter of a kernel with such a function.
template <class Params> struct ElementwiseCustomParams {
  alignas(elementwise_user_params_align) ElementwiseParams elementwise;
  alignas(elementwise_user_params_align) Params user;
};

}  // namespace ckl
