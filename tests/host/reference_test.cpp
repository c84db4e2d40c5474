// The oracle itself: small cases whose results are known or computed here from the definition.

#include "reference/reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "reference/compare.hpp"
#include "reference/numeric.hpp"

namespace {

using ckl::DType;
using ckl::ElementwiseOp;
using ckl::ElementwiseProblem;
using ckl::GemmProblem;
using ckl::reference::Comparison;
using ckl::reference::Numeric;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// `values` in `dtype`, as bytes.
std::vector<char> packed(DType dtype, const std::vector<double>& values) {
  std::vector<char> bytes(values.size() * size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) Numeric(dtype).write(bytes.data(), std::int64_t(i), values[i]);
  return bytes;
}

std::vector<double> normal(std::size_t count, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> distribution;
  std::vector<double> values(count);
  for (double& value : values) value = distribution(random);
  return values;
}

/// Dense row-major everything, f16 in and f32 out.
GemmProblem dense(std::int64_t m, std::int64_t n, std::int64_t k, float alpha = 1, float beta = 0) {
  GemmProblem problem;
  problem.m = m, problem.n = n, problem.k = k, problem.alpha = alpha, problem.beta = beta;
  problem.a = {DType::f16, k, 1, m * k, 16};
  problem.b = {DType::f16, n, 1, k * n, 16};
  problem.c = problem.d = {DType::f32, n, 1, m * n, 16};
  return problem;
}

TEST(ReferenceGemm, ComputesASmallProductByHand) {
  const auto a = packed(DType::f16, {1, 2, 3, 4, 5, 6}), b = packed(DType::f16, {1, -1, 2, 0, 3, 1});
  const auto c = packed(DType::f32, {10, 20, 30, -40});
  std::vector<double> d(4), scale(4);
  ckl::reference::gemm(dense(2, 2, 3, 2.0f, -0.5f), a.data(), b.data(), c.data(), d.data(), scale.data());
  EXPECT_EQ(d, (std::vector<double>{2 * 14 - 5, 2 * 2 - 10, 2 * 32 - 15, 2 * 2 + 20}));
  EXPECT_EQ(scale, (std::vector<double>{2 * 14 + 5, 2 * 4 + 10, 2 * 32 + 15, 2 * 10 + 20}));
}

// Sizes beyond one panel of the blocked loop and with a tail in each direction; strides of every kind.
TEST(ReferenceGemm, AgreesWithTheDefinitionOverStridesAndBatches) {
  GemmProblem p = dense(37, 523, 131, -1.5f, 0.75f);
  p.batch = 2;
  p.a = {DType::bf16, 2, 80, 80 * 131 + 3, 2};  // column-major with gaps inside the columns
  p.b = {DType::bf16, 1, 140, 140 * 523, 2};    // column-major, padded
  p.c = {DType::f16, 600, 1, 0, 2};             // the same C for both matrices
  p.d = {DType::f16, 523, 1, 37 * 523, 2};
  const auto a = packed(DType::bf16, normal(2 * p.a.batch_stride, 1)),
             b = packed(DType::bf16, normal(2 * p.b.batch_stride, 2));
  const auto c = packed(DType::f16, normal(37 * 600, 3));
  std::vector<double> d(2 * 37 * 523), scale(d.size());
  ckl::reference::gemm(p, a.data(), b.data(), c.data(), d.data(), scale.data());

  const Numeric input(DType::bf16), output(DType::f16);
  for (std::int64_t l = 0; l < 2; ++l)
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        const double addend = output.read(c.data(), i * 600 + j);
        double sum = 0, absolute = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
          const double product = input.read(a.data(), l * p.a.batch_stride + i * 2 + k * 80) *
                                 input.read(b.data(), l * p.b.batch_stride + k + j * 140);
          sum += product;
          absolute += std::abs(product);
        }
        const std::int64_t at = (l * p.m + i) * p.n + j;
        ASSERT_NEAR(d[at], -1.5 * sum + 0.75 * addend, 1e-12 * scale[at]);
        ASSERT_NEAR(scale[at], 1.5 * absolute + 0.75 * std::abs(addend), 1e-12 * scale[at]);
      }

  const std::vector<std::int64_t> rows = {36, 0, 17};
  std::vector<double> some(2 * 3 * 523), some_scale(some.size());
  ckl::reference::gemm_rows(p, a.data(), b.data(), c.data(), rows, some.data(), some_scale.data());
  for (std::int64_t l = 0; l < 2; ++l)
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        ASSERT_EQ(some[(l * 3 + i) * p.n + j], d[(l * p.m + rows[i]) * p.n + j]);
        ASSERT_EQ(some_scale[(l * 3 + i) * p.n + j], scale[(l * p.m + rows[i]) * p.n + j]);
      }
}

TEST(ReferenceGemm, DoesNotReadWhatAZeroScalarSwitchesOff) {
  const auto c = packed(DType::f32, {1, nan, infinity, -2});
  std::vector<double> d(4, nan), scale(4, nan);
  ckl::reference::gemm(dense(2, 2, 3, 0, 2), nullptr, nullptr, c.data(), d.data(), scale.data());
  EXPECT_EQ(d[0], 2);
  EXPECT_TRUE(std::isnan(d[1]));
  EXPECT_EQ(d[2], infinity);
  EXPECT_EQ(scale[3], 4);

  ckl::reference::gemm(dense(2, 2, 0, 1, 0), nullptr, nullptr, nullptr, d.data(), nullptr);
  EXPECT_EQ(d, std::vector<double>(4, 0.0));
}

// 0 * infinity is NaN in a product, and no blocking or skipping of zeros may hide it.
TEST(ReferenceGemm, PropagatesNaNAndInfinity) {
  const auto a = packed(DType::f16, {0, 1, 1, 1}), b = packed(DType::f16, {infinity, 2, 1, nan});
  std::vector<double> d(4);
  ckl::reference::gemm(dense(2, 2, 2), a.data(), b.data(), nullptr, d.data(), nullptr);
  EXPECT_TRUE(std::isnan(d[0]));
  EXPECT_TRUE(std::isnan(d[1]));
  EXPECT_EQ(d[2], infinity);
  EXPECT_TRUE(std::isnan(d[3]));
}

// What the comparison must accept and refuse, around one bf16 element whose reference value is 1 + 1/512: between the
// numbers 1 and 1 + 1/128, nearer to 1.
class CompareGemm : public testing::Test {
 protected:
  bool accepts(double actual, double expected, double scale, std::int64_t k = 4) {
    GemmProblem problem = dense(1, 1, k);
    problem.d.dtype = DType::bf16;
    const auto bytes = packed(DType::bf16, {actual});
    last_ = ckl::reference::compare_gemm(problem, bytes.data(), &expected, &scale);
    return last_.passed();
  }
  Comparison last_;
};

TEST_F(CompareGemm, AcceptsTheNearestNumberAndWhatTheToleranceReaches) {
  const double expected = 1 + 1.0 / 512;
  EXPECT_TRUE(accepts(1, expected, 1));
  EXPECT_NEAR(last_.error, 1.0 / 512, 1e-12);
  EXPECT_FALSE(accepts(1 + 1.0 / 128, expected, 1));
  EXPECT_EQ(last_.wrong, 1);
  EXPECT_NE(last_.first_wrong.find("(0, 0)"), std::string::npos) << last_.first_wrong;
  // A sum over much larger products may be off by 1/512, which reaches the middle between the two.
  EXPECT_TRUE(accepts(1 + 1.0 / 128, expected, 0x1p21 / 512 * 1.001));
  EXPECT_FALSE(accepts(1 + 1.0 / 128, expected, 0x1p21 / 512 * 0.999));
}

TEST_F(CompareGemm, ComparesWhatIsNotFinite) {
  EXPECT_TRUE(accepts(nan, nan, nan));
  EXPECT_TRUE(accepts(infinity, infinity, infinity));
  EXPECT_FALSE(accepts(-infinity, infinity, infinity));
  EXPECT_FALSE(accepts(nan, infinity, infinity));
  EXPECT_FALSE(accepts(infinity, nan, nan));
  EXPECT_FALSE(accepts(0, nan, nan));
  EXPECT_FALSE(accepts(nan, 0, 1));
  EXPECT_EQ(last_.error, infinity);
  EXPECT_FALSE(accepts(infinity, 1e38, 1e38));
  EXPECT_TRUE(accepts(infinity, 3.4e38, 3.4e38));  // bf16 ends at 3.39e38
  EXPECT_FALSE(accepts(0x1.fep127, 3.41e38, 3.41e38));
}

TEST_F(CompareGemm, AcceptsSubnormalRoundingOnly) {
  EXPECT_TRUE(accepts(0, 0x1p-135, 0x1p-135));
  EXPECT_TRUE(accepts(0x1p-133, 0x1.8p-134, 0x1.8p-134));
  EXPECT_FALSE(accepts(0, 0x1.8p-134, 0x1.8p-134));
}

TEST_F(CompareGemm, BoundIsHalfAnUlpAndTheAccumulation) {
  EXPECT_TRUE(accepts(1, 1, 1, 16));
  EXPECT_EQ(last_.bound, 0x1p-8 + 4 * 0x1p-22);
  EXPECT_EQ(last_.error, 0);
  EXPECT_EQ(ckl::reference::gemm_tolerance(0), 0x1p-22);
}

// One product of 4096 left out of a sum is the smallest mistake a kernel makes, and must be seen in f32 output.
TEST(CompareGemmSensitivity, SeesOneLostProduct) {
  const std::int64_t k = 4096;
  GemmProblem problem = dense(1, 1, k);
  const auto a = packed(DType::f16, std::vector<double>(k, 0.5)), b = packed(DType::f16, std::vector<double>(k, 1));
  double d, scale;
  ckl::reference::gemm(problem, a.data(), b.data(), nullptr, &d, &scale);
  ASSERT_EQ(d, 2048);
  EXPECT_TRUE(ckl::reference::compare_gemm(problem, packed(DType::f32, {2048}).data(), &d, &scale).passed());
  EXPECT_FALSE(ckl::reference::compare_gemm(problem, packed(DType::f32, {2047.5}).data(), &d, &scale).passed());
}

ElementwiseProblem add_of(DType dtype, std::int64_t rows, std::int64_t columns) {
  ElementwiseProblem problem;
  problem.op = ElementwiseOp::add;
  problem.rank = 2;
  problem.sizes = {rows, columns};
  problem.in[0].dtype = problem.in[1].dtype = problem.out[0].dtype = dtype;
  problem.in[0].strides = {columns, 1};
  problem.in[1].strides = {0, 1};  // one row for all
  problem.out[0].strides = {1, rows};
  return problem;
}

/// Whether `actual` may be what `problem` makes of the inputs.
Comparison judge(const ElementwiseProblem& problem, const std::vector<std::vector<char>>& in,
                 const std::vector<char>& actual) {
  std::vector<const void*> inputs;
  for (const auto& x : in) inputs.push_back(x.data());
  const void* out = actual.data();
  return ckl::reference::compare_elementwise(problem, inputs.data(), &out);
}

TEST(ReferenceElementwise, BroadcastsAndTransposes) {
  const ElementwiseProblem problem = add_of(DType::f32, 2, 3);
  const auto a = packed(DType::f32, {1, 2, 3, 4, 5, 6}), b = packed(DType::f32, {10, 20, 30});
  const void* in[] = {a.data(), b.data()};
  EXPECT_EQ(ckl::reference::elementwise(problem, in), (std::vector<double>{11, 22, 33, 14, 25, 36}));
  EXPECT_TRUE(judge(problem, {a, b}, packed(DType::f32, {11, 14, 22, 25, 33, 36})).passed());
  const Comparison swapped = judge(problem, {a, b}, packed(DType::f32, {11, 22, 33, 14, 25, 36}));
  EXPECT_EQ(swapped.wrong, 4);
}

TEST(ReferenceElementwise, RankZeroIsOneElementAndAZeroSizeIsNone) {
  ElementwiseProblem scalar;
  EXPECT_EQ(ckl::reference::element_count(scalar), 1);
  EXPECT_EQ(ckl::reference::element_count(add_of(DType::f32, 0, 5)), 0);
}

// 2048 + 1 lies halfway between the f16 numbers 2048 and 2050 and goes to the even 2048; 2^-10 more must be seen.
TEST(ReferenceElementwise, RoundsThroughF32Once) {
  const ElementwiseProblem problem = add_of(DType::f16, 1, 2);
  const auto a = packed(DType::f16, {2048, 2048}), b = packed(DType::f16, {1, 1 + 0x1p-10});
  const void* in[] = {a.data(), b.data()};
  EXPECT_EQ(ckl::reference::elementwise(problem, in), (std::vector<double>{2048, 2050}));

  // And where f32 is not exact either, the two roundings are the operator's: 65504 + 2^-24 is 65504 in f32.
  const auto c = packed(DType::f16, {65504, -0.0}), e = packed(DType::f16, {0x1p-24, -0.0});
  EXPECT_TRUE(judge(problem, {c, e}, packed(DType::f16, {65504, -0.0})).passed());
  EXPECT_FALSE(judge(problem, {c, e}, packed(DType::f16, {65504, 0.0})).passed());
}

TEST(ReferenceElementwise, ComparesWhatIsNotFinite) {
  const ElementwiseProblem problem = add_of(DType::bf16, 1, 3);
  const auto a = packed(DType::bf16, {nan, infinity, -infinity}), zero = packed(DType::bf16, {0, 0, 0});
  EXPECT_TRUE(judge(problem, {a, zero}, packed(DType::bf16, {nan, infinity, -infinity})).passed());
  EXPECT_EQ(judge(problem, {a, zero}, packed(DType::bf16, {0, -infinity, nan})).wrong, 3);
}

/// A problem of one dense row for every operand.
ElementwiseProblem row_of(ElementwiseOp op, DType in, DType out, std::int64_t count) {
  ElementwiseProblem problem;
  problem.op = op;
  problem.rank = 1;
  problem.sizes = {count};
  for (auto& x : problem.in) x = {in, {1}, 16};
  for (auto& x : problem.out) x = {out, {1}, 16};
  return problem;
}

TEST(ReferenceElementwise, CastsSaturateTruncateAndWrap) {
  const auto cast = [](DType in, DType out, std::vector<double> from, std::vector<double> to) {
    const auto count = std::int64_t(from.size());
    return judge(row_of(ElementwiseOp::cast, in, out, count), {packed(in, from)}, packed(out, to)).wrong;
  };
  EXPECT_EQ(cast(DType::f32, DType::e4m3, {1e6, -infinity, nan, 17, 19, 0x1p-10}, {448, -448, nan, 16, 20, 0}), 0);
  EXPECT_EQ(cast(DType::f32, DType::e5m2, {1e9, infinity, 9}, {57344, 57344, 8}), 0);
  EXPECT_EQ(cast(DType::f32, DType::i32, {2.9, -2.9, nan, 1e10}, {2, -2, 0, 2147483647}), 0);
  EXPECT_EQ(cast(DType::f32, DType::b8, {0.25, -0.0, nan}, {1, 0, 1}), 0);
  EXPECT_EQ(cast(DType::i32, DType::f32, {16777217}, {16777216}), 0);
  EXPECT_EQ(cast(DType::i64, DType::i32, {4294967299, -1}, {3, -1}), 0);
  EXPECT_EQ(cast(DType::b8, DType::i64, {1, 0}, {1, 0}), 0);
  EXPECT_EQ(cast(DType::f32, DType::e4m3, {17, 19}, {18, 18}), 2);
  EXPECT_EQ(cast(DType::f32, DType::i32, {2.9}, {3}), 1);
}

// The bound of an op that is not exact is neither nothing nor everything.
TEST(ReferenceElementwise, GrantsWhatIsDocumented) {
  const ElementwiseProblem problem = row_of(ElementwiseOp::exp, DType::f32, DType::f32, 1);
  const auto x = packed(DType::f32, {1});
  const double e = 2.718281828459045, unit = 0x1p-22;
  EXPECT_TRUE(judge(problem, {x}, packed(DType::f32, {e + 3 * unit})).passed());
  EXPECT_FALSE(judge(problem, {x}, packed(DType::f32, {e + 6 * unit})).passed());
}

// ---- Judging ---------------------------------------------------------------------------------------------

// What is accepted without rounding anything is what rounding accepts: neighbours of the value, in gaps of all kinds.
TEST(Acceptable, IsWhatLiesBetweenTheRoundedEnds) {
  std::mt19937_64 random(1);
  for (const DType dtype : {DType::bf16, DType::f16, DType::f32, DType::e4m3, DType::e5m2}) {
    const ckl::reference::FloatFormat format = ckl::reference::format_of(dtype);
    for (int i = 0; i < 100000; ++i) {
      // Magnitudes from below the subnormal numbers to beyond the largest, now and then a power of two or halfway between.
      const int exponent = format.min_exponent() - format.fraction_bits - 2 +
                           int(random() % std::uint64_t(format.max() > 1e9 ? 200 : 45));
      const double fraction = i % 3 == 0   ? 0
                              : i % 3 == 1 ? std::ldexp(double(random() % 64), -6)
                                           : double(random()) * 0x1p-64;
      const double expected = std::ldexp((random() & 1 ? 1 : -1) * (1 + fraction), exponent);
      const double unit = ckl::reference::ulp(format, expected), slack = i % 2 ? 0 : unit * double(random() % 8) / 4;
      const double nearest = ckl::reference::round_to(format, expected);
      if (std::isinf(nearest)) continue;
      for (const int steps : {-2, -1, 0, 1, 2}) {
        const double actual = ckl::reference::round_to(format, nearest + steps * unit / 2);
        EXPECT_EQ(ckl::reference::acceptable(format, actual, expected, slack),
                  actual >= ckl::reference::round_to(format, expected - slack) &&
                      actual <= ckl::reference::round_to(format, expected + slack))
            << name(dtype) << " " << actual << " for " << expected << ", give or take " << slack;
      }
    }
  }
}

/// (5, 37) of bf16; x, dy and outputs lie apart.
constexpr std::int64_t rows = 5, columns = 37;

ckl::TensorOperand matrix(DType dtype = DType::bf16) {
  ckl::TensorOperand operand;
  operand.dtype = dtype;
  operand.strides = {columns + 3, 1};
  return operand;
}

ckl::TensorOperand one_a_row() {
  ckl::TensorOperand operand;
  operand.strides = {1, 0};
  return operand;
}

ckl::TensorOperand one_a_column(DType dtype = DType::bf16) {
  ckl::TensorOperand operand;
  operand.dtype = dtype;
  operand.strides = {0, 1};
  return operand;
}

/// Dense values rounded to where a matrix() has them.
std::vector<char> laid_out(const std::vector<double>& values) {
  std::vector<double> spread(std::size_t(rows * (columns + 3)));
  for (std::int64_t i = 0; i < rows * columns; ++i)
    spread[std::size_t(i / columns * (columns + 3) + i % columns)] = values[std::size_t(i)];
  return packed(DType::bf16, spread);
}

/// Both ways to judge say the same of the right result, and of one with a wrong element at the end of row 3.
template <class Stored, class Streamed>
void expect_alike(std::vector<char> actual, const Stored& stored, const Streamed& streamed) {
  const auto expect_equal = [&](std::int64_t wrong) {
    const Comparison one = stored(actual), other = streamed(actual);
    EXPECT_EQ(one.wrong, wrong) << one.first_wrong;
    EXPECT_EQ(other.wrong, wrong) << other.first_wrong;
    EXPECT_EQ(one.error, other.error);
    EXPECT_EQ(one.bound, other.bound);
    EXPECT_EQ(one.first_wrong, other.first_wrong);
  };
  expect_equal(0);
  const Numeric bf16(DType::bf16);
  for (const std::int64_t row : {4, 3}) bf16.write(actual.data(), row * (columns + 3) + columns - 1, 77);
  expect_equal(2);
  EXPECT_NE(streamed(actual).first_wrong.find("77"), std::string::npos);
  EXPECT_NE(streamed(actual).first_wrong.find("row 3"), std::string::npos) << "the first is not the first";
}

TEST(JudgedRows, SoftmaxIsJudgedAlikeStoredAndStreamed) {
  for (const bool log : {false, true}) {
    ckl::SoftmaxProblem p;
    p.rank = 2, p.sizes = {rows, columns}, p.axis = 1, p.log = log, p.causal = log, p.scale = 0.5f;
    p.x = p.y = matrix();
    const std::vector<char> x = laid_out(normal(rows * columns, 1));
    std::vector<double> y(rows * columns), slack(y.size());
    ckl::reference::softmax(p, {x.data()}, y.data(), slack.data());
    expect_alike(
        laid_out(y),
        [&](const auto& actual) { return ckl::reference::compare_softmax(p, actual.data(), y.data(), slack.data()); },
        [&](auto& actual) {
          return ckl::reference::compare_softmax(p, {x.data(), actual.data()});
        });
  }
}

TEST(JudgedRows, SoftmaxGradientsAreJudgedAlikeStoredAndStreamed) {
  for (const bool log : {false, true}) {
    ckl::SoftmaxBackwardProblem p;
    p.rank = 2, p.sizes = {rows, columns}, p.axis = 1, p.log = log;
    p.y = p.dy = p.dx = matrix();
    const std::vector<char> y = laid_out(normal(rows * columns, 1)), dy = laid_out(normal(rows * columns, 2));
    std::vector<double> dx(rows * columns), slack(dx.size());
    ckl::reference::softmax_backward(p, y.data(), dy.data(), dx.data(), slack.data());
    const auto stored = [&](const auto& actual) {
      return ckl::reference::compare_softmax_backward(p, actual.data(), dx.data(), slack.data());
    };
    expect_alike(laid_out(dx), stored, [&](const auto& actual) {
      return ckl::reference::compare_softmax_backward(p, y.data(), dy.data(), actual.data(),
                                                      ckl::reference::softmax_backward_tolerance(p));
    });
  }
}

TEST(JudgedRows, NormsAreJudgedAlikeStoredAndStreamed) {
  for (const ckl::NormKind kind : {ckl::NormKind::layer, ckl::NormKind::rms}) {
    ckl::NormProblem p;
    p.kind = kind, p.rank = 2, p.sizes = {rows, columns};
    p.x = p.y = p.residual = p.sum = matrix();
    p.weight = p.bias = one_a_column();
    p.has_weight = p.has_bias = p.has_residual = p.has_sum = true;
    const std::vector<char> x = laid_out(normal(rows * columns, 1)), residual = laid_out(normal(rows * columns, 2));
    const std::vector<char> weight = packed(DType::bf16, normal(columns, 3)),
                            bias = packed(DType::bf16, normal(columns, 4));
    const ckl::reference::NormResult result =
        ckl::reference::norm(p, x.data(), weight.data(), bias.data(), residual.data());
    std::vector<char> y = laid_out(result.y), sum = laid_out(result.sum);
    const auto streamed = [&](std::vector<char>& y, std::vector<char>& sum) {
      return ckl::reference::compare_norm(p,
                                          {x.data(), y.data(), weight.data(), bias.data(), residual.data(), sum.data()},
                                          ckl::reference::norm_tolerance(p));
    };
    expect_alike(
        y, [&](const auto& actual) { return ckl::reference::compare_norm(p, actual.data(), result); },
        [&](auto& actual) { return streamed(actual, sum); });
    Numeric(DType::bf16).write(sum.data(), 0, 77);  // the sum is judged as well
    EXPECT_EQ(streamed(y, sum).wrong, 1);
  }
}

TEST(JudgedRows, GradientsOfNormsAreJudgedAlikeStoredAndStreamed) {
  for (const ckl::NormKind kind : {ckl::NormKind::layer, ckl::NormKind::rms}) {
    ckl::NormBackwardProblem p;
    p.kind = kind, p.rank = 2, p.sizes = {rows, columns};
    p.x = p.dy = p.dx = matrix();
    p.mean = p.rstd = one_a_row();
    p.weight = one_a_column(), p.dweight = p.dbias = one_a_column(DType::f32);
    p.has_weight = p.has_dweight = p.has_dbias = true;
    const std::vector<char> x = laid_out(normal(rows * columns, 1)), dy = laid_out(normal(rows * columns, 2));
    const std::vector<char> weight = packed(DType::bf16, normal(columns, 3));
    const std::vector<float> mean = {0, 1, 2, 3, 4}, rstd = {1, 2, 0.5f, 1, 3};
    ckl::NormBackwardPointers pointers{x.data(),      dy.data(), nullptr, rstd.data(),
                                       weight.data(), nullptr,   nullptr, mean.data()};
    const ckl::reference::NormBackwardResult result = ckl::reference::norm_backward(p, pointers);
    std::vector<char> dx = laid_out(result.dx), dweight = packed(DType::f32, result.dweight),
                      dbias = packed(DType::f32, result.dbias);
    const auto streamed = [&](std::vector<char>& dx) {
      pointers.dx = dx.data(), pointers.dweight = dweight.data(), pointers.dbias = dbias.data();
      return ckl::reference::compare_norm_backward(p, pointers, ckl::reference::norm_backward_tolerance(p));
    };
    const auto stored = [&](const auto& actual) {
      Comparison comparison = ckl::reference::compare_norm_dx(p, actual.data(), result);
      for (const bool of_bias : {false, true})
        comparison.error = std::max(
            comparison.error,
            ckl::reference::compare_norm_vector(p, of_bias ? dbias.data() : dweight.data(), result, of_bias).error);
      return comparison;
    };
    expect_alike(dx, stored, streamed);
    for (std::vector<char>* vector : {&dweight, &dbias}) {  // each of them is judged as well
      const std::vector<char> right = *vector;
      Numeric(DType::f32).write(vector->data(), columns - 1, 77);
      EXPECT_EQ(streamed(dx).wrong, 1);
      *vector = right;
    }
  }
}

// Others may compute f32 rows in f32: what that errs by is too much of ours.
TEST(JudgedRows, ToleranceIsWhatIsGranted) {
  ckl::NormProblem p;
  p.kind = ckl::NormKind::rms, p.rank = 2, p.sizes = {rows, columns};
  p.x = p.y = matrix(DType::f32);
  std::vector<double> values(rows * (columns + 3), 1.0);
  const std::vector<char> x = packed(DType::f32, values);
  for (double& value : values) value = (1 - 0.5e-5) * (1 + 0x1p-21);
  std::vector<char> y = packed(DType::f32, values);
  EXPECT_TRUE(ckl::reference::compare_norm(p, {x.data(), y.data()}, ckl::reference::f32_tolerance).passed());
  EXPECT_FALSE(ckl::reference::compare_norm(p, {x.data(), y.data()}, ckl::reference::norm_tolerance(p)).passed());
}

}  // namespace
