#pragma once

// What cross-entropy and its gradient ask of the tensors that both have.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ckl/operand.hpp"
#include "ckl/tensor.hpp"
#include "ops/cross_entropy/params.hpp"

namespace ckl {

/// An operand by the name of its argument.
struct NamedOperand {
  const char* argument;
  const TensorOperand* operand;
};

/// Throws unless the problem's parts fit together: rows of logits, a target for each, and f32 values, `one_a_row`.
void require_rows_of_logits(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& logits,
                            const TensorOperand& targets, const std::vector<NamedOperand>& one_a_row,
                            float label_smoothing);

/// A tensor that has one element for each row of `logits`, as an operand of logits' shape.
TensorOperand one_a_row(const Tensor& tensor, const char* argument, const Tensor& logits);

/// Whether there is no row.
bool has_no_rows(int rank, const std::array<std::int64_t, max_rank>& sizes);

TargetParams target_params(const RowOperand& data, const TensorOperand& targets, std::int64_t ignore_index,
                           float label_smoothing);

/// E.g. "(4096, 32000) bf16 i64".
std::string rows_to_string(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& logits,
                           const TensorOperand& targets);

}  // namespace ckl
