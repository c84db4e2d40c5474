// Elementwise add against the oracle: every problem of the shared case list, by every config that can serve it.

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "cases/add_cases.hpp"
#include "ckl/elementwise.hpp"
#include "device_test.hpp"
#include "elementwise_data.hpp"

namespace ckl::test {
namespace {

/// The operands of one addition on the device.
ElementwiseData data_of(const AddCase& add) {
  const auto operand = [&](const OperandLayout& layout) {
    return ElementwiseData::Operand{add.dtype, layout.sizes, layout.strides, layout.offset};
  };
  // An input that is D itself has D's shape and place.
  ElementwiseData::Operand a = operand(add.a), b = operand(add.b), d = operand(add.d);
  if (add.where == AddCase::into_a) a = d, d.is = 0;
  if (add.where == AddCase::into_b) b = d, d.is = 1;
  return {ElementwiseOp::add, {a, b}, {d}};
}

class AddCases : public DeviceTest, public ::testing::WithParamInterface<AddCase> {};

INSTANTIATE_TEST_SUITE_P(List, AddCases, ::testing::ValuesIn(add_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(AddCases, MatchesTheReference) {
  ElementwiseData data = data_of(GetParam());
  data.call();
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(AddCases, EveryConfigMatchesTheReference) {
  ElementwiseData data = data_of(GetParam());
  const ElementwiseProblem problem = data.problem();
  const std::vector<std::string> configs = elementwise_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const ElementwisePlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.fill();
    data.run(plan);
    data.check();
  }
}

class AddBehaviour : public DeviceTest {};

AddCase vectors_and_tail(DType dtype) {
  AddCase add;
  add.dtype = dtype;
  add.a = add.b = add.d = dense({2051});
  return add;
}

TEST_F(AddBehaviour, NaNInfinityAndSignedZerosAreIEEEs) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    SCOPED_TRACE(name(dtype));
    ElementwiseData data = data_of(vectors_and_tail(dtype));
    const double largest = reference::format_of(dtype).max(), smallest = reference::ulp(reference::format_of(dtype), 0);
    const double pairs[][2] = {{nan, 1},
                               {1, nan},
                               {infinity, 1},
                               {infinity, -infinity},
                               {-infinity, 2},
                               {0.0, -0.0},
                               {-0.0, -0.0},
                               {1.5, -1.5},
                               {largest, largest},
                               {smallest, smallest},
                               {smallest, -smallest},
                               {largest, smallest}};
    std::int64_t at = 0;
    for (const auto& [x, y] : pairs) {
      // Once within the vectors, once in the tail that is done element by element.
      for (const std::int64_t place : {at, 2050 - at}) {
        data.in(0).set({place}, x);
        data.in(1).set({place}, y);
      }
      ++at;
    }
    data.run(ElementwisePlan(data.problem()));
    data.check();
  }
}

TEST_F(AddBehaviour, APlanServesOtherPointers) {
  ElementwiseData first = data_of(vectors_and_tail(DType::bf16)), second = data_of(vectors_and_tail(DType::bf16));
  second.fill(5);
  const ElementwisePlan plan(first.problem());
  first.run(plan);
  second.run(plan);
  first.check();
  second.check();
}

// X + X: both inputs are one tensor, and D may be the same once more.
TEST_F(AddBehaviour, TheInputsMayBeOneTensor) {
  OperandBuffer x(DType::f32, {1000}, {1});
  x.fill(1);
  const std::vector<std::byte> before = x.image();
  add(x.tensor(), x.tensor(), x.tensor());
  x.receive("X");
  const void* in[] = {before.data(), before.data()};
  const void* out = x.host();
  EXPECT_TRUE(reference::compare_elementwise(add_problem(x.tensor(), x.tensor(), x.tensor()), in, &out).passed());
}

// Negative strides: a view that runs backwards.
TEST_F(AddBehaviour, ViewsMayRunBackwards) {
  AddCase add;
  add.dtype = DType::f16;
  add.a = {{40, 50}, {-50, 1}, 0};
  add.b = {{40, 50}, {50, -1}, 0};
  add.d = {{40, 50}, {-64, -1}, 0};
  ElementwiseData data = data_of(add);
  data.run(ElementwisePlan(data.problem()));
  data.check();
}

}  // namespace
}  // namespace ckl::test
