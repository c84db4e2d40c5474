// Reductions against the oracle: every problem of the case list, by every config that can serve it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "cases/bad_reduce.hpp"
#include "cases/reduce_cases.hpp"
#include "ckl/reduce.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"
#include "workspace.hpp"

namespace ckl::test {
namespace {

/// Writes `value` as an element of type `dtype`.
void write_element(DType dtype, std::byte* to, double value) {
  const auto write = [to](auto typed) { std::memcpy(to, &typed, sizeof(typed)); };
  switch (dtype) {
    case DType::f64: return write(value);
    case DType::i64: return write(std::int64_t(value));
    case DType::i32: return write(std::int32_t(value));
    default: reference::Numeric(dtype).write(to, 0, value);
  }
}

/// A standard normal number, nearly.
double normal(reference::Draw& draw) {
  double sum = 0;
  for (int i = 0; i < 12; ++i) sum += draw.symmetric() / 2;
  return sum;
}

/// An element that lets an error in `op` be seen.
double element_for(ReduceOp op, DType dtype, reference::Draw& draw) {
  const double x = normal(draw);
  if (op == ReduceOp::any) return draw.one_in(300) ? 3 : 0;
  if (op == ReduceOp::all) return draw.one_in(300) ? 0 : 3;
  if (dtype == DType::i32 || dtype == DType::i64) return std::round(1000 * x);
  if (op == ReduceOp::product) return 1 + x / 16;  // neither too large nor too small
  if (op == ReduceOp::argmin || op == ReduceOp::argmax) return std::round(8 * x) / 8;  // with equals
  return op == ReduceOp::variance || op == ReduceOp::deviation ? x + 10 : x;
}

/// The operands of one reduction on the device, and what it has to give.
class ReduceData {
 public:
  explicit ReduceData(const ReduceCase& reduce, std::uint64_t seed = 1)
      : case_(reduce),
        x_(reduce.dtype, reduce.x.sizes, reduce.x.strides, reduce.x.offset),
        y_(reduce.out, reduce.y.sizes, reduce.y.strides, reduce.y.offset) {
    reference::Draw draw(seed);
    for_each_element(reduce.x.sizes, reduce.x.strides,
                     [&](std::int64_t offset) { set(offset, element_for(reduce.op, reduce.dtype, draw)); });
    x_.upload();
  }

  OperandBuffer& x() { return x_; }
  OperandBuffer& y() { return y_; }

  /// Sets the element at `offset`, in the image alone.
  void set(std::int64_t offset, double value) {
    write_element(case_.dtype, x_.host() + offset * std::int64_t(size_of(case_.dtype)), value);
  }

  ReduceArguments arguments() {
    return {case_.op, x_.tensor(), y_.tensor(), case_.axes, case_.correction, case_.batch_invariant};
  }
  ReduceProblem problem() { return reduce_problem(arguments()); }

  /// Computes the oracle's result from the image of x; call it before the results are received.
  void expect() {
    const ReduceProblem problem = this->problem();
    expected_.resize(std::size_t(reference::output_count(problem)));
    slack_.resize(expected_.size());
    reference::reduce(problem, x_.host(), expected_.data(), slack_.data());
  }

  void check() {
    y_.receive("y");
    x_.expect_unchanged("x");
    const reference::Comparison comparison =
        reference::compare_reduce(problem(), y_.host(), expected_.data(), slack_.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " of " << expected_.size()
                                     << " outputs are wrong: " << comparison.first_wrong;
  }

  /// Poisons y.
  void reset() {
    for_each_element(case_.y.sizes, case_.y.strides, [&](std::int64_t offset) {
      std::memset(y_.host() + offset * std::int64_t(size_of(case_.out)), 0xff, size_of(case_.out));
    });
    y_.upload();
  }

  /// Runs `config` in a workspace of its own, `times` over, which has to be as it was in the end.
  void run(const std::string& config, int times = 1) {
    const ReducePlan plan(problem(), 0, config);
    EXPECT_EQ(plan.config(), config);
    Workspace workspace(plan.workspace_bytes());
    for (int i = 0; i < times; ++i) {
      reset();
      plan.run(x_.device(), y_.device(), workspace.device());
      check();
    }
  }

 private:
  ReduceCase case_;
  OperandBuffer x_, y_;
  std::vector<long double> expected_, slack_;
};

class ReduceCases : public DeviceTest, public ::testing::WithParamInterface<ReduceCase> {};

INSTANTIATE_TEST_SUITE_P(List, ReduceCases, ::testing::ValuesIn(reduce_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(ReduceCases, MatchesTheReference) {
  ReduceData data(GetParam());
  data.expect();
  reduce(data.arguments());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(ReduceCases, EveryConfigMatchesTheReference) {
  ReduceData data(GetParam());
  data.expect();
  const std::vector<std::string> configs = reduce_candidates(data.problem(), device_info(0));
  EXPECT_EQ(configs.empty(), reference::output_count(data.problem()) == 0);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    data.run(config);
  }
}

class ReduceBehaviour : public DeviceTest {};

ReduceCase rows_of(ReduceOp op, DType dtype, std::int64_t rows, std::int64_t columns, int axis = 1) {
  ReduceCase one;
  one.op = op, one.dtype = dtype, one.out = natural_output(op, dtype);
  one.x = dense({rows, columns}), one.y = dense({axis == 1 ? rows : columns}), one.axes = {axis};
  return one;
}

// One of each in a row of its own: what is documented for NaNs and infinities, wherever they stand.
TEST_F(ReduceBehaviour, SpecialValuesAreAsDocumented) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64})
    for (const ReduceOp op : reduce_ops(dtype)) {
      SCOPED_TRACE(std::string(name(op)) + " " + name(dtype));
      constexpr std::int64_t columns = 264;
      ReduceData data(rows_of(op, dtype, 10, columns));
      data.set(1 * columns + 5, nan);
      data.set(2 * columns + 263, -nan);
      data.set(3 * columns + 0, infinity);
      data.set(4 * columns + 100, -infinity);
      data.set(5 * columns + 7, infinity), data.set(5 * columns + 9, -infinity);
      for (std::int64_t i = 0; i < columns; ++i)
        data.set(6 * columns + i, -infinity), data.set(7 * columns + i, infinity);
      for (std::int64_t i = 0; i < columns; ++i) data.set(8 * columns + i, i % 2 ? 0.0 : -0.0);
      data.set(9 * columns + 17, nan), data.set(9 * columns + 3, infinity), data.set(9 * columns + 200, nan);
      data.x().upload();
      data.expect();
      for (const std::string& config : reduce_candidates(data.problem(), device_info(0))) {
        SCOPED_TRACE(config);
        data.run(config);
      }
    }
}

TEST_F(ReduceBehaviour, LargeMeansCostNoDigits) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    ReduceData data(rows_of(ReduceOp::deviation, dtype, 4, 3000));
    reference::Draw draw(5);
    for (std::int64_t i = 0; i < 4 * 3000; ++i) data.set(i, 1e4 + normal(draw));
    data.x().upload();
    data.expect();
    reduce(data.arguments());
    data.check();
  }
}

// A result just above a tie of the output's type would become one if it were rounded to f32 first, and go to the even neighbour.
TEST_F(ReduceBehaviour, RoundsOnce) {
  for (const auto& [out, bits] : {std::pair{DType::bf16, 8}, std::pair{DType::f16, 11}})
    for (const double sign : {1.0, -1.0}) {
      ReduceCase one = rows_of(ReduceOp::sum, DType::f64, 2, 2);
      one.out = out;
      ReduceData data(one);
      const double tie = 1 + std::ldexp(1, -bits), little = std::ldexp(1, -40);
      data.set(0, sign * tie), data.set(1, sign * little);
      data.set(2, sign * (tie + std::ldexp(2, -bits))), data.set(3, -sign * little);
      data.x().upload();
      data.expect();
      reduce(data.arguments());
      data.check();
    }
}

// What is beyond f32 in between is not in the result.
TEST_F(ReduceBehaviour, IntermediateResultsDoNotOverflow) {
  ReduceData l2(rows_of(ReduceOp::l2, DType::f32, 1, 100)), product(rows_of(ReduceOp::product, DType::f32, 1, 100)),
      lse(rows_of(ReduceOp::log_sum_exp, DType::f32, 1, 100));
  for (std::int64_t i = 0; i < 100; ++i)
    l2.set(i, 1e30), product.set(i, i % 2 ? 1e30 : 1e-30), lse.set(i, 1000 + double(i % 3));
  for (ReduceData* data : {&l2, &product, &lse}) {
    data->x().upload();
    data->expect();
    reduce(data->arguments());
    data->check();
  }
}

// Powers are taken relative to a rounded exponent, whose error grows with the numbers: it must not be in the result. Neighbours of the
// largest count where f32 still tells them apart from it.
TEST_F(ReduceBehaviour, LogSumExpOfLargeNumbersCostsNoDigits) {
  for (const auto& [dtype, largest] :
       {std::pair{DType::f32, 1e10}, {DType::bf16, 1e10}, {DType::f16, 6e4}, {DType::f64, 1e10}})
    for (const double magnitude : {6e4, 1e5, 1e7, 1e8, 1e9, 1e10})
      for (const double sign : {1.0, -1.0}) {
        if (magnitude > largest) continue;
        SCOPED_TRACE(std::string(name(dtype)) + " about " + std::to_string(sign * magnitude));
        for (const int axis : {0, 1}) {
          ReduceCase one = rows_of(ReduceOp::log_sum_exp, dtype, axis == 0 ? 300 : 2, axis == 0 ? 16 : 2051, axis);
          one.out = DType::f64;  // which shows what a narrower result would round away
          ReduceData data(one);
          reference::Draw draw(3);
          for_each_element(one.x.sizes, one.x.strides, [&](std::int64_t offset) {
            data.set(offset, sign * magnitude + 20 * draw.symmetric() * std::max(1.0, magnitude * 0x1p-24));
          });
          data.x().upload();
          data.expect();
          for (const std::string& config : reduce_candidates(data.problem(), device_info(0))) {
            SCOPED_TRACE(config);
            data.run(config);
          }
        }
      }
}

// More blocks than a warp empties boxes of: the whole last block does.
TEST_F(ReduceBehaviour, ManyBlocksMeetInTheWorkspace) {
  if (device_info(0).sm_count < 132) GTEST_SKIP() << "as many blocks are chosen on an H100 or H200 only";
  for (const auto& [op, dtype] : {std::pair{ReduceOp::sum, DType::f32},
                                  {ReduceOp::sum, DType::i64},
                                  {ReduceOp::argmax, DType::f32},
                                  {ReduceOp::variance, DType::f32}}) {
    ReduceData data(rows_of(op, dtype, 1, 540000));
    data.expect();
    const std::string config = reduce_candidates(data.problem(), device_info(0)).front();
    const bool is_one_word = op == ReduceOp::sum;
    EXPECT_GT(std::stoi(config.substr(config.rfind("_s") + 2)), is_one_word ? 129 : 65) << config;
    data.run(config, 2);
  }
}

// Blocks that meet in the workspace leave it ready for the next launch.
TEST_F(ReduceBehaviour, WorkspaceIsReadyAgain) {
  for (const ReduceCase& one :
       {rows_of(ReduceOp::sum, DType::f32, 2, 50000), rows_of(ReduceOp::argmin, DType::bf16, 9000, 8, 0)}) {
    ReduceData data(one);
    data.expect();
    const std::vector<std::string> configs = reduce_candidates(data.problem(), device_info(0));
    const auto shared = std::find_if(configs.begin(), configs.end(), [&](const std::string& config) {
      return ReducePlan(data.problem(), 0, config).workspace_bytes() > 0;
    });
    ASSERT_NE(shared, configs.end());
    data.run(*shared, 4);
  }
}

// Where what a block has found is 0, the one that waits for it must see it all the same, and zeros have no sign.
TEST_F(ReduceBehaviour, ZerosMeetToo) {
  for (const ReduceCase& one :
       {rows_of(ReduceOp::sum, DType::f32, 1, 100000), rows_of(ReduceOp::sum, DType::f64, 9000, 8, 0),
        rows_of(ReduceOp::sum, DType::bf16, 12000, 8, 0)}) {
    ReduceData data(one);
    for_each_element(one.x.sizes, one.x.strides, [&](std::int64_t offset) { data.set(offset, 0); });
    data.x().upload();
    data.expect();
    for (const std::string& config : reduce_candidates(data.problem(), device_info(0))) {
      SCOPED_TRACE(config);
      data.run(config, 2);
      const auto bytes = data.y().download();
      EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](auto byte) { return byte == decltype(byte){}; }));
    }
  }
}

// How many others there are must not change an output's bits, where the problem says so.
TEST_F(ReduceBehaviour, BatchInvariantOutputsAreIndependent) {
  using Row = std::pair<DType, std::int64_t>;
  for (const auto& [dtype, columns] : {Row(DType::bf16, 40), Row(DType::bf16, 1000), Row(DType::bf16, 5000),
                                       Row(DType::bf16, 40000), Row(DType::f32, 2003), Row(DType::bf16, 4099)}) {
    ReduceCase of_many = rows_of(ReduceOp::sum, dtype, 21, columns), of_one = rows_of(ReduceOp::sum, dtype, 1, columns);
    of_many.out = of_one.out = DType::f32;  // which shows what a narrower result would round away
    of_many.batch_invariant = of_one.batch_invariant = true;
    ReduceData many(of_many), one(of_one);  // the first row has the same elements: the draws begin alike
    reduce(many.arguments());
    reduce(one.arguments());
    const auto all = many.y().download(), first = one.y().download();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
  }
}

// The same of columns, and of what lies between or around other dimensions: few outputs are loaded element by element, a multiple of a
// vector by vectors, and one looks like a row. Every output has the same elements, so that all must have the same bits, in f64.
TEST_F(ReduceBehaviour, BatchInvariantColumnsAreIndependent) {
  const auto outputs_of = [](ReduceOp op, DType dtype, const Sizes& sizes, const std::vector<int>& axes, bool dlpack) {
    ReduceCase one;
    one.op = op, one.dtype = dtype, one.out = DType::f64;
    one.x = dense(sizes);
    for (std::size_t d = 0; d < sizes.size() && dlpack; ++d)
      if (sizes[d] == 1) one.x.strides[d] = 1;
    one.y = dense(sizes_without(sizes, axes)), one.axes = axes, one.batch_invariant = true;
    ReduceData data(one);
    const auto is_reduced = [&](int d) { return std::find(axes.begin(), axes.end(), d) != axes.end(); };
    std::int64_t number = 0;
    for_each_element(sizes, one.x.strides, [&](std::int64_t offset) {
      std::int64_t place = 0, step = 1;  // among the elements of its output
      for (std::int64_t d = std::int64_t(sizes.size()) - 1, rest = number++; d >= 0; rest /= sizes[d--])
        if (is_reduced(int(d))) place += rest % sizes[d] * step, step *= sizes[d];
      reference::Draw draw{std::uint64_t(place) + 7};
      data.set(offset, normal(draw));
    });
    data.x().upload();
    reduce(data.arguments());
    const auto bytes = data.y().download();
    std::vector<double> outputs(std::size_t(reference::output_count(data.problem())));
    std::memcpy(outputs.data(), bytes.data(), outputs.size() * sizeof(double));
    return outputs;
  };
  struct Family {
    DType dtype;
    std::vector<Sizes> sizes;
    std::vector<int> axes;
  };
  const Family families[] = {
      {DType::bf16, {{3000, 8}, {3000, 5}, {3000, 1}, {3000, 40}, {3000, 260}}, {0}},
      {DType::f32, {{1500, 4}, {1500, 3}, {1500, 1}, {1500, 132}}, {0}},
      {DType::bf16, {{20000, 8}, {20000, 3}, {20000, 1}}, {0}},  // shared by blocks
      {DType::f32, {{20000, 4}, {20000, 3}, {20000, 1}}, {0}},
      {DType::bf16, {{3, 700, 8}, {1, 700, 8}, {2, 700, 9}, {3, 700, 1}, {1, 700, 1}}, {1}},
      {DType::bf16, {{20, 3, 64}, {20, 1, 64}}, {0, 2}},
      {DType::bf16, {{2, 3, 1000}, {1, 3, 1000}, {1, 1, 1000}, {2, 1, 1000}}, {2}},
      {DType::f32, {{3, 5, 33}, {1, 5, 33}, {1, 1, 33}, {3, 1, 33}}, {2}},
      {DType::f16, {{16, 1, 3, 17}, {1, 1, 3, 17}}, {1, 2, 3}},
      {DType::bf16, {{16, 1, 64, 2}, {1, 1, 64, 2}}, {1, 2, 3}},
  };
  for (const Family& family : families)
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::variance, ReduceOp::log_sum_exp}) {
      double first = 0;
      for (std::size_t i = 0; i < family.sizes.size(); ++i) {
        for (const bool dlpack : {false, true}) {
          const std::vector<double> outputs = outputs_of(op, family.dtype, family.sizes[i], family.axes, dlpack);
          if (i == 0) first = outputs[0];
          EXPECT_EQ(std::count(outputs.begin(), outputs.end(), first), std::ptrdiff_t(outputs.size()))
              << name(op) << " of " << family.sizes[0][0] << "..., number " << i
              << (dlpack ? ", DLPack's strides" : "");
        }
      }
    }
}

// Nor must it matter which part of a tensor is reduced, wherever that begins: each output alone has the bits that it has beside all others.
TEST_F(ReduceBehaviour, BatchInvariantPartsAreIndependent) {
  struct Whole {
    DType dtype;
    Sizes sizes;
    std::vector<int> axes;
  };
  const Whole wholes[] = {{DType::f32, {3, 2, 100}, {2}}, {DType::f32, {5, 3, 7}, {2}}, {DType::f32, {5, 33}, {1}},
                          {DType::bf16, {3, 264}, {1}},   {DType::bf16, {5, 301}, {1}}, {DType::bf16, {70, 9}, {0}},
                          {DType::f32, {3, 70, 4}, {1}}};
  for (const Whole& whole : wholes)
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::variance, ReduceOp::log_sum_exp})
      for (const std::int64_t offset : {0, 1}) {
        ReduceCase one;
        one.op = op, one.dtype = whole.dtype, one.out = DType::f64;
        one.x = dense(whole.sizes), one.x.offset = offset;
        one.y = dense(sizes_without(whole.sizes, whole.axes)), one.axes = whole.axes, one.batch_invariant = true;
        ReduceData data(one);
        reduce(data.arguments());
        const auto together = data.y().download();
        data.reset();
        const ReduceArguments all = data.arguments();
        for_each_element(one.y.sizes, one.y.strides, [&](std::int64_t number) {
          ReduceArguments part = all;
          auto* x = static_cast<std::byte*>(part.x.data);
          auto* y = static_cast<std::byte*>(part.y.data) + number * std::int64_t(sizeof(double));
          for (int d = all.x.rank - 1, of_y = all.y.rank - 1; d >= 0; --d) {
            if (std::find(whole.axes.begin(), whole.axes.end(), d) != whole.axes.end()) continue;
            x += number % all.x.sizes[d] * all.x.strides[d] * std::int64_t(size_of(whole.dtype));
            number /= all.x.sizes[d];
            part.x.sizes[d] = part.y.sizes[of_y--] = 1;
          }
          part.x.data = x, part.y.data = y;
          reduce(part);
        });
        EXPECT_EQ(data.y().download(), together)
            << name(op) << " of " << whole.sizes[0] << " x " << whole.sizes[1] << "... from " << offset;
      }
}

TEST_F(ReduceBehaviour, EqualBitsEachTime) {
  for (const std::int64_t columns : {1000, 100000}) {
    ReduceData data(rows_of(ReduceOp::sum, DType::f32, 1, columns));
    reduce(data.arguments());
    const auto first = data.y().download();
    for (int again = 0; again < (short_list() ? 3 : 100); ++again) {
      data.reset();
      reduce(data.arguments());
      ASSERT_EQ(data.y().download(), first);
    }
  }
}

TEST_F(ReduceBehaviour, KeptDimensionsMayStayInTheOutput) {
  ReduceCase one = rows_of(ReduceOp::sum, DType::f32, 6, 50);
  one.y = dense({6, 1});
  ReduceData data(one);
  data.expect();
  reduce(data.arguments());
  data.check();
}

class BadReduceCall : public DeviceTest, public ::testing::WithParamInterface<BadReduce> {};

INSTANTIATE_TEST_SUITE_P(List, BadReduceCall, ::testing::ValuesIn(bad_reduces()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadReduceCall, LeavesAllMemoryUntouched) {
  OperandBuffer x(DType::f32, {4096}, {1}), y(DType::f32, {4096}, {1});
  x.fill(1), y.fill(2);
  ReduceArguments arguments = good_reduce(x.device(), y.device());
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { reduce(arguments); });
  x.expect_unchanged("x");
  y.expect_unchanged("y");
}

TEST_F(ReduceBehaviour, RunRefusesWhatThePlanWasNotPromised) {
  ReduceData data(rows_of(ReduceOp::sum, DType::f32, 1, 60000));
  const auto configs = reduce_candidates(data.problem(), device_info(0));
  const auto shared = std::find_if(configs.begin(), configs.end(), [](const std::string& c) {
    return c.find("_s") != c.npos && c.substr(c.size() - 3) != "_s1";
  });
  ASSERT_NE(shared, configs.end());
  const ReducePlan plan(data.problem(), 0, *shared);
  Workspace workspace(plan.workspace_bytes());
  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  void *x = data.x().device(), *y = data.y().device(), *w = workspace.device();
  expect_error(invalid, {"x ", "null"}, [&] { plan.run(nullptr, y, w); });
  expect_error(invalid, {"y ", "null"}, [&] { plan.run(x, nullptr, w); });
  expect_error(invalid, {"x ", "16"}, [&] { plan.run(moved(x, 4), y, w); });
  expect_error(invalid, {"y ", "overlap x"}, [&] { plan.run(x, moved(x, 64), w); });
  expect_error(invalid, {"workspace", "null"}, [&] { plan.run(x, y, nullptr); });
  expect_error(invalid, {"workspace", "256"}, [&] { plan.run(x, y, moved(w, 16)); });
  expect_error(invalid, {"config", "\"fast\""}, [&] { ReducePlan(data.problem(), 0, "fast"); });
  expect_error(invalid, {"device", "1000"}, [&] { ReducePlan(data.problem(), 1000); });
  data.x().expect_unchanged("x");
  data.y().expect_unchanged("y");
}

}  // namespace
}  // namespace ckl::test
