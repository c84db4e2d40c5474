#include <cmath>
#include <cstring>
#include <memory>

#include "ckl/cross_entropy.hpp"
#include "ckl/cross_entropy_backward.hpp"
#include "fuzz/operands_target.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr float smoothings[] = {0.0f, 0.1f, 1.0f};
constexpr std::int64_t ignored = -7;
const std::vector<std::string> fault_words = {"none",        "loss_is_f64",     "loss_is_null",  "loss_is_longer",
                                              "lse_is_loss", "targets_are_f32", "smoothing_is_2"};
const std::vector<std::string> backward_fault_words = {
    "none",           "dlogits_is_f64",  "dlogits_is_null", "dlogits_is_longer",
    "lse_is_dlogits", "targets_are_f32", "smoothing_is_2"};

/// What a cross-entropy and its gradient have in common: logits, one class at least, and a target a row, some of which are ignored and some
/// of which are no class.
class LogitsAndTargets {
 public:
  explicit LogitsAndTargets(const FuzzCase& one) : one_(one) {
    logits_ = of_logits("logits");
    logits_->fill(1);
    targets_ = of_rows("targets", one["i32"] ? DType::i32 : DType::i64);
    fill_targets();
  }

 protected:
  using Operand = std::unique_ptr<GuardedTensor>;

  Operand of_logits(const std::string& x) const { return operand(x, dtypes[one_["dtype"]], sizes()); }
  Operand of_rows(const std::string& x, DType dtype) const { return operand(x, dtype, rows()); }
  std::int64_t classes() const { return sizes().back(); }
  float smoothing() const { return smoothings[one_["smoothing"]]; }

  static Tensor tensor(const Operand& x) { return x ? x->tensor() : Tensor(); }
  static float* device_floats(const Operand& x) { return x ? reinterpret_cast<float*>(x->device()) : nullptr; }
  static const float* floats(const Operand& x) { return reinterpret_cast<const float*>(x->host()); }

  const FuzzCase one_;
  Operand logits_, targets_;

 private:
  Operand operand(const std::string& x, DType dtype, const Dimensions& sizes) const {
    return Operand(new GuardedTensor(make_operand(one_, x, dtype, sizes)));
  }
  Dimensions sizes() const {
    Dimensions sizes = sizes_of(one_);
    sizes.back() = std::max<std::int64_t>(1, sizes.back());
    return sizes;
  }
  Dimensions rows() const {
    Dimensions rows = sizes();
    rows.pop_back();
    return rows;
  }

  void fill_targets() {
    Draw draw(2);
    const Tensor view = targets_->tensor();
    const Dimensions strides(view.strides.begin(), view.strides.begin() + view.rank);
    for_each_element(rows(), strides, [&](std::int64_t offset) {
      const std::int64_t target = draw.one_in(5) ? ignored : draw.one_in(20) ? classes() : draw.below(classes());
      const auto narrow = std::int32_t(target);
      std::byte* to = targets_->host() + offset * std::int64_t(size_of(view.dtype));
      if (view.dtype == DType::i32)
        std::memcpy(to, &narrow, sizeof(narrow));
      else
        std::memcpy(to, &target, sizeof(target));
    });
    targets_->upload();
  }
};

/// The tensors of a case.
class Operands : public LogitsAndTargets {
 public:
  explicit Operands(const FuzzCase& one) : LogitsAndTargets(one), loss_(of_rows("loss", DType::f32)) {
    if (one["lse"]) lse_ = of_rows("lse", DType::f32);
    for (GuardedTensor* output : {loss_.get(), lse_.get()})
      if (output) output->fill_with(-1);  // a NaN can be right
  }

  static void call(const CrossEntropyArguments& arguments) { ckl::cross_entropy(arguments); }
  static std::string spoil(CrossEntropyArguments& arguments, const std::string& fault);

  CrossEntropyArguments arguments() const {
    return {tensor(logits_), tensor(targets_), tensor(loss_), tensor(lse_), ignored, smoothing()};
  }

  /// Config number `number` of those that can serve the problem; number 0 is the one-line call.
  std::string launch(std::int64_t number) const {
    if (number == 0) return call(arguments()), "";
    const CrossEntropyProblem problem = cross_entropy_problem(arguments());
    const CrossEntropyPlan plan(problem, 0, numbered(cross_entropy_candidates(problem, device_info(0)), number));
    plan.run({logits_->device(), targets_->device(), device_floats(loss_), device_floats(lse_)});
    return "";
  }

  std::string judge() {
    loss_->receive();
    if (lse_) lse_->receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    const CrossEntropyProblem problem = cross_entropy_problem(arguments());
    const auto expected = reference::cross_entropy(problem, logits_->host(), targets_->host());
    const auto loss = reference::compare_cross_entropy(problem, floats(loss_), expected);
    return complaint_about("loss", loss) +
           (lse_ ? complaint_about("lse", reference::compare_cross_entropy_lse(problem, floats(lse_), expected)) : "");
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const {
    return complaint_about("logits", *logits_) + complaint_about("targets", *targets_) +
           complaint_about("loss", *loss_) + (lse_ ? complaint_about("lse", *lse_) : "");
  }

 private:
  Operand loss_, lse_;
};

std::string Operands::spoil(CrossEntropyArguments& arguments, const std::string& fault) {
  if (fault == "loss_is_f64") return arguments.loss.dtype = DType::f64, "loss";
  if (fault == "loss_is_null") return arguments.loss.data = nullptr, "loss";
  if (fault == "loss_is_longer") return ++arguments.loss.sizes[0], "loss.sizes[0]";
  if (fault == "lse_is_loss") return arguments.lse = arguments.loss, "lse";
  if (fault == "targets_are_f32") return arguments.targets.dtype = DType::f32, "targets";
  if (fault == "smoothing_is_2") return arguments.label_smoothing = 2, "label_smoothing";
  throw std::logic_error("no such fault: " + fault);
}

/// The tensors of a gradient. It may replace the logits.
class BackwardOperands : public LogitsAndTargets {
 public:
  explicit BackwardOperands(const FuzzCase& one)
      : LogitsAndTargets(one), lse_(of_rows("lse", DType::f32)), dloss_(of_rows("dloss", DType::f32)) {
    lse_->fill_with(std::log(double(classes())) + 0.5);  // what normally distributed logits give
    dloss_->fill(3);
    if (one["in_place"]) return;
    dlogits_ = of_logits("dlogits");
    dlogits_->fill_with(123);
  }

  static void call(const CrossEntropyBackwardArguments& arguments) { ckl::cross_entropy_backward(arguments); }
  static std::string spoil(CrossEntropyBackwardArguments& arguments, const std::string& fault);

  CrossEntropyBackwardArguments arguments() const {
    return {tensor(logits_), tensor(targets_), tensor(lse_), tensor(dloss_), output().tensor(), ignored, smoothing()};
  }

  /// Config number `number` of those that can serve the problem; number 0 is the one-line call.
  std::string launch(std::int64_t number) const {
    if (number == 0) return call(arguments()), "";
    const CrossEntropyBackwardProblem problem = cross_entropy_backward_problem(arguments());
    const std::vector<std::string> configs = cross_entropy_backward_candidates(problem, device_info(0));
    const CrossEntropyBackwardPlan plan(problem, 0, numbered(configs, number));
    plan.run({logits_->device(), targets_->device(), device_floats(lse_), device_floats(dloss_), output().device()});
    return "";
  }

  std::string judge() {
    const std::vector<std::byte> before = logits_->image();  // the gradient may replace them
    output().receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    const CrossEntropyBackwardPointers inputs{before.data() + logits_->first_byte(), targets_->host(), floats(lse_),
                                              floats(dloss_), nullptr};
    const auto comparison =
        reference::compare_cross_entropy_backward(cross_entropy_backward_problem(arguments()), inputs, output().host());
    return complaint_about("dlogits", comparison);
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const {
    return complaint_about("logits", *logits_) + complaint_about("targets", *targets_) + complaint_about("lse", *lse_) +
           complaint_about("dloss", *dloss_) + (dlogits_ ? complaint_about("dlogits", *dlogits_) : "");
  }

 private:
  GuardedTensor& output() const { return dlogits_ ? *dlogits_ : *logits_; }

  Operand lse_, dloss_, dlogits_;
};

std::string BackwardOperands::spoil(CrossEntropyBackwardArguments& arguments, const std::string& fault) {
  if (fault == "dlogits_is_f64") return arguments.dlogits.dtype = DType::f64, "dlogits";
  if (fault == "dlogits_is_null") return arguments.dlogits.data = nullptr, "dlogits";
  if (fault == "dlogits_is_longer") return ++arguments.dlogits.sizes[0], "dlogits.sizes[0]";
  if (fault == "lse_is_dlogits") return arguments.lse.data = arguments.dlogits.data, "lse";
  if (fault == "targets_are_f32") return arguments.targets.dtype = DType::f32, "targets";
  if (fault == "smoothing_is_2") return arguments.label_smoothing = 2, "label_smoothing";
  throw std::logic_error("no such fault: " + fault);
}

/// Draws the fields that both have.
void draw_logits_and_targets(FuzzCase& one, Draw& draw, bool small) {
  draw_shape(one, draw, small, 1);
  one.add("dtype", draw.below(std::int64_t(std::size(dtypes))), {"f32", "f16", "bf16"});
  one.add("i32", draw.one_in(2), 0, 1);
  one.add("smoothing", draw.one_in(2) ? 0 : draw.below(std::int64_t(std::size(smoothings))), 0,
          std::int64_t(std::size(smoothings)) - 1);
  for (const char* x : {"logits", "targets", "lse"}) draw_operand(one, draw, x, false);
}

class CrossEntropyFuzzTarget final : public OperandsFuzzTarget<Operands> {
 public:
  std::string name() const override { return "cross_entropy"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    draw_logits_and_targets(one, draw, small);
    one.add("lse", draw.one_in(2), 0, 1);
    draw_operand(one, draw, "loss", false);
    draw_config_and_fault(one, draw, fault_words);
    return one;
  }
};

class CrossEntropyBackwardFuzzTarget final : public OperandsFuzzTarget<BackwardOperands> {
 public:
  std::string name() const override { return "cross_entropy_backward"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    draw_logits_and_targets(one, draw, small);
    one.add("in_place", draw.one_in(4), 0, 1);
    for (const char* x : {"dloss", "dlogits"}) draw_operand(one, draw, x, false);
    draw_config_and_fault(one, draw, backward_fault_words);
    return one;
  }
};

}  // namespace

const FuzzTarget& cross_entropy_fuzz_target() {
  static const CrossEntropyFuzzTarget target;
  return target;
}

const FuzzTarget& cross_entropy_backward_fuzz_target() {
  static const CrossEntropyBackwardFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
