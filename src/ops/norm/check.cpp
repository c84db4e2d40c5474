#include "ops/norm/check.hpp"

#include <algorithm>

#include "host/overlap.hpp"
#include "host/require.hpp"

namespace ckl {

TensorOperand vector_operand(const Tensor& tensor, const char* argument, const Tensor& x) {
  host::require_well_formed(tensor, argument);
  host::require(tensor.rank == 1, argument, ".rank must be 1, but is ", tensor.rank);
  host::require(tensor.sizes[0] == x.sizes[x.rank - 1], argument, ".sizes[0] must be x.sizes[", x.rank - 1, "], ",
                x.sizes[x.rank - 1], ", but is ", tensor.sizes[0]);
  TensorOperand operand;
  operand.dtype = tensor.dtype;
  operand.alignment = host::alignment_of(tensor.data);
  operand.strides[x.rank - 1] = tensor.strides[0];
  return operand;
}

void require_vector(int rank, const TensorOperand& operand, const char* argument, DType x) {
  host::require_supported(operand.dtype == x || operand.dtype == DType::f32, argument, ".dtype must be x's, ", name(x),
                          ", or f32, but is ", name(operand.dtype));
  host::require(std::all_of(operand.strides.begin(), operand.strides.begin() + (rank - 1),
                            [](std::int64_t stride) { return stride == 0; }),
                argument, ".strides must be 0 in all dimensions but the last");
}

}  // namespace ckl
