// Elementwise add against the oracle: every problem of the shared case list, by every config that can serve it.

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <vector>

#include "cases/add_cases.hpp"
#include "ckl/elementwise.hpp"
#include "device_test.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"

namespace ckl::test {
namespace {

/// The operands of one addition on the device, and what it has to give.
class AddData {
 public:
  explicit AddData(const AddCase& add) : case_(add), d_(buffer(add.d)) {
    if (add.where != AddCase::into_a) a_.emplace(add.dtype, add.a.sizes, add.a.strides, add.a.offset);
    if (add.where != AddCase::into_b) b_.emplace(add.dtype, add.b.sizes, add.b.strides, add.b.offset);
    a().fill(1);
    b().fill(2);
  }

  OperandBuffer& a() { return a_ ? *a_ : d_; }
  OperandBuffer& b() { return b_ ? *b_ : d_; }
  OperandBuffer& d() { return d_; }

  AddProblem problem() { return add_problem(a().tensor(), b().tensor(), d_.tensor()); }

  /// Computes the oracle's result from the images of the inputs; call it before the results are received.
  void expect() {
    const AddProblem problem = this->problem();
    expected_.resize(reference::element_count(problem));
    reference::add(problem, a().host(), b().host(), expected_.data());
  }

  void run(const AddPlan& plan) { plan.run(a().device(), b().device(), d_.device()); }

  void check() {
    d_.receive("D");
    if (a_) a_->expect_unchanged("A");
    if (b_) b_->expect_unchanged("B");
    const reference::Comparison comparison = reference::compare_add(problem(), d_.host(), expected_.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " of " << expected_.size()
                                     << " elements are wrong: " << comparison.first_wrong;
  }

  /// Puts D back to what it was before anything ran.
  void reset() {
    if (case_.where == AddCase::separate)
      d_.fill_with(std::nan(""));
    else
      d_.fill(case_.where == AddCase::into_a ? 1 : 2);
  }

 private:
  OperandBuffer buffer(const OperandLayout& layout) {
    return OperandBuffer(case_.dtype, layout.sizes, layout.strides, layout.offset);
  }

  AddCase case_;
  OperandBuffer d_;
  std::optional<OperandBuffer> a_, b_;
  std::vector<double> expected_;
};

class AddCases : public DeviceTest, public ::testing::WithParamInterface<AddCase> {};

INSTANTIATE_TEST_SUITE_P(List, AddCases, ::testing::ValuesIn(add_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(AddCases, MatchesTheReference) {
  AddData data(GetParam());
  data.expect();
  add(data.a().tensor(), data.b().tensor(), data.d().tensor());
  data.check();
}

// A slower config is right as well: the chooser's order decides about speed only.
TEST_P(AddCases, EveryConfigMatchesTheReference) {
  AddData data(GetParam());
  const AddProblem problem = data.problem();
  data.expect();
  const std::vector<std::string> configs = add_candidates(problem, device_info(0));
  EXPECT_EQ(configs.empty(), GetParam().elements() == 0);
  for (const std::string& config : configs) {
    SCOPED_TRACE(config);
    const AddPlan plan(problem, 0, config);
    EXPECT_EQ(plan.config(), config);
    data.reset();
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
    AddData data(vectors_and_tail(dtype));
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
        data.a().set({place}, x);
        data.b().set({place}, y);
      }
      ++at;
    }
    data.expect();
    data.run(AddPlan(data.problem()));
    data.check();
  }
}

TEST_F(AddBehaviour, APlanServesOtherPointers) {
  AddData first(vectors_and_tail(DType::bf16)), second(vectors_and_tail(DType::bf16));
  second.a().fill(5);
  const AddPlan plan(first.problem());
  first.expect();
  second.expect();
  first.run(plan);
  second.run(plan);
  first.check();
  second.check();
}

// X + X: both inputs are one tensor, and D may be the same once more.
TEST_F(AddBehaviour, TheInputsMayBeOneTensor) {
  OperandBuffer x(DType::f32, {1000}, {1});
  x.fill(1);
  const AddProblem problem = add_problem(x.tensor(), x.tensor(), x.tensor());
  std::vector<double> expected(1000);
  reference::add(problem, x.host(), x.host(), expected.data());
  add(x.tensor(), x.tensor(), x.tensor());
  x.receive("X");
  EXPECT_TRUE(reference::compare_add(problem, x.host(), expected.data()).passed());
}

// Negative strides: a view that runs backwards.
TEST_F(AddBehaviour, ViewsMayRunBackwards) {
  AddCase add;
  add.dtype = DType::f16;
  add.a = {{40, 50}, {-50, 1}, 0};
  add.b = {{40, 50}, {50, -1}, 0};
  add.d = {{40, 50}, {-64, -1}, 0};
  AddData data(add);
  data.expect();
  data.run(AddPlan(data.problem()));
  data.check();
}

}  // namespace
}  // namespace ckl::test
