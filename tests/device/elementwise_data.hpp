#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "ckl/elementwise.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"

namespace ckl::test {

/// The operands of one elementwise operation on the device, and how its results are judged.
class ElementwiseData {
 public:
  /// How an operand lies in memory, in its own shape (before it is broadcast); `is` names the input that an output is exactly, if any.
  struct Operand {
    DType dtype;
    Dimensions sizes, strides;
    std::int64_t offset = 0;
    int is = -1;
  };

  ElementwiseData(ElementwiseOp op, const std::vector<Operand>& in, const std::vector<Operand>& out,
                  std::vector<double> scalars = {})
      : op_(op), scalars_(std::move(scalars)) {
    for (const Operand& x : in) in_.push_back(buffer(x));
    for (const Operand& x : out) out_.push_back(x.is < 0 ? buffer(x) : in_[std::size_t(x.is)]);
    fill();
  }

  OperandBuffer& in(std::size_t i) { return *in_[i]; }
  OperandBuffer& out(std::size_t i = 0) { return *out_[i]; }

  ElementwiseArguments arguments() const {
    ElementwiseArguments arguments{op_, {}, {}, scalars_};
    for (const auto& x : in_) arguments.in.push_back(x->tensor());
    for (const auto& x : out_) arguments.out.push_back(x->tensor());
    return arguments;
  }
  ElementwiseProblem problem() const { return elementwise_problem(arguments()); }

  /// Normally distributed inputs; an output that is none of them is NaN.
  void fill(std::uint64_t seed = 1) {
    for (const auto& x : in_) x->fill(seed++);
    for (const auto& x : out_)
      if (!is_input(x)) x->fill_with(std::nan(""));
  }

  /// Keeps what the inputs are now: an output may replace them. For those who call the library themselves.
  void remember() {
    before_.clear(), before_offsets_.clear();
    for (const auto& x : in_) {
      before_.push_back(x->image());
      before_offsets_.push_back(x->first_byte());
    }
  }

  void run(const ElementwisePlan& plan) {
    remember();
    std::vector<const void*> in;
    std::vector<void*> out;
    for (const auto& x : in_) in.push_back(x->device());
    for (const auto& x : out_) out.push_back(x->device());
    plan.run(in.data(), out.data());
  }

  void call() {
    remember();
    elementwise(arguments());
  }

  /// Expects the results of the last run, and that nothing else has changed.
  void check() {
    for (const auto& x : out_) x->receive("an output");
    for (const auto& x : in_)
      if (std::find(out_.begin(), out_.end(), x) == out_.end()) x->expect_unchanged("an input");
    std::vector<const void*> in, out;
    for (std::size_t i = 0; i < in_.size(); ++i) in.push_back(before_[i].data() + before_offsets_[i]);
    for (const auto& x : out_) out.push_back(x->host());
    const reference::Comparison comparison = reference::compare_elementwise(problem(), in.data(), out.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " elements are wrong: " << comparison.first_wrong;
  }

 private:
  static std::shared_ptr<OperandBuffer> buffer(const Operand& x) {
    return std::make_shared<OperandBuffer>(x.dtype, x.sizes, x.strides, x.offset);
  }
  bool is_input(const std::shared_ptr<OperandBuffer>& x) const {
    return std::find(in_.begin(), in_.end(), x) != in_.end();
  }

  ElementwiseOp op_;
  std::vector<double> scalars_;
  std::vector<std::shared_ptr<OperandBuffer>> in_, out_;
  std::vector<std::vector<std::byte>> before_;  ///< The payloads.
  std::vector<std::int64_t> before_offsets_;    ///< Of element (0, 0, ...), in bytes.
};

}  // namespace ckl::test
