// LayerNorm and RMSNorm against the oracle: every problem of the case list, by every config that can serve it.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cases/bad_norm.hpp"
#include "ckl/norm.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "norm_operands.hpp"
#include "reference/reference.hpp"

namespace ckl::test {
namespace {

/// The operands of one normalization on the device, and what it has to give.
class NormData : NormOperands {
 public:
  explicit NormData(const NormCase& norm)
      : NormOperands(norm),
        x_(buffer(norm.x)),
        y_(buffer(norm.y, norm.dtype_of_y())),
        residual_(buffer(norm.residual)),
        sum_(buffer(norm.sum)),
        weight_(vector()),
        bias_(vector()),
        mean_(statistic()),
        rstd_(statistic()),
        scale_(statistic()) {
    weight_.fill(2);
    bias_.fill(3);
    reset();
  }

  OperandBuffer& x() { return x_; }
  OperandBuffer& y() {
    return case_.where == NormCase::y_is_x ? x_ : case_.where == NormCase::y_is_residual ? residual_ : y_;
  }
  OperandBuffer& mean() { return mean_; }
  OperandBuffer& rstd() { return rstd_; }
  OperandBuffer& scale() { return scale_; }
  OperandBuffer& weight() { return weight_; }
  OperandBuffer& bias() { return bias_; }
  OperandBuffer& sum() { return case_.where == NormCase::sum_is_x ? x_ : sum_; }

  NormArguments arguments() {
    NormArguments a{case_.kind, x_.tensor(), y().tensor()};
    if (case_.weight) a.weight = weight_.tensor();
    if (case_.bias) a.bias = bias_.tensor();
    if (case_.add) a.residual = residual_.tensor();
    if (case_.store_sum) a.sum = sum().tensor();
    if (case_.statistics) a.mean = mean_.tensor(), a.rstd = rstd_.tensor();
    if (case_.is_quantized()) a.scale = scale_.tensor();
    a.epsilon = case_.epsilon;
    return a;
  }
  NormProblem problem() { return norm_problem(arguments()); }

  NormPointers pointers() {
    return {x_.device(),
            y().device(),
            weight_.device(),
            bias_.device(),
            residual_.device(),
            sum().device(),
            reinterpret_cast<float*>(mean_.device()),
            reinterpret_cast<float*>(rstd_.device()),
            reinterpret_cast<float*>(scale_.device())};
  }

  /// Computes the oracle's result from the images of the inputs; call it before the results are received.
  void expect() { expected_ = reference::norm(problem(), x_.host(), weight_.host(), bias_.host(), residual_.host()); }

  void check() {
    const NormProblem problem = this->problem();
    y().receive("y");
    if (case_.store_sum) sum().receive("sum");
    if (case_.statistics) mean_.receive("mean"), rstd_.receive("rstd");
    if (case_.is_quantized()) scale_.receive("scale");
    x_.expect_unchanged("x");
    residual_.expect_unchanged("residual");
    weight_.expect_unchanged("weight");
    bias_.expect_unchanged("bias");
    const auto* scales = reinterpret_cast<const float*>(scale_.host());
    expect_passed("y", reference::compare_norm(problem, y().host(), expected_, scales));
    if (case_.store_sum) expect_passed("sum", reference::compare_norm_sum(problem, sum().host(), expected_));
    if (!case_.statistics) return;
    for (const bool of_mean : {false, true})
      expect_passed(of_mean ? "mean" : "rstd",
                    reference::compare_norm_statistic(
                        problem, reinterpret_cast<const float*>((of_mean ? mean_ : rstd_).host()), expected_, of_mean));
  }

  /// Puts everything back to what it was before anything ran.
  void reset() {
    x_.fill(1);
    residual_.fill(4);
    for (OperandBuffer* out : {&y_, &sum_, &mean_, &rstd_, &scale_}) out->fill_with(std::nan(""));
  }

 private:
  OperandBuffer x_, y_, residual_, sum_, weight_, bias_, mean_, rstd_, scale_;
  reference::NormResult expected_;
};

class NormCases : public DeviceTest, public ::testing::WithParamInterface<NormCase> {};

INSTANTIATE_TEST_SUITE_P(List, NormCases, ::testing::ValuesIn(norm_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(NormCases, MatchesTheReference) {
  NormData data(GetParam());
  data.expect();
  norm(data.arguments());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(NormCases, EveryConfigMatchesTheReference) {
  NormData data(GetParam());
  const NormProblem problem = data.problem();
  data.expect();
  const std::vector<std::string> configs = norm_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  EXPECT_TRUE(any_is_ragged(configs) || !GetParam().ragged);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const NormPlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.reset();
    plan.run(data.pointers());
    data.check();
  }
}

class NormBehaviour : public DeviceTest {};

/// Lengths that every kind of kernel holds.
std::vector<std::int64_t> lengths() { return {24, 77, 130, 1001, 2048, 17000}; }

/// Runs all configs on data that `spoil` has changed.
template <class Spoil> void expect_right(const NormCase& one, const Spoil& spoil) {
  NormData data(one);
  const NormProblem problem = data.problem();
  for (const std::string& config : norm_candidates(problem, device_info(0))) {
    SCOPED_TRACE(config);
    data.reset();
    spoil(data);
    data.expect();
    NormPlan(problem, 0, config).run(data.pointers());
    data.check();
  }
}

// Of rows beyond the shared memory of a cluster, a block holds a part and loads the rest again.
TEST_F(NormBehaviour, RowsThatAreHeldInPart) {
  for (const auto& [dtype, columns] : {std::pair{DType::bf16, 786432 + 8 * 1000}, {DType::f32, 393216 + 4 * 1000}}) {
    SCOPED_TRACE(name(dtype));
    NormData data(rows_of(NormKind::layer, dtype, 1, columns));
    data.expect();
    for (const char* shape : {"_s512_vec", "_stream_vec"}) {
      SCOPED_TRACE(shape);
      data.reset();
      NormPlan(data.problem(), 0, name(dtype) + std::string(shape)).run(data.pointers());
      data.check();
    }
  }
}

// The variance of numbers near 10000 is lost where squares are summed up.
TEST_F(NormBehaviour, LargeMeansDoNotCancel) {
  for (const NormKind kind : {NormKind::layer, NormKind::rms})
    for (const std::int64_t columns : lengths()) {
      SCOPED_TRACE(std::string(name(kind)) + " " + std::to_string(columns));
      expect_right(rows_of(kind, DType::f32, 2, columns), [&](NormData& data) {
        reference::Draw draw(7);
        const reference::Numeric numeric(DType::f32);
        for (std::int64_t i = 0; i < 2 * columns; ++i) numeric.write(data.x().host(), i, 1e4 + 2 * draw.symmetric());
        data.x().upload();
      });
      // In f16, one element differs by the least that is possible there.
      expect_right(rows_of(kind, DType::f16, 2, columns), [&](NormData& data) {
        const reference::Numeric numeric(DType::f16);
        for (std::int64_t i = 0; i < 2 * columns; ++i)
          numeric.write(data.x().host(), i, i % columns == 3 ? 1e4 + 8 : 1e4);
        data.x().upload();
      });
    }
}

// Squares of 16-bit elements are summed up about 0 where the mean is near, else about the mean: rows on either side of where one ends and the
// other begins, side by side in a warp, and one whose blocks differ about it.
TEST_F(NormBehaviour, MeansNearAndFar) {
  constexpr double means[] = {0, -0.5, 1.6, 1.9, -6, 200};  // in deviations
  for (const DType dtype : {DType::f16, DType::bf16})
    for (const std::int64_t columns : lengths()) {
      SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(columns));
      expect_right(rows_of(NormKind::layer, dtype, 7, columns), [&](NormData& data) {
        reference::Draw draw(8);
        const reference::Numeric numeric(dtype);
        for (std::int64_t i = 0; i < 7 * columns; ++i) {
          const std::int64_t row = i / columns, column = i % columns;
          const double mean = row < 6 ? means[row] : column < columns / 2 ? 0 : 30;
          numeric.write(data.x().host(), i, mean + std::sqrt(3.0) * draw.symmetric());
        }
        data.x().upload();
      });
    }
}

// A row with a NaN or an infinity does not touch its neighbours; equal elements have a variance of 0; the smallest numbers count.
TEST_F(NormBehaviour, SpecialValuesAreIEEEs) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const NormKind kind : {NormKind::layer, NormKind::rms})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const std::int64_t columns : lengths()) {
        SCOPED_TRACE(std::string(name(kind)) + " " + name(dtype) + " " + std::to_string(columns));
        expect_right(rows_of(kind, dtype, 6, columns), [&](NormData& data) {
          const reference::Numeric numeric(dtype);
          for (std::int64_t i = 0; i < columns; ++i) {
            numeric.write(data.x().host(), 3 * columns + i, 0.5);
            numeric.write(data.x().host(), 4 * columns + i, (i % 5) * reference::ulp(reference::format_of(dtype), 0));
          }
          numeric.write(data.x().host(), columns - 1, infinity);
          numeric.write(data.x().host(), 2 * columns + columns / 2, nan);
          data.x().upload();
        });
      }
}

// Infinities, NaNs and extremes of the weight and the bias count in their columns alone. A weight's infinity of two columns meets a 0 in a row.
TEST_F(NormBehaviour, WeightsAndBiasesAreIEEEs) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const bool bias : {false, true})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const std::int64_t columns : lengths()) {
        NormCase one = rows_of(NormKind::rms, dtype, 3, columns);
        one.bias = bias;
        SCOPED_TRACE(std::string(name(dtype)) + (bias ? " with a bias " : " ") + std::to_string(columns));
        expect_right(one, [&](NormData& data) {
          const reference::Numeric numeric(dtype);
          const reference::FloatFormat format = reference::format_of(dtype);
          const double smallest = reference::ulp(format, 0), largest = format.max();
          const std::pair<std::int64_t, double> weights[] = {{1, infinity},     {4, largest}, {7, smallest},
                                                             {8, 3 * smallest}, {11, nan},    {columns - 1, -infinity}};
          for (const auto& [column, weight] : weights) numeric.write(data.weight().host(), column, weight);
          const std::pair<std::int64_t, double> biases[] = {{2, -infinity}, {4, largest}, {5, nan}, {7, smallest}};
          for (const auto& [column, value] : biases) numeric.write(data.bias().host(), column, value);
          numeric.write(data.x().host(), columns + 1, 0);
          data.weight().upload();
          data.bias().upload();
          data.x().upload();
        });
      }
}

// Without an epsilon, rows of the smallest and of the largest numbers are normalized as well.
TEST_F(NormBehaviour, RowsOfAnyMagnitude) {
  constexpr double magnitudes[] = {1e-44, 1e-39, 1e-37, 1e-20, 1, 1e20, 3e38};
  for (const NormKind kind : {NormKind::layer, NormKind::rms})
    for (const std::int64_t columns : lengths()) {
      SCOPED_TRACE(std::string(name(kind)) + " " + std::to_string(columns));
      NormCase one = rows_of(kind, DType::f32, std::size(magnitudes), columns);
      one.epsilon = 0, one.statistics = false;
      expect_right(one, [&](NormData& data) {
        reference::Draw draw(10);
        const reference::Numeric numeric(DType::f32);
        for (std::int64_t i = 0; i < one.elements(); ++i)
          numeric.write(data.x().host(), i, magnitudes[i / columns] * draw.symmetric());
        data.x().upload();
      });
    }
}

// Rows whose scale is decided by zeros, by the smallest or the largest numbers, by an infinity, or in spite of a NaN: weights make them out
// of normalized rows, all of them or the one of column 5.
TEST_F(NormBehaviour, QuantizedExtremes) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  struct Extreme {
    double weight;
    bool all;
    NormKind kind = NormKind::rms;
  };
  for (const Extreme extreme : {Extreme{0, true},
                                {1e-42, true},
                                {1e-30, true},
                                {1e30, true},
                                {3e38, false},
                                {infinity, false},
                                {nan, false},
                                {1, true, NormKind::layer}})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const std::int64_t columns : lengths()) {
        if (columns > 10000 && dtype != DType::bf16) continue;  // as the case list does
        NormCase one = rows_of(extreme.kind, dtype, 2, columns);
        one.quantized = columns % 4 ? DType::e5m2 : DType::e4m3, one.affine = DType::f32, one.bias = false;
        std::ostringstream what;
        what << name(dtype) << " " << columns << " " << extreme.weight;
        SCOPED_TRACE(what.str());
        expect_right(one, [&](NormData& data) {
          const reference::Numeric f32(DType::f32), numeric(dtype);
          for (std::int64_t i = 0; i < columns; ++i) {
            f32.write(data.weight().host(), i, extreme.all || i == 5 ? extreme.weight : 1);
            // RMSNorm's result has zeros, too; LayerNorm's is far from what becomes of the zeros beyond the row.
            numeric.write(data.x().host(), columns + i, (i % 7 ? 0 : -2) + (extreme.kind == NormKind::rms ? 0 : 1000));
          }
          data.weight().upload();
          data.x().upload();
        });
      }
}

// How many rows there are must not change a row's bits.
TEST_F(NormBehaviour, RowsAreIndependent) {
  for (const std::int64_t columns : {40, 1000, 4096}) {
    NormData many(rows_of(NormKind::layer, DType::bf16, 37, columns)),
        one(rows_of(NormKind::layer, DType::bf16, 1, columns));
    norm(many.arguments());
    norm(one.arguments());  // the first row has the same elements: the fill's draws begin alike
    const auto all = many.y().download(), first = one.y().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
  }
}

// Nor whether a neighbour's mean is far from 0 or near.
TEST_F(NormBehaviour, RowsAreIndependentOfTheirNeighboursMeans) {
  for (const std::int64_t columns : {40, 104, 200, 248, 504, 1000})
    for (const bool is_far : {false, true}) {
      SCOPED_TRACE(std::to_string(columns) + (is_far ? " far" : " near"));
      const auto first_row = [&](std::int64_t rows) {
        NormData data(rows_of(NormKind::layer, DType::bf16, rows, columns));
        reference::Draw draw(9);
        const reference::Numeric numeric(DType::bf16);
        for (std::int64_t i = 0; i < rows * columns; ++i)
          numeric.write(data.x().host(), i, draw.symmetric() + ((i / columns % 2 == 0) == is_far ? 50 : 0));
        data.x().upload();
        norm(data.arguments());
        auto row = data.y().download();
        row.resize(std::size_t(columns) * size_of(DType::bf16));
        for (OperandBuffer* statistic : {&data.mean(), &data.rstd()}) {  // f32, where more can be seen
          const auto all = statistic->download();
          row.insert(row.end(), all.begin(), all.begin() + sizeof(float));
        }
        return row;
      };
      EXPECT_TRUE(first_row(9) == first_row(1));
    }
}

/// All that `config` makes of rows whose means are near and far.
std::vector<std::byte> bits_of(const NormCase& one, const std::string& config) {
  NormData data(one);
  const std::int64_t columns = one.x.sizes.back();
  reference::Draw draw(11);
  const reference::Numeric numeric(one.dtype);
  for (std::int64_t i = 0; i < one.elements(); ++i)  // one is far in some blocks only
    numeric.write(data.x().host(), i, draw.symmetric() + (i / columns % 2 ? 50 : i == 4 * columns ? 4000 : 0));
  for (std::int64_t i = 0; i < columns; ++i)  // all elements are the mean: zeros, which weights below 0 make -0
    numeric.write(data.x().host(), 5 * columns + i, 3);
  data.x().upload();
  NormPlan(data.problem(), 0, config).run(data.pointers());
  auto all = data.y().download();
  for (OperandBuffer* statistic : {&data.mean(), &data.rstd()}) {
    const auto values = statistic->download();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// Nor which kernel takes it: that for plain rows or the one for all.
TEST_F(NormBehaviour, PlainRowsHaveTheSameBits) {
  struct Twins {
    std::string stem;
    std::int64_t columns;
    std::vector<DType> dtypes;
  };
  const std::vector<DType> of_16_bits = {DType::f16, DType::bf16};
  const std::vector<Twins> all = {{"_s128", 17000, {DType::f32, DType::f16, DType::bf16}},
                                  {"_t4", 120, of_16_bits},
                                  {"_t8", 248, of_16_bits},
                                  {"_t16", 504, of_16_bits}};
  for (const Twins& twins : all)
    for (const DType dtype : twins.dtypes)
      for (const NormKind kind : {NormKind::layer, NormKind::rms})
        for (const bool bias : {false, true}) {
          const std::string stem = name(dtype) + twins.stem;
          SCOPED_TRACE(std::string(name(kind)) + " " + stem + (bias ? " with a bias" : ""));
          NormCase one = rows_of(kind, dtype, 6, twins.columns);
          one.bias = bias;
          EXPECT_TRUE(bits_of(one, stem + "_plain") == bits_of(one, stem + "_vec"));
        }
}

// Nor, quantized, its scale.
TEST_F(NormBehaviour, QuantizedRowsAreIndependent) {
  for (const std::int64_t columns : {40, 1000, 4096, 20000}) {
    NormCase of_many = rows_of(NormKind::layer, DType::bf16, 11, columns),
             of_one = rows_of(NormKind::layer, DType::bf16, 1, columns);
    of_many.quantized = of_one.quantized = DType::e4m3;
    NormData many(of_many), one(of_one);
    norm(many.arguments());
    norm(one.arguments());
    const auto all = many.y().download(), first = one.y().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
    const auto scales = many.scale().download(), scale = one.scale().download();
    EXPECT_TRUE(std::equal(scale.begin(), scale.end(), scales.begin())) << columns;
  }
}

/// Buffers as good_norm() wants them, full of numbers that must still be there at the end.
class BadNormCall : public DeviceTest, public ::testing::WithParamInterface<BadNorm> {};

INSTANTIATE_TEST_SUITE_P(List, BadNormCall, ::testing::ValuesIn(bad_norms()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadNormCall, LeavesAllMemoryUntouched) {
  std::vector<std::unique_ptr<OperandBuffer>> buffers;
  for (std::uint64_t i = 0; i < 8; ++i) {
    buffers.push_back(std::make_unique<OperandBuffer>(DType::f32, Dimensions{4096}, Dimensions{1}));
    buffers.back()->fill(i);
  }
  NormArguments arguments = good_norm([&](int i) { return buffers[std::size_t(i)]->device(); });
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { norm(arguments); });
  for (const auto& buffer : buffers) buffer->expect_unchanged("a buffer");
}

TEST_F(NormBehaviour, ConfigsThatCannotServeAreRefused) {
  NormData data(rows_of(NormKind::layer, DType::f32, 3, 100));
  for (const std::string config : {"fast", "f32_t8_vec ", "f32_t2_vec", "f16_t8_vec"})
    expect_error(ErrorCode::invalid_argument, {"config", "f32_t8_vec", "\"" + config + "\""},
                 [&] { NormPlan plan(data.problem(), 0, config); });
}

}  // namespace
}  // namespace ckl::test
