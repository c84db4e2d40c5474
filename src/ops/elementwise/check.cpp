#include "ops/elementwise/check.hpp"

#include <algorithm>

#include "device/elementwise_params.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/require.hpp"
#include "ops/elementwise/elementwise.hpp"

namespace ckl {

namespace {

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::e4m3 ||
         dtype == DType::e5m2;
}

void require_operand(const ElementwiseProblem& p, const TensorOperand& operand, const char* argument) {
  host::require_operand(p.rank, p.sizes, operand, argument);
  host::require_supported(is_float(operand.dtype) || is_integer(operand.dtype), argument,
                          ".dtype must be f32, f16, bf16, e4m3, e5m2, i64, i32 or b8, but is ", name(operand.dtype));
}

/// `operand` of `problem` as a tensor at `data`.
Tensor as_tensor(const ElementwiseProblem& p, const TensorOperand& operand, const void* data) {
  return host::tensor_at(p.rank, p.sizes, operand, data);
}

}  // namespace

ElementwiseOpInfo operands_of(const ElementwiseProblem& p) {
  ElementwiseOpInfo info = describe(p.op);
  if (p.op == ElementwiseOp::custom) info.inputs = p.inputs, info.outputs = p.outputs;
  return info;
}

void require_op(ElementwiseOp op) {
  host::require(int(op) < elementwise_op_count || op == ElementwiseOp::custom, "op must be one of the ",
                elementwise_op_count, " values of ElementwiseOp, but is ", int(op));
}

void require_valid(const ElementwiseProblem& p) {
  require_op(p.op);
  host::require(p.op != ElementwiseOp::custom || (p.inputs >= 1 && p.inputs <= max_elementwise_inputs),
                "inputs must be 1 to ", max_elementwise_inputs, " with a function of one's own, but is ", p.inputs);
  host::require(p.op != ElementwiseOp::custom || (p.outputs >= 1 && p.outputs <= max_elementwise_outputs),
                "outputs must be 1 to ", max_elementwise_outputs, " with a function of one's own, but is ", p.outputs);
  const ElementwiseOpInfo info = operands_of(p);
  bool integers = true;
  for (int i = 0; i < info.inputs; ++i) {
    require_operand(p, p.in[i], in_names[i]);
    integers = integers && is_integer(p.in[i].dtype);
  }
  for (int i = 0; i < info.outputs; ++i) {
    require_operand(p, p.out[i], out_names[i]);
    host::require_no_self_overlap(as_tensor(p, p.out[i], nullptr), out_names[i]);
    integers = integers && is_integer(p.out[i].dtype);
  }
  host::require_supported(info.integers || !integers,
                          "op must be one that is defined on integers where all operands are, but is ", info.name);
}

bool is_empty(const ElementwiseProblem& p) { return host::has_no_elements(p.rank, p.sizes); }

void require_pointers(const ElementwiseProblem& p, const void* const* in, void* const* out) {
  const ElementwiseOpInfo info = operands_of(p);
  for (int i = 0; i < info.inputs; ++i) host::require_pointer(in[i], p.in[i], in_names[i]);
  for (int i = 0; i < std::min(info.outputs, max_elementwise_outputs); ++i)  // no more, which clang-tidy cannot know
    host::require_pointer(out[i], p.out[i], out_names[i]);
  for (int o = 0; o < info.outputs; ++o) {
    const Tensor written = as_tensor(p, p.out[o], out[o]);
    for (int i = 0; i < info.inputs; ++i)
      host::require_no_partial_overlap(written, out_names[o], as_tensor(p, p.in[i], in[i]), in_names[i]);
    for (int other = 0; other < o; ++other)
      host::require_no_overlap(written, out_names[o], as_tensor(p, p.out[other], out[other]), out_names[other]);
  }
}

}  // namespace ckl
