// Softmax against the oracle: every problem of the case list, by every config that can serve it.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "cases/softmax_cases.hpp"
#include "ckl/softmax.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"

namespace ckl::test {
namespace {

/// The operands of one softmax on the device, and what it has to give.
class SoftmaxData {
 public:
  explicit SoftmaxData(const SoftmaxCase& softmax)
      : case_(softmax), y_(softmax.dtype, softmax.y.sizes, softmax.y.strides, softmax.y.offset) {
    if (!softmax.in_place) x_.emplace(softmax.dtype, softmax.x.sizes, softmax.x.strides, softmax.x.offset);
    if (!softmax.mask.sizes.empty())
      mask_.emplace(softmax.dtype, softmax.mask.sizes, softmax.mask.strides, softmax.mask.offset).fill(3);
    x().fill(1);
  }

  OperandBuffer& x() { return x_ ? *x_ : y_; }
  OperandBuffer& y() { return y_; }

  SoftmaxArguments arguments() {
    return {x().tensor(), y_.tensor(),   case_.axis, case_.scale, case_.log, mask_ ? mask_->tensor() : Tensor(),
            case_.causal, case_.diagonal};
  }
  SoftmaxPointers pointers() { return {x().device(), y_.device(), mask_ ? mask_->device() : nullptr}; }
  SoftmaxProblem problem() { return softmax_problem(arguments()); }

  /// Computes the oracle's result from the image of x; call it before the results are received.
  void expect() {
    const SoftmaxProblem problem = this->problem();
    expected_.resize(std::size_t(reference::element_count(problem)));
    slack_.resize(expected_.size());
    reference::softmax(problem, {x().host(), nullptr, mask_ ? mask_->host() : nullptr}, expected_.data(),
                       slack_.data());
  }

  void check() {
    y_.receive("y");
    if (x_) x_->expect_unchanged("x");
    if (mask_) mask_->expect_unchanged("mask");
    const reference::Comparison comparison =
        reference::compare_softmax(problem(), y_.host(), expected_.data(), slack_.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " of " << expected_.size()
                                     << " elements are wrong: " << comparison.first_wrong;
  }

  void reset() {
    if (x_)
      y_.fill_with(std::nan(""));
    else
      y_.fill(1);
  }

 private:
  SoftmaxCase case_;
  OperandBuffer y_;
  std::optional<OperandBuffer> x_, mask_;
  std::vector<double> expected_, slack_;
};

class SoftmaxCases : public DeviceTest, public ::testing::WithParamInterface<SoftmaxCase> {};

INSTANTIATE_TEST_SUITE_P(List, SoftmaxCases, ::testing::ValuesIn(softmax_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(SoftmaxCases, MatchesTheReference) {
  SoftmaxData data(GetParam());
  data.expect();
  softmax(data.arguments());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(SoftmaxCases, EveryConfigMatchesTheReference) {
  SoftmaxData data(GetParam());
  const SoftmaxProblem problem = data.problem();
  data.expect();
  const std::vector<std::string> configs = softmax_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  EXPECT_TRUE(any_is_ragged(configs) || !GetParam().ragged);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const SoftmaxPlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.reset();
    plan.run(data.pointers());
    data.check();
  }
}

class SoftmaxBehaviour : public DeviceTest {};

SoftmaxCase rows_of(DType dtype, std::int64_t rows, std::int64_t columns) {
  SoftmaxCase one;
  one.dtype = dtype;
  one.x = one.y = dense({rows, columns});
  one.axis = 1;
  return one;
}

// A -infinity alone is a probability of 0; a NaN, a +infinity or nothing but -infinity makes the row NaN, and no other row.
TEST_F(SoftmaxBehaviour, SpecialValuesAreAsDocumented) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const std::int64_t columns : {24, 130, 2048, short_list() ? 8200 : 17000}) {
      SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(columns));
      SoftmaxCase one = rows_of(dtype, 6, columns);
      SoftmaxData data(one);
      data.x().set({1, columns - 1}, -infinity);
      data.x().set({2, 0}, infinity);
      data.x().set({3, columns / 2}, nan);
      for (std::int64_t i = 0; i < columns; ++i) data.x().set({4, i}, -infinity);
      const SoftmaxProblem problem = data.problem();
      data.expect();
      for (const std::string& config : softmax_candidates(problem, device_info(0))) {
        SCOPED_TRACE(config);
        data.reset();
        SoftmaxPlan(problem, 0, config).run(data.x().device(), data.y().device());
        data.check();
        const reference::Numeric numeric(dtype);
        EXPECT_EQ(numeric.read(data.y().host(), 2 * columns - 1), 0);
        EXPECT_TRUE(std::isnan(numeric.read(data.y().host(), 3 * columns - 1)));
        EXPECT_TRUE(std::isnan(numeric.read(data.y().host(), 4 * columns)));
        EXPECT_FALSE(std::isnan(numeric.read(data.y().host(), 5 * columns)));
      }
    }
}

TEST_F(SoftmaxBehaviour, LargeValuesDoNotOverflow) {
  SoftmaxData data(rows_of(DType::f32, 2, 40));
  for (std::int64_t i = 0; i < 40; ++i) data.x().set({0, i}, 1e30 + double(i) * 1e28), data.x().set({1, i}, -3e38);
  data.expect();
  softmax(data.arguments());
  data.check();
}

/// Runs all configs on rows whose elements are value(i).
template <class Value> void expect_right(const SoftmaxCase& one, const Value& value) {
  SoftmaxData data(one);
  const std::int64_t rows = data.problem().sizes[0], columns = data.problem().sizes[1];
  for (std::int64_t i = 0; i < rows * columns; ++i)
    reference::Numeric(one.dtype).write(data.x().host(), i, value(i % columns));
  data.x().upload();
  data.expect();
  for (const std::string& config : softmax_candidates(data.problem(), device_info(0))) {
    SCOPED_TRACE(config);
    data.reset();
    SoftmaxPlan(data.problem(), 0, config).run(data.x().device(), data.y().device());
    data.check();
  }
}

// Positive scales are a factor of distances; with others the order of the elements is not that of their products.
TEST_F(SoftmaxBehaviour, ScalesOfEverySign) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const std::int64_t columns : {24, 130, 2048, short_list() ? 8200 : 17000})
      for (const float scale : {0.3f, 20.0f, 0.0f, -2.0f})
        for (const bool log : {false, true}) {
          SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(columns) + " " + std::to_string(scale) +
                       (log ? " log" : ""));
          SoftmaxCase one = rows_of(dtype, 2, columns);
          one.scale = scale, one.log = log;
          expect_right(one, [](std::int64_t column) { return double(column * 7 % 23) / 8 - 1; });
        }
}

// With a scale, large elements lie near each other; their differences count, or not if they are so large that neighbours differ by many.
TEST_F(SoftmaxBehaviour, ScaledLargeValuesDoNotOverflow) {
  for (const std::int64_t columns : {40, 2048, 8200})
    for (const double size : {1e4, 1e8, 1e12, 1e30})
      for (const float scale : {0x1p-10f, 1.0f, 128.0f}) {  // exact products
        SCOPED_TRACE(std::to_string(columns) + " " + std::to_string(size) + " " + std::to_string(scale));
        SoftmaxCase one = rows_of(DType::f32, 2, columns);
        one.scale = scale;
        expect_right(one, [&](std::int64_t column) { return size * (1 + double(column % 5) * 0x1p-23); });
      }
}

// Of rows beyond the shared memory of a cluster, a block holds a part and loads the rest again.
TEST_F(SoftmaxBehaviour, RowsThatAreHeldInPart) {
  for (const auto& [dtype, columns] : {std::pair{DType::bf16, 786432 + 8 * 1000}, {DType::f32, 393216 + 4 * 1000}}) {
    SCOPED_TRACE(name(dtype));
    SoftmaxData data(rows_of(dtype, 1, columns));
    data.expect();
    for (const char* shape : {"_s512_vec", "_stream_vec"}) {
      SCOPED_TRACE(shape);
      data.reset();
      SoftmaxPlan(data.problem(), 0, name(dtype) + std::string(shape)).run(data.x().device(), data.y().device());
      data.check();
    }
  }
}

// Results below 2^-126 are what they should be, not 0.
TEST_F(SoftmaxBehaviour, DenormalResultsAreNoZeros) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t columns : {24, 130, 2048, 8200}) {
      SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(columns));
      expect_right(rows_of(dtype, 2, columns),
                   [](std::int64_t column) { return column == 0 ? 100.0 : double(column % 24) / 2; });
    }
}

// Threads that see nothing but -infinity, while all that the others see is far below 0.
TEST_F(SoftmaxBehaviour, MaskedElementsDoNotOverflow) {
  for (const std::int64_t columns : {40, 5001, short_list() ? 8200 : 20000})
    expect_right(rows_of(DType::bf16, 1, columns),
                 [](std::int64_t i) { return i < 8 ? -500.0 - double(i) : -INFINITY; });
}

// What a mask takes away has a probability of 0; y may replace it; a plan with a mask does not run without.
TEST_F(SoftmaxBehaviour, MasksMayHaveInfinities) {
  for (const std::int64_t columns : {40, 1001, short_list() ? 8200 : 17000}) {
    SoftmaxCase one = rows_of(DType::bf16, 2, columns);
    one.mask = one.x;
    SoftmaxData data(one);
    OperandBuffer mask(DType::bf16, {2, columns}, {columns, 1});
    mask.fill_with(0);
    for (std::int64_t i = columns / 3; i < columns; ++i)
      reference::Numeric(DType::bf16).write(mask.host(), columns + i, -INFINITY);
    mask.upload();
    SoftmaxArguments arguments = data.arguments();
    arguments.mask = mask.tensor();
    arguments.y = mask.tensor();
    const SoftmaxProblem problem = softmax_problem(arguments);
    std::vector<double> expected(std::size_t(2 * columns)), slack(expected.size());
    reference::softmax(problem, {data.x().host(), nullptr, mask.host()}, expected.data(), slack.data());
    softmax(arguments);
    mask.receive("mask");
    const auto comparison = reference::compare_softmax(problem, mask.host(), expected.data(), slack.data());
    EXPECT_TRUE(comparison.passed()) << comparison.first_wrong;
    EXPECT_EQ(reference::Numeric(DType::bf16).read(mask.host(), 2 * columns - 1), 0);
    expect_error(ErrorCode::invalid_argument, {"mask ", "null"},
                 [&] { SoftmaxPlan(problem).run(data.x().device(), data.y().device()); });
  }
}

// How many rows there are must not change a row's bits.
TEST_F(SoftmaxBehaviour, RowsAreIndependent) {
  for (const std::int64_t columns : {40, 1000, 4096}) {
    SoftmaxData many(rows_of(DType::bf16, 37, columns)), one(rows_of(DType::bf16, 1, columns));
    softmax(many.arguments());
    softmax(one.arguments());  // the first row has the same elements: the fill's draws begin alike
    const auto all = many.y().download(), first = one.y().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
  }
}

TEST_F(SoftmaxBehaviour, EqualBitsEachTime) {
  for (const std::int64_t columns : {1000, 40000}) {
    SoftmaxData data(rows_of(DType::f32, 3, columns));
    softmax(data.arguments());
    const auto first = data.y().download();
    for (int again = 0; again < (short_list() ? 3 : 100); ++again) {
      data.reset();
      softmax(data.arguments());
      ASSERT_EQ(data.y().download(), first);
    }
  }
}

}  // namespace
}  // namespace ckl::test
