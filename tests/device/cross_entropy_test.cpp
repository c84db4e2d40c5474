// Cross-entropy against the oracle: every problem of the case list, by every config that can serve it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "cases/bad_cross_entropy.hpp"
#include "ckl/cross_entropy.hpp"
#include "cross_entropy_data.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

/// The operands of one cross-entropy on the device, and what it has to give.
class CrossEntropyData : public LogitsAndTargets {
 public:
  explicit CrossEntropyData(const CrossEntropyCase& one)
      : LogitsAndTargets(one), loss_(of_rows(DType::f32)), lse_(of_rows(DType::f32)) {
    reset();
  }

  OperandBuffer& loss() { return loss_; }
  OperandBuffer& lse() { return lse_; }
  float loss_of(std::int64_t row) { return floats(loss_)[row * case_.step]; }
  float lse_of(std::int64_t row) { return floats(lse_)[row * case_.step]; }

  CrossEntropyArguments arguments() {
    CrossEntropyArguments a{logits().tensor(), targets().tensor(), loss_.tensor()};
    if (case_.lse) a.lse = lse_.tensor();
    a.ignore_index = ignored;
    a.label_smoothing = case_.label_smoothing;
    return a;
  }
  CrossEntropyProblem problem() { return cross_entropy_problem(arguments()); }
  CrossEntropyPointers pointers() {
    return {logits().device(), targets().device(), device_floats(loss_), device_floats(lse_)};
  }

  /// Compares with the oracle's results for the images of the inputs.
  void check() {
    loss_.receive("loss");
    if (case_.lse) lse_.receive("lse");
    lse_.expect_unchanged("lse");
    logits().expect_unchanged("logits");
    targets().expect_unchanged("targets");
    const CrossEntropyProblem problem = this->problem();
    const reference::CrossEntropyResult expected = reference::cross_entropy(problem, logits().host(), targets().host());
    expect_passed("loss", reference::compare_cross_entropy(problem, floats(loss_), expected));
    if (case_.lse) expect_passed("lse", reference::compare_cross_entropy_lse(problem, floats(lse_), expected));
  }

  void reset() {
    LogitsAndTargets::reset();
    loss_.fill_with(-1);  // a NaN can be right
    lse_.fill_with(-1);
  }

 private:
  OperandBuffer loss_, lse_;
};

class CrossEntropyCases : public DeviceTest, public ::testing::WithParamInterface<CrossEntropyCase> {};

INSTANTIATE_TEST_SUITE_P(List, CrossEntropyCases, ::testing::ValuesIn(cross_entropy_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(CrossEntropyCases, MatchesTheReference) {
  CrossEntropyData data(GetParam());
  cross_entropy(data.arguments());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(CrossEntropyCases, EveryConfigMatchesTheReference) {
  CrossEntropyData data(GetParam());
  const CrossEntropyProblem problem = data.problem();
  const std::vector<std::string> configs = cross_entropy_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const CrossEntropyPlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.reset();
    plan.run(data.pointers());
    data.check();
  }
}

class CrossEntropyBehaviour : public DeviceTest {};

/// Runs all configs on data that `spoil` has changed, and looks at what they give.
template <class Spoil, class Look>
void for_each_config(const CrossEntropyCase& one, const Spoil& spoil, const Look& look) {
  CrossEntropyData data(one);
  const CrossEntropyProblem problem = data.problem();
  for (const std::string& config : cross_entropy_candidates(problem, device_info(0))) {
    SCOPED_TRACE(std::string(name(one.dtype)) + " " + std::to_string(one.classes()) + " " + config);
    data.reset();
    spoil(data);
    CrossEntropyPlan(problem, 0, config).run(data.pointers());
    data.check();
    look(data);
  }
}

TEST_F(CrossEntropyBehaviour, SpecialValuesAreAsDocumented) {
  for (const float label_smoothing : {0.0f, 0.1f, 1.0f})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const std::int64_t classes : {24, 131, 2050}) {
        CrossEntropyCase one = classes_of(dtype, 7, classes);
        one.label_smoothing = label_smoothing;
        const auto spoil = [&](CrossEntropyData& data) {
          for (std::int64_t row = 0; row < 7; ++row) data.set_target(row, classes / 2);
          data.logits().set({1, classes - 1}, -infinity);
          data.logits().set({2, 0}, infinity);
          data.logits().set({3, classes / 3}, nan);
          for (std::int64_t j = 0; j < classes; ++j) data.logits().set({4, j}, -infinity);
          data.logits().set({5, classes / 2}, -infinity);
        };
        for_each_config(one, spoil, [&](CrossEntropyData& data) {
          EXPECT_TRUE(std::isfinite(data.lse_of(1)));
          EXPECT_EQ(std::isfinite(data.loss_of(1)), label_smoothing == 0);
          for (const std::int64_t row : {2, 3})
            EXPECT_TRUE(std::isnan(data.loss_of(row)) && std::isnan(data.lse_of(row))) << row;
          EXPECT_TRUE(std::isnan(data.loss_of(4)));
          EXPECT_EQ(data.lse_of(4), -infinity);
          EXPECT_EQ(data.loss_of(5), infinity);
          EXPECT_TRUE(std::isfinite(data.loss_of(6)));
        });
      }
}

TEST_F(CrossEntropyBehaviour, TargetsThatAreNoClassAreAsDocumented) {
  for (const DType target_dtype : {DType::i32, DType::i64}) {
    CrossEntropyCase one = classes_of(DType::bf16, 6, 136);
    one.target_dtype = target_dtype;
    const auto spoil = [&](CrossEntropyData& data) {
      const std::int64_t far = target_dtype == DType::i64 ? std::int64_t(1) << 40 : 1 << 30;
      const std::int64_t targets[] = {136, -1, far, -far, ignored, 135};
      for (std::int64_t row = 0; row < 6; ++row) data.set_target(row, targets[row]);
      data.logits().set({4, 3}, nan);
    };
    for_each_config(one, spoil, [](CrossEntropyData& data) {
      for (const std::int64_t row : {0, 1, 2, 3}) {
        EXPECT_TRUE(std::isnan(data.loss_of(row))) << row;
        EXPECT_TRUE(std::isfinite(data.lse_of(row))) << row;
      }
      EXPECT_EQ(data.loss_of(4), 0);
      EXPECT_TRUE(std::isnan(data.lse_of(4)));
      EXPECT_TRUE(std::isfinite(data.loss_of(5)));
    });
  }
}

// The target's weight of a sure guess is nearly 1: the loss has digits that the difference of lse and a logit has not.
TEST_F(CrossEntropyBehaviour, SmallLossesAreExact) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const auto spoil = [&](CrossEntropyData& data) {
      for (std::int64_t row = 0; row < 4; ++row) {
        data.set_target(row, 17);
        for (std::int64_t j = 0; j < 1000; ++j) data.logits().set({row, j}, 1000 + (j == 17 ? 4.0 * double(row) : -16));
      }
      data.set_target(4, 17);
      for (std::int64_t j = 0; j < 1000; ++j) data.logits().set({4, j}, j == 17 ? 1001 : -1001);
    };
    for_each_config(classes_of(dtype, 5, 1000), spoil, [](CrossEntropyData& data) {
      EXPECT_EQ(data.loss_of(4), 0);
      const double expected = std::log1p(999 * std::exp(-28.0));
      EXPECT_NEAR(data.loss_of(3), expected, 1e-6);  // lse itself is a multiple of 6e-5
    });
  }
}

// Numbers whose exponentials, or whose differences, overflow; and threads that see nothing but -infinity where others see little.
TEST_F(CrossEntropyBehaviour, LargeValuesDoNotOverflow) {
  for (const std::int64_t classes : {40, 1000, 5000}) {
    const auto spoil = [&](CrossEntropyData& data) {
      for (std::int64_t row = 0; row < 7; ++row) data.set_target(row, 1);
      for (std::int64_t j = 0; j < classes; ++j) {
        // From 2^30 on, all but the largest are nothing beside it; below, its power of two is rounded by up to 64.
        data.logits().set({4, j}, 1073741824.0 + 64 * double(j % 7 - 4));
        data.logits().set({5, j}, -1e9 - double(j % 3) * 64);
        data.logits().set({6, j}, 1e6 - double(j % 9) * 0.25);
        data.logits().set({0, j}, 1e30 + double(j) * 1e28);
        data.logits().set({1, j}, -3e38);
        data.logits().set({2, j}, j < 8 ? -500 - double(j) : -infinity);
        data.logits().set({3, j}, j % 2 ? 3e38 : -3e38);
      }
    };
    for_each_config(classes_of(DType::f32, 7, classes), spoil, [](CrossEntropyData& data) {
      EXPECT_NEAR(data.lse_of(2), -500 + std::log(1 / (1 - std::exp(-1))), 1e-3);
    });
  }
}

// How many rows there are must not change a row's bits.
TEST_F(CrossEntropyBehaviour, RowsAreIndependent) {
  for (const std::int64_t classes : {40, 1001, 33000}) {
    CrossEntropyData many(classes_of(DType::bf16, 3, classes)), one(classes_of(DType::bf16, 1, classes));
    cross_entropy(many.arguments());
    cross_entropy(one.arguments());  // the first row has the same elements: the draws begin alike
    const auto all = many.lse().download(), first = one.lse().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << classes;
  }
}

TEST_F(CrossEntropyBehaviour, EqualBitsEachTime) {
  CrossEntropyData data(classes_of(DType::f32, 3, 9000));
  cross_entropy(data.arguments());
  const auto first = data.loss().download();
  for (int again = 0; again < (short_list() ? 3 : 100); ++again) {
    data.reset();
    cross_entropy(data.arguments());
    ASSERT_EQ(data.loss().download(), first);
  }
}

class BadCrossEntropyCall : public DeviceTest,
                            public ::testing::WithParamInterface<BadCrossEntropy<CrossEntropyArguments>> {};

INSTANTIATE_TEST_SUITE_P(List, BadCrossEntropyCall, ::testing::ValuesIn(bad_cross_entropies()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadCrossEntropyCall, LeavesAllMemoryUntouched) {
  std::deque<OperandBuffer> buffers;  // they cannot move
  for (int i = 0; i < 4; ++i) buffers.emplace_back(DType::f32, Sizes{4096}, Sizes{1}).fill(std::uint64_t(i));
  CrossEntropyArguments arguments = good_cross_entropy([&](int i) { return buffers[std::size_t(i)].device(); });
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { cross_entropy(arguments); });
  for (const OperandBuffer& buffer : buffers) buffer.expect_unchanged("a buffer");
}

TEST_F(CrossEntropyBehaviour, RunRefusesWhatThePlanWasNotPromised) {
  CrossEntropyData data(classes_of(DType::f32, 6, 40));
  const CrossEntropyPlan plan(data.problem());
  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  const auto refused = [&](std::vector<std::string> words, auto&& spoil) {
    CrossEntropyPointers pointers = data.pointers();
    spoil(pointers);
    expect_error(invalid, words, [&] { plan.run(pointers); });
  };
  refused({"logits ", "null"}, [](auto& p) { p.logits = nullptr; });
  refused({"logits ", "16"}, [](auto& p) { p.logits = static_cast<const char*>(p.logits) + 4; });
  refused({"targets ", "null"}, [](auto& p) { p.targets = nullptr; });
  refused({"lse ", "null"}, [](auto& p) { p.lse = nullptr; });
  refused({"lse ", "overlap loss"}, [](auto& p) { p.lse = p.loss; });
  expect_error(invalid, {"config", "\"fast\""}, [&] { CrossEntropyPlan(data.problem(), 0, "fast"); });
  expect_error(invalid, {"device", "1000"}, [&] { CrossEntropyPlan(data.problem(), 1000); });
  data.loss().expect_unchanged("loss");
  data.lse().expect_unchanged("lse");
}

}  // namespace
}  // namespace ckl::test
