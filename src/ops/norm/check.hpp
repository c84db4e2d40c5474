#pragma once

// What a normalization and its gradients ask of the tensors that both have.

#include <array>
#include <cstdint>

#include "ckl/operand.hpp"
#include "ckl/tensor.hpp"

namespace ckl {

/// A vector over the last dimension of `x`, as an operand of x's shape.
TensorOperand vector_operand(const Tensor& tensor, const char* argument, const Tensor& x);

/// Throws unless `operand` is one of those, of x's type or f32.
void require_vector(int rank, const TensorOperand& operand, const char* argument, DType x);

/// Whether the caller has given an optional tensor.
inline bool is_given(const Tensor& tensor) { return tensor.data != nullptr || tensor.rank != 0; }

}  // namespace ckl
