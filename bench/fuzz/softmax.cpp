#include <memory>

#include "ckl/softmax.hpp"
#include "fuzz/operands_target.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr float scales[] = {1.0f, 0.125f, -3.0f, 0.0f};
const std::vector<std::string> fault_words = {"none",      "axis_too_large", "y_is_f64",
                                              "y_is_null", "y_is_longer",    "scale_is_nan"};

/// The tensors of a case.
class Operands {
 public:
  explicit Operands(const FuzzCase& one) : one_(one) {
    const DType dtype = dtypes[one["dtype"]];
    const Dimensions sizes = sizes_of(one);
    x_.reset(new GuardedTensor(make_operand(one, "x", dtype, sizes)));
    y_.reset(new GuardedTensor(make_operand(one, "y", dtype, sizes)));
    x_->fill(1);
    if (!one["masked"]) return;
    Dimensions repeated = sizes;  // the mask has size 1 where it repeats
    for (std::size_t d = 0; d < sizes.size(); ++d)
      if (one["mask_repeats"] >> d & 1) repeated[d] = std::min<std::int64_t>(sizes[d], 1);
    mask_.reset(new GuardedTensor(make_operand(one, "mask", dtype, repeated)));
    mask_->fill(2);
  }

  static void call(const SoftmaxArguments& arguments) { ckl::softmax(arguments); }
  static std::string spoil(SoftmaxArguments& arguments, const std::string& fault);

  SoftmaxArguments arguments() const {
    SoftmaxArguments arguments{x_->tensor(), y_->tensor()};
    arguments.axis = int(axis());
    arguments.scale = scales[one_["scale"]];
    arguments.log = one_["log"] != 0;
    if (mask_) arguments.mask = mask_->tensor();
    arguments.causal = causal();
    arguments.diagonal = causal() ? one_["diagonal"] : 0;
    return arguments;
  }

  /// Config number `number` of those that can serve the problem; number 0 is the one-line call.
  std::string launch(std::int64_t number) const {
    if (number == 0) return call(arguments()), "";
    const SoftmaxProblem problem = softmax_problem(arguments());
    const std::vector<std::string> configs = softmax_candidates(problem, device_info(0));
    const SoftmaxPlan plan(problem, 0, numbered(configs, number));
    plan.run(SoftmaxPointers{x_->device(), y_->device(), mask_ ? mask_->device() : nullptr});
    return "";
  }

  std::string judge() {
    y_->receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    const SoftmaxProblem problem = softmax_problem(arguments());
    std::vector<double> expected(std::size_t(reference::element_count(problem))), slack(expected.size());
    const SoftmaxPointers inputs{x_->host(), nullptr, mask_ ? mask_->host() : nullptr};
    reference::softmax(problem, inputs, expected.data(), slack.data());
    const auto comparison = reference::compare_softmax(problem, y_->host(), expected.data(), slack.data());
    return complaint_about("y", comparison);
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const {
    return complaint_about("x", *x_) + complaint_about("y", *y_) + (mask_ ? complaint_about("mask", *mask_) : "");
  }

 private:
  std::int64_t rank() const { return one_["rank"]; }
  /// Causal ones are along the last of two dimensions or more.
  bool causal() const { return one_["causal"] && rank() >= 2; }
  std::int64_t axis() const { return causal() ? rank() - 1 : one_["axis"] % rank(); }

  const FuzzCase one_;
  std::unique_ptr<GuardedTensor> x_, y_, mask_;
};

std::string Operands::spoil(SoftmaxArguments& arguments, const std::string& fault) {
  if (fault == "axis_too_large") return arguments.axis = arguments.x.rank, "axis";
  if (fault == "y_is_f64") return arguments.y.dtype = DType::f64, "y";
  if (fault == "y_is_null") return arguments.y.data = nullptr, "y";
  if (fault == "y_is_longer") return ++arguments.y.sizes[0], "y.sizes[0]";
  if (fault == "scale_is_nan") return arguments.scale = std::nanf(""), "scale";
  throw std::logic_error("no such fault: " + fault);
}

class SoftmaxFuzzTarget final : public OperandsFuzzTarget<Operands> {
 public:
  std::string name() const override { return "softmax"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    draw_shape(one, draw, small, 1);
    const std::int64_t all = (1 << max_rank) - 1;  // bit i: dimension i
    one.add("axis", draw.below(max_rank), max_rank - 1, max_rank - 1);
    one.add("dtype", draw.below(std::int64_t(std::size(dtypes))), {"f32", "f16", "bf16"});
    one.add("scale", draw.one_in(2) ? 0 : draw.below(std::int64_t(std::size(scales))), 0,
            std::int64_t(std::size(scales)) - 1);
    one.add("log", draw.one_in(3), 0, 1);
    one.add("causal", draw.one_in(4), 0, 1);
    one.add("diagonal", draw.one_in(2) ? 0 : draw.below(100), 0);
    one.add("masked", draw.one_in(3), 0, 1);
    one.add("mask_repeats", draw.one_in(2) ? 0 : draw.below(all + 1), 0, all);
    for (const char* x : {"x", "y", "mask"}) draw_operand(one, draw, x, false);
    draw_config_and_fault(one, draw, fault_words);
    return one;
  }
};

}  // namespace

const FuzzTarget& softmax_fuzz_target() {
  static const SoftmaxFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
