// Every elementwise function against the oracle, on all dtypes, by every config that can serve it. How operands may lie in memory is
// add_test.cpp's subject: addressing knows no functions.

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ckl/elementwise.hpp"
#include "device_test.hpp"
#include "elementwise_data.hpp"
#include "expect_error.hpp"
#include "reference/numeric.hpp"

namespace ckl::test {
namespace {

using Operand = ElementwiseData::Operand;

const std::vector<DType> all_dtypes = {DType::f32,  DType::f16, DType::bf16, DType::e4m3,
                                       DType::e5m2, DType::i64, DType::i32,  DType::b8};

std::vector<double> scalars_of(ElementwiseOp op) {
  if (op == ElementwiseOp::clamp) return {-0.75, 1.5};
  return std::vector<double>(std::size_t(describe(op).scalars), -1.25);
}

Operand row(DType dtype, std::int64_t count, std::int64_t stride = 1) { return {dtype, {count}, {stride}}; }

/// All inputs of one type, all outputs of another, in dense rows with a tail after the vectors, or with every second element.
ElementwiseData row_of(ElementwiseOp op, DType in, DType out, std::int64_t count, std::int64_t stride = 1) {
  const ElementwiseOpInfo info = describe(op);
  return {op, std::vector<Operand>(std::size_t(info.inputs), row(in, count, stride)),
          std::vector<Operand>(std::size_t(info.outputs), row(out, count, stride)), scalars_of(op)};
}

bool defined(ElementwiseOp op, DType in, DType out) {
  const bool integers = (describe(op).inputs == 0 || reference::is_integer(in)) && reference::is_integer(out);
  return describe(op).integers || !integers;
}

/// Runs the data by every config that can serve it, and notes those.
void check_every_config(ElementwiseData& data, std::set<std::string>& used) {
  const ElementwiseProblem problem = data.problem();
  for (const std::string& config : elementwise_candidates(problem, device_info(0))) {
    SCOPED_TRACE(problem.to_string() + " by " + config);
    used.insert(config);
    data.fill();
    data.run(ElementwisePlan(problem, 0, config));
    data.check();
  }
}

class ElementwiseOps : public DeviceTest, public ::testing::WithParamInterface<int> {
 protected:
  ElementwiseOp op() const { return ElementwiseOp(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(List, ElementwiseOps, ::testing::Range(0, elementwise_op_count),
                         [](const auto& parameter) { return std::string(name(ElementwiseOp(parameter.param))); });

// Each dtype as input and as output, each with itself and with the one after it, so that narrow and wide ones meet.
TEST_P(ElementwiseOps, TakeEveryDtype) {
  std::set<std::string> used;
  const std::int64_t count = short_list() ? 8229 : 70003;  // a block of whole vectors at least, and elements left over
  for (std::size_t i = 0; i < all_dtypes.size(); ++i)
    for (const std::size_t step : {0, 1, 4}) {
      const DType in = all_dtypes[i], out = all_dtypes[(i + step) % all_dtypes.size()];
      if (!defined(op(), in, out)) continue;
      ElementwiseData dense = row_of(op(), in, out, count);
      check_every_config(dense, used);
      ElementwiseData strided = row_of(op(), in, out, 300, 2);
      check_every_config(strided, used);
    }
  EXPECT_GE(used.size(), 6u) << "the dtypes should have reached most kernels of the op's group";
}

// Where f32 begins and ends, and what is no number.
TEST_P(ElementwiseOps, SpecialValuesAreTheOracles) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = {nan, infinity, -infinity, 0.0, -0.0, 1, -1, 88, -88, 104, 1e-3};
  // Products of these leave the range of f32 within the functions whose accuracy is stated for results that do not.
  if (op() != ElementwiseOp::swiglu && op() != ElementwiseOp::swiglu_backward && op() != ElementwiseOp::rotate)
    values.insert(values.end(), {0x1p-149, -0x1p-126, 3.4e38, -3.4e38});
  for (const DType dtype : {DType::f32, DType::f16, DType::e4m3}) {
    SCOPED_TRACE(name(dtype));
    const ElementwiseOpInfo info = describe(op());
    ElementwiseData data = row_of(op(), dtype, dtype, std::int64_t(values.size() * values.size()));
    for (std::size_t at = 0; at < values.size() * values.size(); ++at)
      for (int i = 0; i < info.inputs; ++i)
        data.in(std::size_t(i)).set({std::int64_t(at)}, values[(i % 2 ? at / values.size() : at) % values.size()]);
    data.call();
    data.check();
  }
}

TEST_P(ElementwiseOps, MayReplaceTheirFirstInput) {
  const ElementwiseOpInfo info = describe(op());
  if (info.inputs == 0) GTEST_SKIP() << "has no input";
  std::vector<Operand> in(std::size_t(info.inputs), row(DType::f16, 1037)),
      out(std::size_t(info.outputs), row(DType::f16, 1037));
  out[0].is = 0;
  ElementwiseData in_place(op(), in, out, scalars_of(op()));
  in_place.call();
  in_place.check();
}

class Elementwise : public DeviceTest {};

// All dtypes at once: a condition in b8, a small integer, and a broadcast column of f16.
TEST_F(Elementwise, MixesDtypesAndBroadcasts) {
  std::set<std::string> used;
  for (const std::int64_t columns : {64, 65}) {
    ElementwiseData data(
        ElementwiseOp::where,
        {{DType::b8, {40, columns}, {columns, 1}}, {DType::f16, {40, 1}, {1, 1}}, {DType::i32, {columns}, {1}}},
        {{DType::e5m2, {40, columns}, {columns, 1}}});
    check_every_config(data, used);
  }
  EXPECT_TRUE(used.count("n4_f32_v4_rows")) << "64 columns are whole vectors of 4 elements";
}

TEST_F(Elementwise, TwoOutputsMayLieInOtherOrders) {
  std::set<std::string> used;
  const Operand dense{DType::bf16, {33, 48}, {48, 1}}, transposed{DType::f32, {33, 48}, {1, 33}};
  ElementwiseData data(ElementwiseOp::rotate, {dense, dense, transposed, dense}, {dense, transposed});
  check_every_config(data, used);
}

/// A function of an input that lies in another order of dimensions than the output. `order` names the input's dimensions as they lie in memory,
/// outermost first, with `pad` elements between its rows; offsets spoil the alignment.
struct Turned {
  std::string why;
  Dimensions sizes;
  std::vector<int> order;
  std::int64_t in_pad = 0, out_pad = 0, in_offset = 0, out_offset = 0;
};

Operand laid_out(DType dtype, const Dimensions& sizes, const std::vector<int>& order, std::int64_t pad,
                 std::int64_t offset) {
  Operand x{dtype, sizes, Dimensions(sizes.size()), offset};
  std::int64_t step = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    x.strides[std::size_t(order[i])] = step;
    step *= sizes[std::size_t(order[i])] + (i + 1 == order.size() ? pad : 0);
  }
  return x;
}

TEST_F(Elementwise, TurnedInputs) {
  const std::vector<Turned> cases = {
      {"whole tiles of every element size", {256, 256}, {1, 0}},
      {"whole tiles that are narrow where elements have 16 bits", {64, 512}, {1, 0}},
      {"tiles that are whole along one dimension only", {64, 152}, {1, 0}},
      {"partial tiles and partial vectors in both dimensions", {131, 77}, {1, 0}},
      {"rows with gaps that keep the alignment", {48, 144}, {1, 0}, 16, 32},
      {"rows with gaps that do not", {48, 144}, {1, 0}, 3, 5},
      {"pointers between vectors", {64, 144}, {1, 0}, 0, 0, 1, 3},
      {"channels last to channels first", {3, 40, 6, 5}, {0, 2, 3, 1}},
      {"five dimensions, of which none continues its neighbour", {3, 20, 2, 17, 4}, {4, 2, 0, 3, 1}},
      {"a dimension too short to fill tiles", {300, 3}, {1, 0}},
      {"a batch of matrices", {5, 40, 33}, {0, 2, 1}},
      {"short rows that follow each other, of which a tile takes several", {32, 8, 256}, {2, 1, 0}},
      {"the same, partial tiles", {16, 5, 77}, {2, 1, 0}},
      {"the same in a batch, so few that a tile is narrow", {2, 8, 3, 48}, {0, 3, 2, 1}},
      {"the same where the output has gaps", {16, 9, 40}, {2, 1, 0}, 0, 8},
  };
  std::set<std::string> used;
  for (const Turned& turned : cases)
    for (const auto& [in, out] : {std::pair(DType::f32, DType::f32),
                                  {DType::bf16, DType::bf16},
                                  {DType::e4m3, DType::e4m3},
                                  {DType::i64, DType::i64},
                                  {DType::i32, DType::i32},
                                  {DType::bf16, DType::f32},
                                  {DType::f32, DType::e5m2},
                                  {DType::f16, DType::i64},
                                  {DType::bf16, DType::e4m3},
                                  {DType::e5m2, DType::f16},
                                  {DType::i32, DType::b8}})
      for (const ElementwiseOp op : {ElementwiseOp::neg, ElementwiseOp::cast}) {
        SCOPED_TRACE(turned.why);
        std::vector<int> straight(turned.sizes.size());
        std::iota(straight.begin(), straight.end(), 0);
        ElementwiseData data(op, {laid_out(in, turned.sizes, turned.order, turned.in_pad, turned.in_offset)},
                             {laid_out(out, turned.sizes, straight, turned.out_pad, turned.out_offset)});
        check_every_config(data, used);
      }
  for (const char* config : {"n1_f32_v16_tiles", "n1_f32_v8_tiles", "n1_f32_v4_tiles", "n1_f32_v2_tiles",
                             "n1_i64_v4_tiles", "n1_i64_v2_tiles"})
    EXPECT_TRUE(used.count(config)) << config;
}

// Integers wrap in 64 bits; an i32 keeps the low half, and values beyond 2^53, which double could not tell apart, are exact.
TEST_F(Elementwise, IntegersWrap) {
  const std::vector<std::int64_t> values = {0,
                                            1,
                                            -1,
                                            7,
                                            std::int64_t(1) << 31,
                                            -(std::int64_t(1) << 31),
                                            (std::int64_t(1) << 53) + 1,
                                            std::numeric_limits<std::int64_t>::max(),
                                            std::numeric_limits<std::int64_t>::min()};
  const std::size_t count = values.size();
  for (int i = 0; i < elementwise_op_count; ++i) {
    const ElementwiseOpInfo info = describe(ElementwiseOp(i));
    if (!info.integers || info.inputs == 0) continue;
    SCOPED_TRACE(info.name);
    for (const DType out : {DType::i64, DType::i32, DType::b8}) {
      ElementwiseData data = row_of(ElementwiseOp(i), DType::i64, out, std::int64_t(count * count));
      for (int input = 0; input < info.inputs; ++input) {
        OperandBuffer& x = data.in(std::size_t(input));
        for (std::size_t at = 0; at < count * count; ++at)
          std::memcpy(x.host() + 8 * at, &values[(input % 2 ? at / count : at) % count], 8);
        x.upload();
      }
      data.call();
      data.check();
    }
  }
}

// The named calls are elementwise() with the op of that name.
TEST_F(Elementwise, NamedCalls) {
  const auto check = [](ElementwiseOp op, const auto& call) {
    SCOPED_TRACE(name(op));
    ElementwiseData data = row_of(op, DType::f32, DType::f32, 37);
    data.remember();
    call(data);
    data.check();
  };
  check(ElementwiseOp::add, [](auto& x) { add(x.in(0).tensor(), x.in(1).tensor(), x.out().tensor()); });
  check(ElementwiseOp::sub, [](auto& x) { sub(x.in(0).tensor(), x.in(1).tensor(), x.out().tensor()); });
  check(ElementwiseOp::mul, [](auto& x) { mul(x.in(0).tensor(), x.in(1).tensor(), x.out().tensor()); });
  check(ElementwiseOp::div, [](auto& x) { div(x.in(0).tensor(), x.in(1).tensor(), x.out().tensor()); });
  check(ElementwiseOp::fma,
        [](auto& x) { fma(x.in(0).tensor(), x.in(1).tensor(), x.in(2).tensor(), x.out().tensor()); });
  check(ElementwiseOp::where,
        [](auto& x) { where(x.in(0).tensor(), x.in(1).tensor(), x.in(2).tensor(), x.out().tensor()); });
  check(ElementwiseOp::cast, [](auto& x) { cast(x.in(0).tensor(), x.out().tensor()); });
  check(ElementwiseOp::cast, [](auto& x) { copy(x.in(0).tensor(), x.out().tensor()); });
  check(ElementwiseOp::scale, [](auto& x) { scale(x.in(0).tensor(), -1.25, x.out().tensor()); });
  check(ElementwiseOp::swiglu, [](auto& x) { swiglu(x.in(0).tensor(), x.in(1).tensor(), x.out().tensor()); });
}

// Dimension i of the result is dimension order[i] of x.
TEST_F(Elementwise, Permute) {
  OperandBuffer x(DType::f16, {3, 20, 40}, {800, 40, 1}), y(DType::f16, {40, 3, 20}, {60, 20, 1});
  x.fill(1);
  permute(x.tensor(), {2, 0, 1}, y.tensor());
  y.receive("y");
  const reference::Numeric f16(DType::f16);
  for (std::int64_t i = 0; i < 40; ++i)
    for (std::int64_t j = 0; j < 3; ++j)
      for (std::int64_t k = 0; k < 20; ++k)
        ASSERT_EQ(f16.read(y.host(), i * 60 + j * 20 + k), f16.read(x.host(), j * 800 + k * 40 + i))
            << i << ' ' << j << ' ' << k;

  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  expect_error(invalid, {"order", "3", "2"}, [&] { permute(x.tensor(), {0, 1}, y.tensor()); });
  expect_error(invalid, {"order[0]", "0"}, [&] { permute(x.tensor(), {0, 0, 1}, y.tensor()); });
  expect_error(invalid, {"order[2]", "3"}, [&] { permute(x.tensor(), {0, 1, 3}, y.tensor()); });
  expect_error(invalid, {"in[0].sizes[0]", "40", "3"}, [&] { permute(x.tensor(), {0, 1, 2}, y.tensor()); });
  OperandBuffer z(DType::f32, {3, 20, 40}, {800, 40, 1});
  expect_error(invalid, {"y.dtype", "f16", "f32"}, [&] { copy(x.tensor(), z.tensor()); });
}

}  // namespace
}  // namespace ckl::test
