#include "ops/elementwise.hpp"

#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "ops/memory.hpp"
#include "ops/parse.hpp"
#include "providers/providers.hpp"
#include "reference/numeric.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

/// Elements from the first to the last of an operand, inclusive.
std::int64_t span(const ElementwiseProblem& p, const TensorOperand& operand) {
  std::int64_t last = 0;
  for (int dim = 0; dim < p.rank; ++dim) {
    if (p.sizes[dim] == 0) return 0;
    last += (p.sizes[dim] - 1) * operand.strides[dim];
  }
  return last + 1;
}

/// Elements of an operand that differ in address: repeated ones need to be read only once.
std::int64_t distinct(const ElementwiseProblem& p, const TensorOperand& operand) {
  std::int64_t count = 1;
  for (int dim = 0; dim < p.rank; ++dim)
    if (operand.strides[dim] != 0) count *= p.sizes[dim];
  return count;
}

std::size_t bytes_of(const ElementwiseProblem& p, const TensorOperand& x) {
  return std::size_t(span(p, x)) * size_of(x.dtype);
}

/// The operands that the op has: inputs, then outputs.
std::vector<const TensorOperand*> operands_of(const ElementwiseProblem& p) {
  const ElementwiseOpInfo info = describe(p.op);
  std::vector<const TensorOperand*> all;
  for (int i = 0; i < info.inputs; ++i) all.push_back(&p.in[std::size_t(i)]);
  for (int i = 0; i < info.outputs; ++i) all.push_back(&p.out[std::size_t(i)]);
  return all;
}

TensorOperand contiguous(const ElementwiseProblem& p, DType dtype) {
  TensorOperand operand;
  operand.dtype = dtype;
  std::int64_t stride = 1;
  for (int dim = p.rank - 1; dim >= 0; --dim) {
    operand.strides[dim] = stride;
    stride *= p.sizes[dim];
  }
  return operand;
}

/// One row, repeated.
void broadcast_rows(const ElementwiseProblem& p, TensorOperand& x) {
  x.strides = {};
  x.strides[p.rank - 1] = 1;
}

/// The left part of a matrix with half as many columns again.
void widen_rows(const ElementwiseProblem& p, TensorOperand& x) {
  const std::int64_t columns = p.sizes[p.rank - 1];
  for (int dim = 0; dim + 1 < p.rank; ++dim) x.strides[dim] = x.strides[dim] / columns * (columns + columns / 2);
}

/// Column-major.
void transpose(const ElementwiseProblem& p, TensorOperand& x) {
  std::int64_t stride = 1;
  for (int dim = 0; dim < p.rank; ++dim) {
    x.strides[dim] = stride;
    stride *= p.sizes[dim];
  }
}

DType dtype_named(const std::string& key, const std::string& text) {
  return parse_dtype(
      key, text, {DType::bf16, DType::f16, DType::f32, DType::e4m3, DType::e5m2, DType::i64, DType::i32, DType::b8});
}

ElementwiseProblem problem_of(ElementwiseOp op, const Case& one) {
  ElementwiseProblem p;
  const ElementwiseOpInfo info = describe(op);
  p.op = op;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  for (int i = 0; i < info.inputs; ++i) p.in[std::size_t(i)] = contiguous(p, dtype_named("dtype", one.dtype));
  for (int i = 0; i < info.outputs; ++i) p.out[std::size_t(i)] = contiguous(p, dtype_named("dtype-out", one.dtype_out));
  if (op == ElementwiseOp::where) p.in[0].dtype = DType::b8;
  if (op == ElementwiseOp::clamp) p.scalars = {-1, 1};
  if (op == ElementwiseOp::scale || op == ElementwiseOp::fill) p.scalars[0] = 0.75;
  if (info.inputs == 0) return p;
  if (one.layout == "broadcast") broadcast_rows(p, p.in[std::size_t(info.inputs) - 1]);
  if (one.layout == "strided")
    for (int i = 0; i < info.inputs; ++i) widen_rows(p, p.in[std::size_t(i)]);
  if (one.layout == "transposed") transpose(p, p.in[0]);
  return p;
}

class ElementwiseOperator final : public Operator {
 public:
  explicit ElementwiseOperator(ElementwiseOp op) : op_(op) {}

  std::string name() const override { return ckl::name(op_); }
  std::string family() const override { return "elementwise"; }
  std::string summary() const override {
    return fmt::format(
        "elementwise {}; --problem SIZExSIZE..., --dtype TYPE and --dtype-out "
        "bf16|f16|f32|e4m3|e5m2|i64|i32|b8, --layout contiguous|broadcast|strided|transposed",
        name());
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "300x1024" : "16384x4096"}}, {"dtype", {"bf16"}}, {"layout", {"contiguous"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "dtype-out", "layout"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    const std::string& dtype = settings.at("dtype");
    Case one{name(), "", {{"sizes", sizes}}, dtype, value_or(settings, "dtype-out", dtype), ""};
    dtype_named("dtype", one.dtype);
    dtype_named("dtype-out", one.dtype_out);
    one.layout = parse_choice("layout", settings.at("layout"), {"contiguous", "broadcast", "strided", "transposed"});
    if (one.layout != "contiguous" && sizes.size() < 2)
      throw UsageError(fmt::format("--problem: must have two sizes or more for --layout {}, got `{}`", one.layout,
                                   settings.at("problem")));
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<ElementwiseWorkload>(problem_of(op_, one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const ElementwiseProblem p = problem_of(op_, one);
    std::vector<std::vector<char>> values;
    std::vector<const void*> in;
    for (int i = 0; i < describe(op_).inputs; ++i) {
      const TensorOperand& x = p.in[std::size_t(i)];
      in.push_back(values.emplace_back(host_normal(x.dtype, span(p, x), std::uint64_t(i) + 1)).data());
    }
    return describe_reference(p.out[0].dtype, reference::elementwise(p, in.data()));
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return elementwise_candidates(problem_of(op_, one), device_info(session.gpu.index));
  }

 private:
  const ElementwiseOp op_;
};

}  // namespace

ElementwiseWorkload::ElementwiseWorkload(const ElementwiseProblem& p, const Session& s) : problem(p), session(s) {
  const ElementwiseOpInfo info = describe(p.op);
  std::size_t bytes = 0;
  for (const TensorOperand* x : operands_of(p)) bytes += align(bytes_of(p, *x));
  sets = rotation_sets(session, double(bytes));
  memory_ = Buffer(sets * bytes);
  std::size_t at = 0;
  std::uint64_t seed = 0;
  for (std::size_t set = 0; set < sets; ++set) {
    ElementwiseOperands& one = operands.emplace_back();
    for (int i = 0; i < info.inputs; ++i) {
      const TensorOperand& x = p.in[std::size_t(i)];
      one.in.push_back(memory_.at(at));
      session.kernels.fill_normal(memory_.at(at), x.dtype, span(p, x), ++seed);
      at += align(bytes_of(p, x));
    }
    for (int i = 0; i < info.outputs; ++i) {
      one.out.push_back(memory_.at(at));
      at += align(bytes_of(p, p.out[std::size_t(i)]));
    }
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

Work ElementwiseWorkload::work() const {
  double bytes = 0;
  for (const TensorOperand* x : operands_of(problem))
    bytes += double(distinct(problem, *x)) * double(size_of(x->dtype));
  return {0, bytes};
}

Launch ElementwiseWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict ElementwiseWorkload::verify(const Implementation& implementation) {
  const ElementwiseOpInfo info = describe(problem.op);
  const ElementwiseOperands& set = operands.front();
  for (int i = 0; i < info.outputs; ++i)
    check(cudaMemset(set.out[std::size_t(i)], 0xff, bytes_of(problem, problem.out[std::size_t(i)])), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaMemset");
  Stream stream;
  implementation.launch(0, stream);
  stream.synchronize();
  std::deque<HostCopy> copies;
  std::vector<const void*> in, out;
  for (int i = 0; i < info.inputs; ++i)
    in.push_back(
        copies.emplace_back(download(set.in[std::size_t(i)], bytes_of(problem, problem.in[std::size_t(i)]))).data());
  for (int i = 0; i < info.outputs; ++i)
    out.push_back(
        copies.emplace_back(download(set.out[std::size_t(i)], bytes_of(problem, problem.out[std::size_t(i)]))).data());
  const reference::Comparison comparison = reference::compare_elementwise(problem, in.data(), out.data());
  return {comparison.passed(), comparison.error, comparison.bound, comparison.first_wrong};
}

std::vector<const Operator*> elementwise_operators() {
  static const std::vector<ElementwiseOperator> all = [] {
    std::vector<ElementwiseOperator> list;
    list.reserve(std::size_t(elementwise_op_count));
    list.emplace_back(ElementwiseOp::add);  // first, as the family's plainest
    for (int i = 0; i < elementwise_op_count; ++i)
      if (ElementwiseOp(i) != ElementwiseOp::add) list.emplace_back(ElementwiseOp(i));
    return list;
  }();
  std::vector<const Operator*> operators;
  for (const ElementwiseOperator& one : all) operators.push_back(&one);
  return operators;
}

}  // namespace ckl::bench
