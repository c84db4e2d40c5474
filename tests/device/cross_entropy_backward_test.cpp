// Cross-entropy's gradient against the oracle: the cross-entropies of the case list, by every config that can serve their gradient.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "cases/bad_cross_entropy.hpp"
#include "ckl/cross_entropy.hpp"
#include "ckl/cross_entropy_backward.hpp"
#include "cross_entropy_data.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

/// The operands of one gradient on the device, and what it has to give.
class GradientData : public LogitsAndTargets {
 public:
  explicit GradientData(const CrossEntropyCase& one)
      : LogitsAndTargets(one), lse_(of_rows(DType::f32)), dloss_(of_rows(DType::f32)) {
    if (!one.in_place) dlogits_.emplace(one.dtype, one.dlogits.sizes, one.dlogits.strides, one.dlogits.offset);
    reset();
  }

  OperandBuffer& lse() { return lse_; }
  OperandBuffer& dloss() { return dloss_; }
  OperandBuffer& dlogits() { return dlogits_ ? *dlogits_ : logits(); }
  double gradient(std::int64_t row, std::int64_t j) {
    return reference::Numeric(case_.dtype).read(dlogits().host(), row * case_.classes() + j);
  }

  CrossEntropyBackwardArguments arguments() {
    CrossEntropyBackwardArguments a{logits().tensor(), targets().tensor(), lse_.tensor(), dloss_.tensor(),
                                    dlogits().tensor()};
    a.ignore_index = ignored;
    a.label_smoothing = case_.label_smoothing;
    return a;
  }
  CrossEntropyBackwardProblem problem() { return cross_entropy_backward_problem(arguments()); }
  CrossEntropyBackwardPointers pointers() {
    return {logits().device(), targets().device(), device_floats(lse_), device_floats(dloss_), dlogits().device()};
  }

  /// Calls launch(), and compares with the oracle's results for the images of the inputs.
  template <class Launch> void run(const Launch& launch) {
    OperandBuffer& in = logits();
    const std::vector<std::byte> before = in.image();  // dlogits may replace them
    launch();
    dlogits().receive("dlogits");
    in.expect_unchanged("logits");
    targets().expect_unchanged("targets");
    lse_.expect_unchanged("lse");
    dloss_.expect_unchanged("dloss");
    const CrossEntropyBackwardPointers images{before.data() + in.first_byte(), targets().host(), floats(lse_),
                                              floats(dloss_), nullptr};
    expect_passed("dlogits", reference::compare_cross_entropy_backward(problem(), images, dlogits().host()));
  }

  /// Puts everything back to what it was before anything ran: lse is what normally distributed logits give.
  void reset() {
    LogitsAndTargets::reset();
    lse_.fill_with(std::log(double(case_.classes())) + 0.5);
    dloss_.fill(3);
    if (dlogits_) dlogits_->fill_with(123);
  }

 private:
  OperandBuffer lse_, dloss_;
  std::optional<OperandBuffer> dlogits_;
};

class CrossEntropyGradientCases : public DeviceTest, public ::testing::WithParamInterface<CrossEntropyCase> {};

INSTANTIATE_TEST_SUITE_P(List, CrossEntropyGradientCases, ::testing::ValuesIn(cross_entropy_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(CrossEntropyGradientCases, MatchesTheReference) {
  GradientData data(GetParam());
  data.run([&] { cross_entropy_backward(data.arguments()); });
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(CrossEntropyGradientCases, EveryConfigMatchesTheReference) {
  GradientData data(GetParam());
  const CrossEntropyBackwardProblem problem = data.problem();
  const std::vector<std::string> configs = cross_entropy_backward_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const CrossEntropyBackwardPlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.reset();
    data.run([&] { plan.run(data.pointers()); });
  }
}

class CrossEntropyGradientBehaviour : public DeviceTest {};

/// Runs all configs on data that `spoil` has changed, and looks at what they give.
template <class Spoil, class Look>
void for_each_config(const CrossEntropyCase& one, const Spoil& spoil, const Look& look) {
  GradientData data(one);
  const CrossEntropyBackwardProblem problem = data.problem();
  for (const std::string& config : cross_entropy_backward_candidates(problem, device_info(0))) {
    SCOPED_TRACE(std::string(name(one.dtype)) + " " + std::to_string(one.classes()) + " " + config);
    data.reset();
    spoil(data);
    data.run([&] { CrossEntropyBackwardPlan(problem, 0, config).run(data.pointers()); });
    look(data);
  }
}

TEST_F(CrossEntropyGradientBehaviour, SpecialValuesAreAsDocumented) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const std::int64_t classes : {24, 131, 2050}) {
      const auto spoil = [&](GradientData& data) {
        const std::int64_t targets[] = {1, 2, ignored, classes, -1, 5};
        for (std::int64_t row = 0; row < 6; ++row) data.set_target(row, targets[row]);
        data.logits().set({0, 3}, nan);
        data.logits().set({1, 7}, -infinity);
        data.logits().set({2, 3}, nan), data.logits().set({2, classes - 1}, infinity), data.lse().set({2}, infinity);
      };
      for_each_config(classes_of(dtype, 6, classes), spoil, [&](GradientData& data) {
        EXPECT_TRUE(std::isnan(data.gradient(0, 3)));
        EXPECT_TRUE(std::isfinite(data.gradient(0, 4)));
        EXPECT_EQ(data.gradient(1, 7), 0);
        for (const std::int64_t j : {std::int64_t(0), std::int64_t(3), classes - 1}) {
          EXPECT_EQ(data.gradient(2, j), 0) << j;
          EXPECT_TRUE(std::isnan(data.gradient(3, j)) && std::isnan(data.gradient(4, j))) << j;
          EXPECT_TRUE(std::isfinite(data.gradient(5, j))) << j;
        }
      });
    }
}

TEST_F(CrossEntropyGradientBehaviour, OneGradientMayServeAllRows) {
  GradientData data(classes_of(DType::bf16, 6, 200));
  data.dloss().fill_with(0.25);
  CrossEntropyBackwardArguments arguments = data.arguments();
  arguments.dloss.strides[0] = 0;
  data.run([&] { cross_entropy_backward(arguments); });
}

// What the cross-entropy stores is what its gradient takes: a row's gradients add up to nothing.
TEST_F(CrossEntropyGradientBehaviour, TakesWhatTheForwardPassStores) {
  for (const float label_smoothing : {0.0f, 0.1f}) {
    CrossEntropyCase one = classes_of(DType::f32, 9, 1001);
    one.label_smoothing = label_smoothing;
    GradientData data(one);
    OperandBuffer loss(DType::f32, {9}, {1});
    loss.fill_with(0);
    CrossEntropyArguments forward{data.logits().tensor(), data.targets().tensor(), loss.tensor(), data.lse().tensor()};
    forward.ignore_index = ignored;
    forward.label_smoothing = label_smoothing;
    cross_entropy(forward);
    data.lse().receive("lse");
    data.dloss().fill_with(1);
    data.run([&] { cross_entropy_backward(data.arguments()); });
    for (std::int64_t row = 0; row < 9; ++row) {
      double sum = 0;
      for (std::int64_t j = 0; j < 1001; ++j) sum += data.gradient(row, j);
      EXPECT_NEAR(sum, 0, 1e-5) << row;
    }
  }
}

// How many rows there are must not change a row's bits.
TEST_F(CrossEntropyGradientBehaviour, RowsAreIndependent) {
  for (const std::int64_t classes : {40, 1001, 33000}) {
    GradientData many(classes_of(DType::bf16, 3, classes)), one(classes_of(DType::bf16, 1, classes));
    cross_entropy_backward(many.arguments());
    cross_entropy_backward(one.arguments());  // the first row has the same elements: the draws begin alike
    const auto all = many.dlogits().download(), first = one.dlogits().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << classes;
  }
}

class BadCrossEntropyGradient : public DeviceTest,
                                public ::testing::WithParamInterface<BadCrossEntropy<CrossEntropyBackwardArguments>> {};

INSTANTIATE_TEST_SUITE_P(List, BadCrossEntropyGradient, ::testing::ValuesIn(bad_cross_entropy_backwards()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadCrossEntropyGradient, LeavesAllMemoryUntouched) {
  std::deque<OperandBuffer> buffers;  // they cannot move
  for (int i = 0; i < 5; ++i) buffers.emplace_back(DType::f32, Sizes{4096}, Sizes{1}).fill(std::uint64_t(i));
  CrossEntropyBackwardArguments arguments =
      good_cross_entropy_backward([&](int i) { return buffers[std::size_t(i)].device(); });
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { cross_entropy_backward(arguments); });
  for (const OperandBuffer& buffer : buffers) buffer.expect_unchanged("a buffer");
}

TEST_F(CrossEntropyGradientBehaviour, RunRefusesWhatThePlanWasNotPromised) {
  GradientData data(classes_of(DType::f32, 6, 40));
  const CrossEntropyBackwardPlan plan(data.problem());
  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  const auto refused = [&](std::vector<std::string> words, auto&& spoil) {
    CrossEntropyBackwardPointers pointers = data.pointers();
    spoil(pointers);
    expect_error(invalid, words, [&] { plan.run(pointers); });
  };
  refused({"logits ", "null"}, [](auto& p) { p.logits = nullptr; });
  refused({"dlogits ", "16"}, [](auto& p) { p.dlogits = moved(p.dlogits, 4); });
  refused({"dlogits ", "overlap logits"}, [](auto& p) { p.logits = moved(p.dlogits, 16); });
  refused({"dloss ", "null"}, [](auto& p) { p.dloss = nullptr; });
  expect_error(invalid, {"config", "\"fast\""}, [&] { CrossEntropyBackwardPlan(data.problem(), 0, "fast"); });
  expect_error(invalid, {"device", "1000"}, [&] { CrossEntropyBackwardPlan(data.problem(), 1000); });
  data.dlogits().expect_unchanged("dlogits");
}

}  // namespace
}  // namespace ckl::test
