#include <memory>

#include "ckl/elementwise.hpp"
#include "fuzz/operands_target.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

constexpr DType dtypes[] = {DType::f32,  DType::f16, DType::bf16, DType::e4m3,
                            DType::e5m2, DType::i64, DType::i32,  DType::b8};
const std::vector<std::string> fault_words = {"none",       "an_input_less", "a_scalar_more",
                                              "out_is_f64", "out_is_null",   "out_repeats"};
const std::vector<std::string> in_names = {"x0", "x1", "x2", "x3"}, out_names = {"y0", "y1"};

std::vector<std::string> dtype_words() {
  std::vector<std::string> words;
  for (const DType dtype : dtypes) words.push_back(ckl::name(dtype));
  return words;
}

std::vector<std::string> op_words() {
  std::vector<std::string> words;
  for (int i = 0; i < elementwise_op_count; ++i) words.push_back(ckl::name(ElementwiseOp(i)));
  return words;
}

DType dtype_of(const FuzzCase& one, const std::string& x) { return dtypes[one[x + "_dtype"]]; }

/// The operands of a case. Where all are integers and the op has no meaning for them, the outputs are f32.
class Operands {
 public:
  explicit Operands(const FuzzCase& one) : op_(ElementwiseOp(one["op"])), info_(describe(op_)) {
    bool integers = true;
    for (int i = 0; i < info_.inputs; ++i) {
      const std::string& x = in_names[std::size_t(i)];
      integers = integers && reference::is_integer(dtype_of(one, x));
      in_.emplace_back(new GuardedTensor(make_operand(one, x, dtype_of(one, x), input_sizes(one, x))));
      in_.back()->fill(std::uint64_t(i) + 1);
    }
    for (int i = 0; i < info_.outputs; ++i) {
      const std::string& y = out_names[std::size_t(i)];
      const bool meaningless = integers && !info_.integers && reference::is_integer(dtype_of(one, y));
      out_.emplace_back(
          new GuardedTensor(make_operand(one, y, meaningless ? DType::f32 : dtype_of(one, y), sizes_of(one))));
    }
    for (int i = 0; i < info_.scalars; ++i) scalars_.push_back(-0.5 + i);
  }

  static void call(const ElementwiseArguments& arguments) { ckl::elementwise(arguments); }
  static std::string spoil(ElementwiseArguments& arguments, const std::string& fault);

  ElementwiseArguments arguments() const {
    ElementwiseArguments arguments{op_, {}, {}, scalars_};
    for (const auto& x : in_) arguments.in.push_back(x->tensor());
    for (const auto& y : out_) arguments.out.push_back(y->tensor());
    return arguments;
  }

  /// Config number `number` of those that can serve the problem; number 0 is the one-line call.
  std::string launch(std::int64_t number) const {
    if (number == 0) return call(arguments()), "";
    const ElementwiseProblem problem = elementwise_problem(arguments());
    const std::vector<std::string> configs = elementwise_candidates(problem, device_info(0));
    const ElementwisePlan plan(problem, 0, numbered(configs, number));
    std::vector<const void*> in;
    std::vector<void*> out;
    for (const auto& x : in_) in.push_back(x->device());
    for (const auto& y : out_) out.push_back(y->device());
    plan.run(in.data(), out.data());
    return "";
  }

  std::string judge() {
    for (const auto& y : out_) y->receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    std::vector<const void*> in, out;
    for (const auto& x : in_) in.push_back(x->host());
    for (const auto& y : out_) out.push_back(y->host());
    const ElementwiseProblem problem = elementwise_problem(arguments());
    const reference::Comparison comparison = reference::compare_elementwise(problem, in.data(), out.data());
    return complaint_about("the outputs", comparison);
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const {
    std::string all;
    for (std::size_t i = 0; i < in_.size(); ++i) all += complaint_about(in_names[i], *in_[i]);
    for (std::size_t i = 0; i < out_.size(); ++i) all += complaint_about(out_names[i], *out_[i]);
    return all;
  }

 private:
  const ElementwiseOp op_;
  const ElementwiseOpInfo info_;
  std::vector<std::unique_ptr<GuardedTensor>> in_, out_;
  std::vector<double> scalars_;
};

std::string Operands::spoil(ElementwiseArguments& arguments, const std::string& fault) {
  if (fault == "an_input_less") {
    if (arguments.in.empty()) return arguments.in.emplace_back(), "in ";
    return arguments.in.pop_back(), "in ";
  }
  if (fault == "a_scalar_more") return arguments.scalars.push_back(1), "scalars";
  if (fault == "out_is_f64") return arguments.out[0].dtype = DType::f64, "out[0]";
  if (fault == "out_is_null") return arguments.out[0].data = nullptr, "out[0]";
  if (fault == "out_repeats") return arguments.out[0].strides[0] = 0, "out[0]";
  throw std::logic_error("no such fault: " + fault);
}

class ElementwiseFuzzTarget final : public OperandsFuzzTarget<Operands> {
 public:
  std::string name() const override { return "elementwise"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    one.add("op", draw.below(elementwise_op_count), op_words());
    draw_shape(one, draw, small);
    // Half of the problems have one dtype, for which there are the longest vectors.
    const bool alike = draw.one_in(2);
    const std::int64_t dtype = draw.below(std::int64_t(std::size(dtypes)));
    const auto draw_operands = [&](const std::vector<std::string>& names, bool are_inputs) {
      for (const std::string& x : names) {
        one.add(x + "_dtype", alike ? dtype : draw.below(std::int64_t(std::size(dtypes))), dtype_words());
        draw_operand(one, draw, x, are_inputs);
      }
    };
    draw_operands(in_names, true);
    draw_operands(out_names, false);
    draw_config_and_fault(one, draw, fault_words);
    return one;
  }
};

}  // namespace

const FuzzTarget& elementwise_fuzz_target() {
  static const ElementwiseFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
