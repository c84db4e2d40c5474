// The norms' gradients against the oracle: the normalizations of the case list, by every config that can serve their gradients.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "cases/bad_norm_backward.hpp"
#include "ckl/norm.hpp"
#include "ckl/norm_backward.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "norm_operands.hpp"
#include "reference/reference.hpp"
#include "workspace.hpp"

namespace ckl::test {
namespace {

/// The operands of the gradients of one normalization on the device, and what they have to be: x and dy lie as the normalization's x, dx as
/// its y. Where that has a weight or a bias, so has the gradient.
class NormGradientData : NormOperands {
 public:
  explicit NormGradientData(const NormCase& norm)
      : NormOperands(norm),
        x_(buffer(norm.x)),
        dy_(buffer(norm.x)),
        dx_(buffer(norm.y)),
        weight_(vector()),
        dweight_(vector()),
        dbias_(vector()),
        mean_(statistic()),
        rstd_(statistic()) {
    weight_.fill(2);
    reset();
  }

  OperandBuffer& x() { return x_; }
  OperandBuffer& dy() { return dy_; }
  OperandBuffer& dx() {
    return case_.where == NormCase::y_is_x ? x_ : case_.where == NormCase::y_is_residual ? dy_ : dx_;
  }
  OperandBuffer& mean() { return mean_; }
  OperandBuffer& rstd() { return rstd_; }
  OperandBuffer& weight() { return weight_; }
  OperandBuffer& dweight() { return dweight_; }
  OperandBuffer& dbias() { return dbias_; }

  NormBackwardArguments arguments() {
    NormBackwardArguments a{case_.kind, x_.tensor(), dy_.tensor(), dx().tensor(), rstd_.tensor()};
    if (case_.weight) a.weight = weight_.tensor(), a.dweight = dweight_.tensor();
    if (case_.bias) a.dbias = dbias_.tensor();
    if (case_.kind == NormKind::layer) a.mean = mean_.tensor();
    return a;
  }
  NormBackwardProblem problem() { return norm_backward_problem(arguments()); }
  NormBackwardPointers pointers() {
    return {x_.device(),      dy_.device(),      dx().device(),   floats(rstd_.device()),
            weight_.device(), dweight_.device(), dbias_.device(), floats(mean_.device())};
  }

  /// Computes the oracle's results from the images of the inputs; call it before the results are received.
  void expect() {
    expected_ = reference::norm_backward(problem(), {x_.host(), dy_.host(), nullptr, floats(rstd_.host()),
                                                     weight_.host(), nullptr, nullptr, floats(mean_.host())});
  }

  void check() {
    const NormBackwardProblem problem = this->problem();
    dx().receive("dx");
    if (case_.weight) dweight_.receive("dweight");
    if (case_.bias) dbias_.receive("dbias");
    for (auto [buffer, name] : {std::pair{&x_, "x"},
                                {&dy_, "dy"},
                                {&weight_, "weight"},
                                {&mean_, "mean"},
                                {&rstd_, "rstd"},
                                {&dweight_, "dweight"},
                                {&dbias_, "dbias"}})
      buffer->expect_unchanged(name);
    expect_passed("dx", reference::compare_norm_dx(problem, dx().host(), expected_));
    if (case_.weight)
      expect_passed("dweight", reference::compare_norm_vector(problem, dweight_.host(), expected_, false));
    if (case_.bias) expect_passed("dbias", reference::compare_norm_vector(problem, dbias_.host(), expected_, true));
  }

  /// Runs `config` in a workspace of its own, `times` over, which has to be ready again each time.
  void run(const std::string& config, int times = 1) {
    const NormBackwardPlan plan(problem(), 0, config);
    EXPECT_EQ(plan.config(), config);
    Workspace workspace(plan.workspace_bytes());
    for (int i = 0; i < times; ++i) {
      if (i > 0) reset();
      plan.run(pointers(), workspace.device());
      check();
    }
  }

  /// Puts everything back to what it was before anything ran; the statistics are some numbers.
  void reset() {
    x_.fill(1), dy_.fill(4);
    mean_.fill(5);
    rstd_.fill(6);
    for (OperandBuffer* out : {&dweight_, &dbias_}) out->fill_with(std::nan(""));
    dx_.fill_with(std::nan(""));
  }

 private:
  static const float* floats(const std::byte* bytes) { return reinterpret_cast<const float*>(bytes); }

  OperandBuffer x_, dy_, dx_, weight_, dweight_, dbias_, mean_, rstd_;
  reference::NormBackwardResult expected_;
};

class NormGradientCases : public DeviceTest, public ::testing::WithParamInterface<NormCase> {};

INSTANTIATE_TEST_SUITE_P(List, NormGradientCases, ::testing::ValuesIn(norm_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(NormGradientCases, MatchesTheReference) {
  NormGradientData data(GetParam());
  data.expect();
  norm_backward(data.arguments());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(NormGradientCases, EveryConfigMatchesTheReference) {
  NormGradientData data(GetParam());
  data.expect();
  const std::vector<std::string> configs = norm_backward_candidates(data.problem(), device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    data.reset();
    data.run(config);
  }
}

class NormGradientBehaviour : public DeviceTest {};

// More rows than there is room for at a time, so that each group of threads adds up several; twice, in the same workspace.
TEST_F(NormGradientBehaviour, SumsOfManyRowsAreRight) {
  struct ManyRows {
    NormKind kind;
    DType dtype;
    std::int64_t rows, columns;
    const char* config;
  };
  const ManyRows list[] = {{NormKind::layer, DType::bf16, 8600, 8, "bf16_t8_vec"},
                           {NormKind::layer, DType::f16, 4300, 24, "f16_t16_vec"},
                           {NormKind::rms, DType::f32, 2200, 40, "f32_t32_vec"},
                           {NormKind::layer, DType::f16, 2200, 41, "f16_t32_any"},
                           {NormKind::layer, DType::bf16, 3400, 41, "bf16_t16_ragged"},
                           {NormKind::rms, DType::f32, 1700, 77, "f32_t32_ragged"},
                           {NormKind::layer, DType::f16, 850, 261, "f16_t64_ragged"},
                           {NormKind::layer, DType::f16, 600, 136, "f16_p128_vec"},
                           {NormKind::layer, DType::bf16, 300, 264, "bf16_p256_vec"},
                           {NormKind::rms, DType::f32, 300, 264, "f32_t256_any"},
                           {NormKind::layer, DType::f32, 140, 520, "f32_p512_vec"},
                           {NormKind::layer, DType::f16, 2000, 40, "f16_p256_vec"},  // whose stages are filled again
                           {NormKind::layer, DType::f16, 600, 4104, "f16_p512_vec"},
                           {NormKind::rms, DType::bf16, 1000, 16400, "bf16_p512_vec"},  // a cluster
                           {NormKind::layer, DType::f16, 14, 16384, "f16_g512_vec"},
                           {NormKind::layer, DType::bf16, 600, 267, "bf16_p256_dense"},
                           {NormKind::rms, DType::f32, 300, 4099, "f32_p512_dense"},
                           {NormKind::layer, DType::f16, 40, 16389, "f16_p512_dense"},
                           {NormKind::layer, DType::bf16, 2000, 40, "bf16_g512_vec"},  // a team of one block
                           {NormKind::rms, DType::f32, 40, 50000, "f32_g512_vec"},
                           {NormKind::layer, DType::bf16, 300, 264, "bf16_stream_vec"},
                           {NormKind::layer, DType::bf16, 17000, 8, "bf16_stream_vec"},  // two batches of rows
                           {NormKind::rms, DType::f16, 70, 16385, "f16_stream_any"}};
  for (const ManyRows& many : list) {
    if (short_list() && many.rows * many.columns > 1 << 18) continue;
    SCOPED_TRACE(many.config);
    NormGradientData data(rows_of(many.kind, many.dtype, many.rows, many.columns));
    data.expect();
    data.run(many.config, 2);
  }
}

// A NaN stays in its row of dx, and in its column of the sums.
TEST_F(NormGradientBehaviour, SpecialValuesStayInTheirRowAndColumn) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const NormKind kind : {NormKind::layer, NormKind::rms})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const std::int64_t columns : {24, 130, 1024}) {
        NormGradientData data(rows_of(kind, dtype, 5, columns));
        for (const std::string& config : norm_backward_candidates(data.problem(), device_info(0))) {
          SCOPED_TRACE(std::string(name(kind)) + " " + name(dtype) + " " + std::to_string(columns) + " " + config);
          data.reset();
          data.x().set({1, 3}, nan);
          data.dy().set({3, columns - 1}, infinity);
          data.expect();
          data.run(config);
          const reference::Numeric numeric(dtype);
          EXPECT_TRUE(std::isnan(numeric.read(data.dx().host(), columns)));
          EXPECT_FALSE(std::isnan(numeric.read(data.dx().host(), 2 * columns)));
          EXPECT_TRUE(std::isnan(numeric.read(data.dweight().host(), 3)));
          EXPECT_FALSE(std::isnan(numeric.read(data.dweight().host(), 4)));
          EXPECT_EQ(numeric.read(data.dbias().host(), columns - 1), infinity);
        }
      }
}

// What the normalization stores is what its gradients take: they are those of the function, as differences show.
TEST_F(NormGradientBehaviour, TakesWhatTheForwardPassStores) {
  for (const NormKind kind : {NormKind::layer, NormKind::rms}) {
    constexpr std::int64_t columns = 40;
    NormGradientData data(rows_of(kind, DType::f32, 1, columns));
    OperandBuffer y(DType::f32, {1, columns}, {columns, 1});
    NormArguments forward{kind, data.x().tensor(), y.tensor(), data.weight().tensor()};
    forward.mean = data.mean().tensor(), forward.rstd = data.rstd().tensor();
    const auto loss = [&] {  // sum of dy * y
      norm(forward);
      y.receive("y");
      double sum = 0;
      const reference::Numeric numeric(DType::f32);
      for (std::int64_t i = 0; i < columns; ++i) sum += numeric.read(y.host(), i) * numeric.read(data.dy().host(), i);
      return sum;
    };
    loss();
    data.mean().receive("mean"), data.rstd().receive("rstd");
    norm_backward(data.arguments());
    data.expect();
    data.check();
    const reference::Numeric numeric(DType::f32);
    for (const std::int64_t j : {0, 17, 39}) {
      const double x = numeric.read(data.x().host(), j), step = 1e-2;
      data.x().set({0, j}, x + step);
      const double above = loss();
      data.x().set({0, j}, x - step);
      const double below = loss();
      data.x().set({0, j}, x);
      EXPECT_NEAR((above - below) / (2 * step), numeric.read(data.dx().host(), j), 2e-3) << j;
    }
  }
}

// How many rows there are must not change a row's bits.
TEST_F(NormGradientBehaviour, RowsAreIndependent) {
  for (const std::int64_t columns : {40, 1000, 4096}) {
    NormGradientData many(rows_of(NormKind::layer, DType::bf16, 37, columns)),
        one(rows_of(NormKind::layer, DType::bf16, 1, columns));
    norm_backward(many.arguments());
    norm_backward(one.arguments());  // the first row has the same elements: the draws begin alike
    const auto all = many.dx().download(), first = one.dx().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
  }
}

TEST_F(NormGradientBehaviour, SumsOfNoRowsAreZero) {
  NormGradientData data(rows_of(NormKind::rms, DType::f32, 0, 48));
  norm_backward(data.arguments());
  data.dweight().receive("dweight");
  const reference::Numeric numeric(DType::f32);
  for (std::int64_t i = 0; i < 48; ++i) EXPECT_EQ(numeric.read(data.dweight().host(), i), 0) << i;
}

class BadNormGradient : public DeviceTest, public ::testing::WithParamInterface<BadNormBackward> {};

INSTANTIATE_TEST_SUITE_P(List, BadNormGradient, ::testing::ValuesIn(bad_norm_backwards()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadNormGradient, LeavesAllMemoryUntouched) {
  std::deque<OperandBuffer> buffers;  // they cannot move
  for (int i = 0; i < 8; ++i) buffers.emplace_back(DType::f32, Sizes{4096}, Sizes{1}).fill(std::uint64_t(i));
  NormBackwardArguments arguments = good_norm_backward([&](int i) { return buffers[std::size_t(i)].device(); });
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { norm_backward(arguments); });
  for (const OperandBuffer& buffer : buffers) buffer.expect_unchanged("a buffer");
}

TEST_F(NormGradientBehaviour, RunRefusesWhatThePlanWasNotPromised) {
  NormGradientData data(rows_of(NormKind::layer, DType::f32, 6, 48));
  const NormBackwardPlan plan(data.problem());
  Workspace workspace(plan.workspace_bytes());
  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  const auto refused = [&](std::vector<std::string> words, auto&& spoil) {
    NormBackwardPointers pointers = data.pointers();
    void* memory = workspace.device();
    spoil(pointers, memory);
    expect_error(invalid, words, [&] { plan.run(pointers, memory); });
  };
  refused({"x ", "null"}, [](auto& p, void*&) { p.x = nullptr; });
  refused({"dy ", "16"}, [](auto& p, void*&) { p.dy = static_cast<const char*>(p.dy) + 4; });
  refused({"mean ", "null"}, [](auto& p, void*&) { p.mean = nullptr; });
  refused({"dbias ", "overlap dweight"}, [](auto& p, void*&) { p.dbias = p.dweight; });
  refused({"workspace", "null"}, [](auto&, void*& memory) { memory = nullptr; });
  refused({"workspace", "256"}, [](auto&, void*& memory) { memory = moved(memory, 16); });
  expect_error(invalid, {"config", "\"fast\""}, [&] { NormBackwardPlan(data.problem(), 0, "fast"); });
  expect_error(invalid, {"device", "1000"}, [&] { NormBackwardPlan(data.problem(), 1000); });
  data.dx().expect_unchanged("dx");
  data.dweight().expect_unchanged("dweight");
}

}  // namespace
}  // namespace ckl::test
