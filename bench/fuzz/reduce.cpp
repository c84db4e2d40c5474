#include <memory>

#include <fmt/format.h>

#include "ckl/reduce.hpp"
#include "fuzz/operands_target.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

constexpr DType x_dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i32, DType::i64};
constexpr int op_count = int(ReduceOp::deviation) + 1;
const std::vector<std::string> fault_words = {"none",      "axis_too_large", "axis_twice",
                                              "y_is_e4m3", "y_is_null",      "y_is_longer"};

std::vector<std::string> op_words() {
  std::vector<std::string> words;
  for (int i = 0; i < op_count; ++i) words.push_back(ckl::name(ReduceOp(i)));
  return words;
}

std::vector<std::string> dtype_words() {
  std::vector<std::string> words;
  for (const DType dtype : x_dtypes) words.push_back(ckl::name(dtype));
  return words;
}

bool needs_floats(ReduceOp op) {
  return op == ReduceOp::mean || op == ReduceOp::l1 || op == ReduceOp::l2 || op >= ReduceOp::log_sum_exp;
}

bool needs_elements(ReduceOp op) {
  return op == ReduceOp::min || op == ReduceOp::max || op == ReduceOp::argmin || op == ReduceOp::argmax;
}

/// The output's dtypes that there are for an op on elements of `x`.
std::vector<DType> y_dtypes(ReduceOp op, DType x) {
  if (op == ReduceOp::any || op == ReduceOp::all) return {DType::b8};
  if (op == ReduceOp::argmin || op == ReduceOp::argmax || reference::is_integer(x)) return {DType::i64, DType::i32};
  return {DType::f32, DType::f16, DType::bf16, DType::f64};
}

/// The tensors of a case. Integers are f32 where the op has no meaning for them.
class Operands {
 public:
  explicit Operands(const FuzzCase& one) : one_(one), op_(ReduceOp(one["op"])), sizes_(sizes_of(one)) {
    DType dtype = x_dtypes[one["x_dtype"]];
    if (needs_floats(op_) && reference::is_integer(dtype)) dtype = DType::f32;
    const std::vector<DType> results = y_dtypes(op_, dtype);
    Dimensions kept = sizes_;
    for (const int axis : axes()) kept[std::size_t(axis)] = 1;
    if (axes().empty()) std::fill(kept.begin(), kept.end(), 1);
    x_.reset(new GuardedTensor(make_operand(one, "x", dtype, sizes_)));
    y_.reset(new GuardedTensor(make_operand(one, "y", results[std::size_t(one["y_dtype"]) % results.size()], kept)));
    x_->fill(1);
  }

  static void call(const ReduceArguments& arguments) { ckl::reduce(arguments); }
  static std::string spoil(ReduceArguments& arguments, const std::string& fault);

  ReduceArguments arguments() const {
    return {op_, x_->tensor(), y_->tensor(), axes(), double(one_["correction"]), one_["batch_invariant"] != 0};
  }

  /// Whether it asks for the smallest of no elements, for some element of y.
  bool lacks_elements() const {
    bool none = false, empty = false;
    for (std::size_t d = 0; d < sizes_.size(); ++d) (is_reduced(d) ? none : empty) |= sizes_[d] == 0;
    return needs_elements(op_) && none && !empty;
  }

  /// Config number `number` of those that can serve the problem, run twice in a workspace of exactly the size that it asks for; number 0
  /// is the one-line call. Returns what was written outside of the workspace.
  std::string launch(std::int64_t number) const {
    if (lacks_elements()) return "";  // judge() expects that it is refused
    if (number == 0) return call(arguments()), "";
    const ReduceProblem problem = reduce_problem(arguments());
    const std::vector<std::string> configs = reduce_candidates(problem, device_info(0));
    const ReducePlan plan(problem, 0, numbered(configs, number));
    GuardedMemory workspace(plan.workspace_bytes());
    std::fill_n(workspace.host(), workspace.bytes(), std::byte(0));
    workspace.upload();
    for (int run = 0; run < 2; ++run)
      plan.run(x_->device(), y_->device(), workspace.bytes() ? workspace.device() : nullptr);
    const std::string complaint = workspace.difference();
    return complaint.empty() ? ""
                             : fmt::format("{} does not leave its workspace as it was: {}", plan.config(), complaint);
  }

  std::string judge() {
    if (lacks_elements()) return expect_refusal("x", [&] { call(arguments()); });
    y_->receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    const ReduceProblem problem = reduce_problem(arguments());
    std::vector<long double> expected(std::size_t(reference::output_count(problem))), slack(expected.size());
    reference::reduce(problem, x_->host(), expected.data(), slack.data());
    const auto comparison = reference::compare_reduce(problem, y_->host(), expected.data(), slack.data());
    return complaint_about("y", comparison);
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const { return complaint_about("x", *x_) + complaint_about("y", *y_); }

 private:
  bool is_reduced(std::size_t d) const { return axes().empty() || (one_["axes"] >> d & 1); }

  /// Empty: all.
  std::vector<int> axes() const {
    std::vector<int> axes;
    for (std::size_t d = 0; d < sizes_.size(); ++d)
      if (one_["axes"] >> d & 1) axes.push_back(int(d));
    return axes;
  }

  const FuzzCase one_;
  const ReduceOp op_;
  const Dimensions sizes_;
  std::unique_ptr<GuardedTensor> x_, y_;
};

std::string Operands::spoil(ReduceArguments& arguments, const std::string& fault) {
  if (fault == "axis_too_large") return arguments.axes = {arguments.x.rank}, "axes[0]";
  if (fault == "axis_twice") return arguments.axes = {0, -arguments.x.rank}, "axes[1]";
  if (fault == "y_is_e4m3") return arguments.y.dtype = DType::e4m3, "y";
  if (fault == "y_is_null") return arguments.y.data = nullptr, "y";
  if (fault == "y_is_longer") return ++arguments.y.sizes[0], "y.sizes[0]";
  throw std::logic_error("no such fault: " + fault);
}

class ReduceFuzzTarget final : public OperandsFuzzTarget<Operands> {
 public:
  std::string name() const override { return "reduce"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    one.add("op", draw.below(op_count), op_words());
    draw_shape(one, draw, small);
    one.add("axes", draw.one_in(4) ? 0 : draw.below(1 << max_rank), 0, (1 << max_rank) - 1);  // bit i: dimension i
    one.add("x_dtype", draw.below(std::int64_t(std::size(x_dtypes))), dtype_words());
    one.add("y_dtype", draw.below(4), 0, 3);
    draw_operand(one, draw, "x", false);
    draw_operand(one, draw, "y", false);
    one.add("correction", draw.below(2), 0, 1);
    one.add("batch_invariant", draw.one_in(4), 0, 1);
    draw_config_and_fault(one, draw, fault_words);
    return one;
  }
};

}  // namespace

const FuzzTarget& reduce_fuzz_target() {
  static const ReduceFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
