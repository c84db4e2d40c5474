#pragma once

// What every operator's checks ask of the operands of a problem over a common shape.

#include <array>
#include <cstdint>
#include <string>

#include "ckl/operand.hpp"
#include "ckl/tensor.hpp"

namespace ckl::host {

/// Whether a shape has no element.
bool has_no_elements(int rank, const std::array<std::int64_t, max_rank>& sizes);

/// Sizes or strides as text, "(3, 4)", be the rank right or not.
std::string listed(int rank, const std::array<std::int64_t, max_rank>& numbers);

/// `operand` of a problem with this shape, as a tensor at `data`.
Tensor tensor_at(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& operand,
                 const void* data);

/// How `tensor` lies in memory, its pointer's alignment included.
TensorOperand operand_of(const Tensor& tensor);

/// Throws invalid_argument unless `tensor` is well formed and has the first `rank` sizes of `like`, which is called `like_name`.
void require_same_shape(const Tensor& tensor, const char* argument, const Tensor& like, const char* like_name,
                        int rank);

/// Throws invalid_argument unless `operand` is one of a well-formed problem: its alignment is a power of two up to 16, and its tensor
/// is well formed.
void require_operand(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& operand,
                     const char* argument);

/// Throws invalid_argument unless `data` is not null, and aligned as its problem promised and as its elements are.
void require_pointer(const void* data, const TensorOperand& operand, const char* argument);

}  // namespace ckl::host
