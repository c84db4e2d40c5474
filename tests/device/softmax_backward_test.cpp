// Softmax's gradient against the oracle: the softmaxes of the case list, by every config that can serve their gradient.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "cases/softmax_cases.hpp"
#include "ckl/softmax_backward.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"

namespace ckl::test {
namespace {

/// The operands of one gradient on the device, and what it has to give: y and dy lie as the softmax's x, dx as its y. In place, dx is y.
class GradientData {
 public:
  explicit GradientData(const SoftmaxCase& softmax) : case_(softmax), dy_(buffer(softmax.x)), dx_(buffer(softmax.y)) {
    if (!softmax.in_place) y_.emplace(softmax.dtype, softmax.x.sizes, softmax.x.strides, softmax.x.offset);
    reset();
  }

  OperandBuffer& y() { return y_ ? *y_ : dx_; }
  OperandBuffer& dy() { return dy_; }
  OperandBuffer& dx() { return dx_; }

  SoftmaxBackwardArguments arguments() {
    return {y().tensor(), dy_.tensor(), dx_.tensor(), case_.axis, case_.scale, case_.log};
  }
  SoftmaxBackwardProblem problem() { return softmax_backward_problem(arguments()); }

  /// Computes the oracle's result from the images of the inputs; call it before the results are received.
  void expect() {
    const SoftmaxBackwardProblem problem = this->problem();
    expected_.resize(std::size_t(reference::element_count(problem)));
    slack_.resize(expected_.size());
    reference::softmax_backward(problem, y().host(), dy_.host(), expected_.data(), slack_.data());
  }

  void check() {
    dx_.receive("dx");
    if (y_) y_->expect_unchanged("y");
    dy_.expect_unchanged("dy");
    const reference::Comparison comparison =
        reference::compare_softmax_backward(problem(), dx_.host(), expected_.data(), slack_.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " of " << expected_.size()
                                     << " elements are wrong: " << comparison.first_wrong;
  }

  /// Puts everything back to what it was before anything ran.
  void reset() {
    dx_.fill_with(std::nan(""));
    y().fill(1);
    dy_.fill(2);
  }

 private:
  OperandBuffer buffer(const OperandLayout& layout) {
    return OperandBuffer(case_.dtype, layout.sizes, layout.strides, layout.offset);
  }

  SoftmaxCase case_;
  OperandBuffer dy_, dx_;
  std::optional<OperandBuffer> y_;
  std::vector<double> expected_, slack_;
};

class GradientCases : public DeviceTest, public ::testing::WithParamInterface<SoftmaxCase> {};

INSTANTIATE_TEST_SUITE_P(List, GradientCases, ::testing::ValuesIn(softmax_gradient_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(GradientCases, MatchesTheReference) {
  GradientData data(GetParam());
  data.expect();
  softmax_backward(data.arguments());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(GradientCases, EveryConfigMatchesTheReference) {
  GradientData data(GetParam());
  const SoftmaxBackwardProblem problem = data.problem();
  data.expect();
  const std::vector<std::string> configs = softmax_backward_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  EXPECT_TRUE(any_is_ragged(configs) || !GetParam().ragged);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const SoftmaxBackwardPlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.reset();
    plan.run(data.y().device(), data.dy().device(), data.dx().device());
    data.check();
  }
}

class GradientBehaviour : public DeviceTest {};

SoftmaxCase rows_of(DType dtype, std::int64_t rows, std::int64_t columns) {
  SoftmaxCase one;
  one.dtype = dtype;
  one.x = one.y = dense({rows, columns});
  one.axis = 1;
  return one;
}

// A NaN or an infinity stays in its row; where y is 0 the gradient is, even of a huge dy.
TEST_F(GradientBehaviour, SpecialValuesAreIEEEs) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const bool log : {false, true})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const std::int64_t columns : {24, 130, 2048, short_list() ? 8200 : 17000}) {
        SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(columns));
        SoftmaxCase one = rows_of(dtype, 5, columns);
        one.log = log;
        GradientData data(one);
        const SoftmaxBackwardProblem problem = data.problem();
        for (const std::string& config : softmax_backward_candidates(problem, device_info(0))) {
          SCOPED_TRACE(config);
          data.reset();
          data.dy().set({1, columns - 1}, infinity);
          data.y().set({2, 0}, nan);
          data.y().set({3, columns / 2}, log ? -infinity : 0.0);
          data.dy().set({3, columns / 2}, 6e4);
          data.expect();
          SoftmaxBackwardPlan(problem, 0, config).run(data.y().device(), data.dy().device(), data.dx().device());
          data.check();
        }
      }
}

// How many rows there are must not change a row's bits.
TEST_F(GradientBehaviour, RowsAreIndependent) {
  for (const std::int64_t columns : {40, 1000, 4096}) {
    GradientData many(rows_of(DType::bf16, 37, columns)), one(rows_of(DType::bf16, 1, columns));
    softmax_backward(many.arguments());
    softmax_backward(one.arguments());  // the first row has the same elements: the fill's draws begin alike
    const auto all = many.dx().download(), first = one.dx().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
  }
}

// Everything that is refused is refused before anything is written.
TEST_F(GradientBehaviour, BadInputLeavesAllMemoryUntouched) {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  const auto refused = [](ErrorCode code, std::vector<std::string> words, auto&& spoil) {
    SCOPED_TRACE(words.front() + words.back());
    GradientData data(rows_of(DType::f32, 40, 48));
    SoftmaxBackwardArguments arguments = data.arguments();
    spoil(arguments);
    expect_error(code, words, [&] { softmax_backward(arguments); });
    for (OperandBuffer* buffer : {&data.y(), &data.dy(), &data.dx()}) buffer->expect_unchanged("a buffer");
  };
  const auto further = [](Tensor& tensor, int bytes) { tensor.data = static_cast<char*>(tensor.data) + bytes; };
  refused(invalid, {"y ", "null"}, [](auto& a) { a.y.data = nullptr; });
  refused(invalid, {"dy ", "null"}, [](auto& a) { a.dy.data = nullptr; });
  refused(invalid, {"dx ", "null"}, [](auto& a) { a.dx.data = nullptr; });
  refused(invalid, {"y.rank", "1 or more", "0"}, [](auto& a) { a.y.rank = a.dy.rank = a.dx.rank = 0; });
  refused(invalid, {"dy.rank", "2", "1"}, [](auto& a) { a.dy.rank = 1; });
  refused(invalid, {"dx.sizes[1]", "y.sizes[1]", "48", "47"}, [](auto& a) { a.dx.sizes[1] = 47; });
  refused(invalid, {"axis", "-2", "1", "2"}, [](auto& a) { a.axis = 2; });
  refused(invalid, {"scale", "finite", "nan"}, [](auto& a) { a.scale = std::nanf(""); });
  refused(unsupported, {"dy.dtype", "f32", "f16"}, [](auto& a) { a.dy.dtype = DType::f16; });
  refused(unsupported, {"y.dtype", "bf16", "i32"}, [](auto& a) { a.y.dtype = a.dy.dtype = a.dx.dtype = DType::i32; });
  refused(invalid, {"dx ", "overlap", "(0, 1)"}, [](auto& a) { a.dx.strides[0] = 0; });
  refused(invalid, {"dx ", "overlap y"}, [&](auto& a) { a.dx = a.y, further(a.dx, 4); });
  refused(invalid, {"dx ", "overlap dy"}, [&](auto& a) { a.dx = a.dy, further(a.dx, 4); });
  refused(invalid, {"dy ", "multiple", "4"}, [&](auto& a) { further(a.dy, 2); });
}

}  // namespace
}  // namespace ckl::test
