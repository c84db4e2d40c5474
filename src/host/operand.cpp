#include "host/operand.hpp"

#include <algorithm>

#include "host/overlap.hpp"
#include "host/require.hpp"

namespace ckl::host {

bool has_no_elements(int rank, const std::array<std::int64_t, max_rank>& sizes) {
  return std::find(sizes.begin(), sizes.begin() + rank, 0) != sizes.begin() + rank;
}

std::string listed(int rank, const std::array<std::int64_t, max_rank>& numbers) {
  std::string text = "(";
  for (int i = 0; i < std::clamp(rank, 0, max_rank); ++i) text += (i ? ", " : "") + std::to_string(numbers[i]);
  return text + ")";
}

Tensor tensor_at(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& operand,
                 const void* data) {
  Tensor t;
  t.data = const_cast<void*>(data);
  t.dtype = operand.dtype;
  t.rank = rank;
  t.sizes = sizes;
  t.strides = operand.strides;
  return t;
}

TensorOperand operand_of(const Tensor& tensor) {
  TensorOperand operand;
  operand.dtype = tensor.dtype;
  std::copy_n(tensor.strides.begin(), tensor.rank, operand.strides.begin());
  operand.alignment = alignment_of(tensor.data);
  return operand;
}

void require_same_shape(const Tensor& tensor, const char* argument, const Tensor& like, const char* like_name,
                        int rank) {
  require_well_formed(tensor, argument);
  require(tensor.rank == rank, argument, ".rank must be ", rank, ", but is ", tensor.rank);
  for (int d = 0; d < rank; ++d)
    require(tensor.sizes[d] == like.sizes[d], argument, ".sizes[", d, "] must be ", like_name, ".sizes[", d, "], ",
            like.sizes[d], ", but is ", tensor.sizes[d]);
}

void require_operand(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& operand,
                     const char* argument) {
  require_well_formed(tensor_at(rank, sizes, operand, nullptr), argument);
  int alignment = operand.alignment;
  require(alignment == 1 || alignment == 2 || alignment == 4 || alignment == 8 || alignment == 16, argument,
          ".alignment must be 1, 2, 4, 8 or 16 bytes, but is ", alignment);
}

void require_pointer(const void* data, const TensorOperand& operand, const char* argument) {
  require(data != nullptr, argument, " must not be null");
  require(alignment_of(data) >= std::min(operand.alignment, 16), argument,
          " must be a multiple of the alignment that the problem promised, ", operand.alignment, " bytes, but is ",
          data);
  require(alignment_of(data) >= int(size_of(operand.dtype)), argument, " must be a multiple of the element's ",
          size_of(operand.dtype), " bytes, but is ", data);
}

}  // namespace ckl::host
