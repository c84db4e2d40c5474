#include "ops/cross_entropy/check.hpp"

#include "host/operand.hpp"
#include "host/require.hpp"

namespace ckl {

void require_rows_of_logits(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& logits,
                            const TensorOperand& targets, const std::vector<NamedOperand>& one_a_row,
                            float label_smoothing) {
  host::require_operand(rank, sizes, logits, "logits");
  host::require(rank >= 1, "logits.rank must be 1 or more, but is ", rank);
  host::require_supported(logits.dtype == DType::f32 || logits.dtype == DType::f16 || logits.dtype == DType::bf16,
                          "logits.dtype must be f32, f16 or bf16, but is ", name(logits.dtype));
  host::require(sizes[rank - 1] > 0 || has_no_rows(rank, sizes), "logits.sizes[", rank - 1,
                "] must be 1 or more, but is ", sizes[rank - 1]);
  std::vector<NamedOperand> of_rows = one_a_row;
  of_rows.push_back({"targets", &targets});
  for (const auto& [argument, operand] : of_rows) {
    host::require_operand(rank, sizes, *operand, argument);
    host::require(operand->strides[rank - 1] == 0, argument, ".strides[", rank - 1, "] must be 0, but is ",
                  operand->strides[rank - 1]);
  }
  host::require_supported(targets.dtype == DType::i32 || targets.dtype == DType::i64,
                          "targets.dtype must be i32 or i64, but is ", name(targets.dtype));
  for (const auto& [argument, operand] : one_a_row)
    host::require_supported(operand->dtype == DType::f32, argument, ".dtype must be f32, but is ",
                            name(operand->dtype));
  host::require(label_smoothing >= 0 && label_smoothing <= 1, "label_smoothing must be 0 to 1, but is ",
                label_smoothing);
}

TensorOperand one_a_row(const Tensor& tensor, const char* argument, const Tensor& logits) {
  host::require_same_shape(tensor, argument, logits, "logits", logits.rank - 1);
  return host::operand_of(tensor);
}

bool has_no_rows(int rank, const std::array<std::int64_t, max_rank>& sizes) {
  return host::has_no_elements(rank - 1, sizes);
}

TargetParams target_params(const RowOperand& data, const TensorOperand& targets, std::int64_t ignore_index,
                           float label_smoothing) {
  return {data, targets.dtype == DType::i64, ignore_index, label_smoothing};
}

std::string rows_to_string(int rank, const std::array<std::int64_t, max_rank>& sizes, const TensorOperand& logits,
                           const TensorOperand& targets) {
  return host::sentence(host::listed(rank, sizes), " ", name(logits.dtype), " ", name(targets.dtype));
}

}  // namespace ckl
