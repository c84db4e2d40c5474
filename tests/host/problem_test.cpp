// What gemm_problem() and add_problem() make of tensors, and what they refuse. Addresses only: no memory is touched.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "cases/add_cases.hpp"
#include "cases/bad_add.hpp"
#include "cases/bad_gemm.hpp"
#include "cases/gemm_cases.hpp"
#include "ckl/ckl.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

/// Addresses far apart, aligned to 256 bytes. Nothing is ever read there.
void* address(int number) { return reinterpret_cast<void*>(std::uintptr_t(0x7000'0000'0000) + number * (1ull << 40)); }

GemmArguments good() { return good_gemm(address(1), address(2), address(3), address(4)); }

// ---- GEMM ----------------------------------------------------------------------------------------------

TEST(GemmProblems, DescribeTheTensors) {
  GemmArguments arguments = good();
  arguments.alpha = -2;
  arguments.b = Tensor::column_major(moved(address(2), 8), DType::bf16, 32, 48, 40);
  const GemmProblem problem = gemm_problem(arguments);
  EXPECT_EQ(problem.m, 64);
  EXPECT_EQ(problem.n, 48);
  EXPECT_EQ(problem.k, 32);
  EXPECT_EQ(problem.batch, 1);
  EXPECT_EQ(problem.alpha, -2);
  EXPECT_EQ(problem.beta, 1);
  EXPECT_EQ(problem.a, (GemmOperand{DType::bf16, 32, 1, 0, 16}));
  EXPECT_EQ(problem.b, (GemmOperand{DType::bf16, 1, 40, 0, 8}));
  EXPECT_EQ(problem.c, (GemmOperand{DType::bf16, 48, 1, 0, 16}));
  EXPECT_EQ(problem.d, (GemmOperand{DType::bf16, 48, 1, 0, 16}));
}

TEST(GemmProblems, AlignmentIsThePointers) {
  for (const int bytes : {2, 4, 8, 16}) {
    GemmArguments arguments = good();
    arguments.a.data = moved(address(1), bytes);
    EXPECT_EQ(gemm_problem(arguments).a.alignment, bytes);
  }
}

TEST(GemmProblems, PrintEverythingThatMatters) {
  const std::string text = gemm_problem(good()).to_string();
  for (const char* word : {"gemm", "m=64", "n=48", "k=32", "bf16*bf16->bf16", "tn"})
    EXPECT_NE(text.find(word), std::string::npos) << word << " in " << text;
}

TEST(GemmProblems, AreEqualWhenEveryFieldIs) {
  const GemmProblem problem = gemm_problem(good());
  EXPECT_TRUE(problem == gemm_problem(good()));
  const std::function<void(GemmProblem&)> changes[] = {
      [](auto& p) { ++p.m; },
      [](auto& p) { ++p.n; },
      [](auto& p) { ++p.k; },
      [](auto& p) { ++p.batch; },
      [](auto& p) { p.alpha = 2; },
      [](auto& p) { p.beta = 2; },
      [](auto& p) { p.batch_invariant = true; },
      [](auto& p) { p.a.dtype = DType::f16; },
      [](auto& p) { ++p.b.row_stride; },
      [](auto& p) { ++p.c.column_stride; },
      [](auto& p) { p.d.alignment = 8; },
      [](auto& p) { ++p.a.batch_stride; },
      [](auto& p) { p.epilogue.activation = Activation::relu; },
      [](auto& p) { p.epilogue.gated = true; },
      [](auto& p) { p.epilogue.a_scale.used = true; },
      [](auto& p) { p.epilogue.b_scale.used = true; },
      [](auto& p) { p.epilogue.d_scale.used = true; },
      [](auto& p) { p.epilogue.row_bias.used = true; },
      [](auto& p) { p.epilogue.column_bias.used = true; },
      [](auto& p) { p.epilogue.has_residual = true; },
      [](auto& p) { p.epilogue.has_aux = true; },
  };
  for (const auto& change : changes) {
    GemmProblem changed = problem;
    change(changed);
    EXPECT_FALSE(changed == problem) << &change - changes;
  }
}

// Without C, what the caller left in its place says nothing.
TEST(GemmProblems, DoNotLookAtCWhenBetaIsZero) {
  GemmArguments arguments = good();
  arguments.beta = 0;
  const GemmProblem without = gemm_problem(arguments);
  arguments.c = Tensor::contiguous(moved(address(4), 2), DType::i64, {1, 2, 3});
  EXPECT_TRUE(gemm_problem(arguments) == without);
}

TEST(GemmProblems, AcceptCThatIsExactlyD) {
  GemmArguments arguments = good();
  arguments.c = arguments.d;
  EXPECT_NO_THROW(gemm_problem(arguments));
}

TEST(GemmEpilogues, DescribeTheTensors) {
  GemmArguments arguments = good();
  GemmEpilogueTensors& e = arguments.epilogue;
  e.activation = Activation::gelu_tanh;
  e.column_bias = Tensor::strided(address(5), DType::bf16, {48}, {3});
  e.a_scale = Tensor::contiguous(address(6), DType::f32, {});
  e.residual = arguments.d;
  e.aux = Tensor::row_major(address(7), DType::f32, 64, 48);
  const GemmEpilogue epilogue = gemm_problem(arguments).epilogue;
  EXPECT_EQ(epilogue.activation, Activation::gelu_tanh);
  EXPECT_EQ(epilogue.column_bias, (GemmVector{true, DType::bf16, 3}));
  EXPECT_EQ(epilogue.a_scale, (GemmVector{true, DType::f32, 0}));
  EXPECT_FALSE(epilogue.row_bias.used);
  EXPECT_TRUE(epilogue.has_residual);
  EXPECT_EQ(epilogue.aux, (GemmOperand{DType::f32, 48, 1, 0, 16}));
  EXPECT_EQ(epilogue.to_string(), "a_scale:f32:0+column_bias:bf16:3+aux:f32:48:1+gelu_tanh+residual:bf16:48:1");
  EXPECT_NE(gemm_problem(arguments).to_string().find("epilogue=" + epilogue.to_string()), std::string::npos);
}

TEST(GemmEpilogues, GatedProductsHaveTwiceTheColumnsOfD) {
  GemmArguments arguments = good();
  arguments.beta = 0;
  arguments.epilogue.gated = true;
  arguments.d = Tensor::row_major(address(4), DType::bf16, 64, 24);
  const GemmProblem problem = gemm_problem(arguments);
  EXPECT_EQ(problem.n, 48);
  EXPECT_EQ(problem.d_columns(), 24);
}

// What is not used says nothing, so that problems which compute the same are equal.
TEST(GemmEpilogues, DoNotLookAtWhatIsNotUsed) {
  GemmEpilogue epilogue;
  epilogue.row_bias = {false, DType::i8, 7};
  epilogue.residual.row_stride = 5;
  EXPECT_TRUE(epilogue.empty());
  EXPECT_EQ(epilogue.to_string(), "");
}

// Without a product the epilogue is left, and the GEMM kernel computes it; without both, C is only scaled.
TEST(GemmEpilogues, NeedAKernelEvenWithoutAProduct) {
  const DeviceInfo h100{0, "NVIDIA H100", 9, 0, 132, 50 << 20, 232448, std::size_t(80) << 30, 66, 32, 16};
  GemmProblem problem = gemm_problem(good());
  problem.alpha = 0;
  EXPECT_TRUE(gemm_candidates(problem, h100).empty());
  problem.epilogue.activation = Activation::silu;
  EXPECT_FALSE(gemm_candidates(problem, h100).empty());
}

// ---- Modules with an epilogue of the user's own -----------------------------------------------------------

TEST(GemmModules, AreCheckedBeforeTheyAreUsed) {
  const DeviceInfo h100{0, "NVIDIA H100", 9, 0, 132, 50 << 20, 232448, std::size_t(80) << 30, 66, 32, 16};
  const GemmModuleEntry entries[] = {{"ckl_gemm_bf16_tn_64x64x64_1x1_s12_ping", "bf16_tn_64x64x64_1x1_s12_ping"}};
  const GemmModule good_module{"mine", nullptr, entries, 1, 8, 0, 0, gemm_module_version};
  const GemmProblem problem = gemm_problem(good());
  EXPECT_EQ(gemm_candidates(problem, good_module, h100), std::vector<std::string>{entries[0].config});

  GemmModule module = good_module;
  module.version = gemm_module_version + 1;
  expect_error(ErrorCode::invalid_argument, {"mine", "version", "compile it again"},
               [&] { gemm_candidates(problem, module, h100); });
  expect_error(ErrorCode::invalid_argument, {"mine", "version"}, [&] { GemmModulePlan plan(problem, module); });
  module = good_module;
  module.params_bytes = 257;
  expect_error(ErrorCode::invalid_argument, {"mine", "at most 256 bytes", "257"},
               [&] { gemm_candidates(problem, module, h100); });
  const GemmModuleEntry nonsense[] = {{"x", "fast"}};
  module = good_module;
  module.entries = nonsense;
  expect_error(ErrorCode::invalid_argument, {"mine", "entry 0", "fast"},
               [&] { gemm_candidates(problem, module, h100); });
  for (const char* config : {"bf16_tn_64x64x64_1x1_s12_ping_swap", "bf16_tn_128x128x64_1x1x2_s5_coopm"}) {
    const GemmModuleEntry of_linear_kernels[] = {
        {"x", config}};  // a functor would be told other rows and columns, or shares
    module.entries = of_linear_kernels;
    expect_error(ErrorCode::invalid_argument, {"mine", "entry 0", "neither swapped", config},
                 [&] { gemm_candidates(problem, module, h100); });
  }
  GemmProblem with_epilogue = problem;
  with_epilogue.epilogue.activation = Activation::relu;
  expect_error(ErrorCode::invalid_argument, {"epilogue", "empty", "relu"},
               [&] { gemm_candidates(with_epilogue, good_module, h100); });
}

TEST(ElementwiseModules, AreCheckedBeforeTheyAreUsed) {
  const Tensor x = Tensor::contiguous(address(0), DType::bf16, {40, 48}),
               y = Tensor::contiguous(address(1), DType::f32, {40, 48});
  const ElementwiseProblem problem = elementwise_problem({ElementwiseOp::custom, {x, x}, {y}, {}});
  EXPECT_EQ(problem.to_string(), "custom (40, 48) bf16, bf16 -> f32");
  ModuleEntry entries[] = {{"ckl_elementwise_n2_f32_v1_strided", "n2_f32_v1_strided"},
                           {"ckl_elementwise_n2_f32_v8_flat", "n2_f32_v8_flat"},
                           {"ckl_elementwise_n2_f32_v4_flat", "n2_f32_v4_flat"}};
  const Module good_module{"mine", nullptr, entries, 3, 8, 2, 1, elementwise_module_version};
  EXPECT_EQ(elementwise_candidates(problem, good_module),
            (std::vector<std::string>{"n2_f32_v4_flat", "n2_f32_v1_strided"}));  // an f32 has no room in vectors of 8
  ElementwiseProblem huge = problem;  // as many vectors as 32 bits cannot count
  huge.rank = 1, huge.sizes = {std::int64_t(4) << 32};
  huge.in[0].strides = huge.in[1].strides = huge.out[0].strides = {1};
  EXPECT_EQ(elementwise_candidates(huge, good_module), (std::vector<std::string>{"n2_f32_v1_strided"}));
  huge.sizes[0] -= 4;
  EXPECT_EQ(elementwise_candidates(huge, good_module).front(), "n2_f32_v4_flat");

  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  expect_error(invalid, {"op ", "custom", "ElementwiseModulePlan"},
               [&] { elementwise_candidates(problem, DeviceInfo()); });
  expect_error(invalid, {"op ", "custom", "add"}, [&] {
    elementwise_candidates(elementwise_problem({ElementwiseOp::add, {x, x}, {y}, {}}), good_module);
  });
  expect_error(invalid, {"in ", "4", "custom", "5"}, [&] {
    elementwise_problem({ElementwiseOp::custom, {x, x, x, x, x}, {y}, {}});
  });
  expect_error(invalid, {"in ", "1", "custom", "0"}, [&] {
    elementwise_problem({ElementwiseOp::custom, {}, {y}, {}});
  });
  Module module = good_module;
  module.version = 0;
  expect_error(invalid, {"mine", "version"}, [&] { elementwise_candidates(problem, module); });
  module = good_module, module.params_bytes = 257;
  expect_error(invalid, {"mine", "256", "257"}, [&] { elementwise_candidates(problem, module); });
  module = good_module, module.inputs = 1;
  expect_error(invalid, {"in ", "mine", "1", "2"}, [&] { elementwise_candidates(problem, module); });
  module = good_module, module.outputs = 2;
  expect_error(invalid, {"out ", "mine", "2", "1"}, [&] { elementwise_candidates(problem, module); });
  entries[0].config = "n2_i64_v4_flat";
  expect_error(invalid, {"mine", "entry 0", "n2_i64_v4_flat"}, [&] { elementwise_candidates(problem, good_module); });
  for (ModuleEntry& entry : entries) entry.config = "n1_f32_v4_flat";
  expect_error(ErrorCode::unsupported, {"mine", "none of its 3"},
               [&] { elementwise_candidates(problem, good_module); });
}

// Views of one allocation that lie between each other without meeting: interleaved rows, and halves of each row.
TEST(GemmProblems, AcceptInterleavedTensors) {
  GemmArguments arguments = good();
  arguments.beta = 0;
  arguments.d = Tensor::row_major(address(1), DType::bf16, 64, 48, 128);
  arguments.a = Tensor::row_major(moved(address(1), 48 * 2), DType::bf16, 64, 32, 128);
  EXPECT_NO_THROW(gemm_problem(arguments));
  // D in the even elements, A in the odd ones.
  arguments.d = Tensor::strided(address(1), DType::bf16, {64, 48}, {96, 2});
  arguments.a = Tensor::strided(moved(address(1), 2), DType::bf16, {64, 32}, {96, 2});
  EXPECT_NO_THROW(gemm_problem(arguments));
  arguments.a.data = moved(address(1), 4);
  expect_error(ErrorCode::invalid_argument, {"d ", "overlap a"}, [&] { gemm_problem(arguments); });
}

// An empty tensor has no address, in PyTorch for one.
TEST(GemmProblems, AcceptNullWhereThereIsNothing) {
  GemmArguments no_rows = good();
  no_rows.a = Tensor::row_major(nullptr, DType::bf16, 0, 32);
  no_rows.c = no_rows.d = Tensor::row_major(nullptr, DType::bf16, 0, 48);
  EXPECT_NO_THROW(gemm_problem(no_rows));

  GemmArguments no_sum = good();
  no_sum.a = Tensor::row_major(nullptr, DType::bf16, 64, 0);
  no_sum.b = Tensor::row_major(nullptr, DType::bf16, 0, 48);
  EXPECT_NO_THROW(gemm_problem(no_sum));
}

TEST(GemmProblems, AcceptEveryCaseOfTheDeviceTests) {
  const DeviceInfo h100{0, "NVIDIA H100", 9, 0, 132, 50 << 20, 232448, std::size_t(80) << 30, 66, 32, 16};
  for (const bool short_list : {false, true})
    for (const GemmCase& gemm : gemm_cases(short_list)) {
      SCOPED_TRACE(::testing::PrintToString(gemm));
      const bool product = gemm.m && gemm.n && gemm.k && gemm.alpha != 0;
      EXPECT_EQ(gemm_candidates(problem_of(gemm), h100).empty(), !product);
    }
}

class BadGemms : public ::testing::TestWithParam<BadGemm> {};

INSTANTIATE_TEST_SUITE_P(List, BadGemms, ::testing::ValuesIn(bad_gemms()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadGemms, AreRefused) {
  GemmArguments arguments = good();
  ASSERT_NO_THROW(gemm_problem(arguments));
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { gemm_problem(arguments); });
  // The call itself says the same: whatever the device, the arguments are looked at first.
  expect_error(GetParam().code, GetParam().words, [&] { gemm(arguments); });
}

class BadGemmProblems : public ::testing::TestWithParam<BadProblem> {};

INSTANTIATE_TEST_SUITE_P(List, BadGemmProblems, ::testing::ValuesIn(bad_gemm_problems()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadGemmProblems, AreRefused) {
  GemmProblem problem = gemm_problem(good());
  GetParam().spoil(problem);
  expect_error(GetParam().code, GetParam().words, [&] { GemmPlan plan(problem); });
  expect_error(GetParam().code, GetParam().words, [&] { gemm_candidates(problem, DeviceInfo()); });
}

// ---- add -----------------------------------------------------------------------------------------------

AddArguments good_addition() { return good_add(address(1), address(2), address(3)); }

ElementwiseProblem problem_of(const AddArguments& arguments) {
  return add_problem(arguments.a, arguments.b, arguments.d);
}

TEST(AddProblems, DescribeTheTensorsBroadcast) {
  AddArguments arguments = good_addition();
  arguments.b.data = moved(arguments.b.data, 4);
  const ElementwiseProblem problem = problem_of(arguments);
  EXPECT_EQ(problem.rank, 2);
  EXPECT_EQ(problem.sizes, (std::array<std::int64_t, max_rank>{40, 48}));
  EXPECT_EQ(problem.in[0], (TensorOperand{DType::f32, {48, 1}, 16}));
  EXPECT_EQ(problem.in[1], (TensorOperand{DType::f32, {0, 1}, 4}));
  EXPECT_EQ(problem.out[0], (TensorOperand{DType::f32, {48, 1}, 16}));
  EXPECT_EQ(problem.to_string(), "add (40, 48) f32, f32 -> f32");
}

// A size of 1 repeats the tensor, whatever stride that dimension has.
TEST(AddProblems, RepeatDimensionsOfSizeOne) {
  AddArguments arguments = good_addition();
  arguments.a = Tensor::strided(address(1), DType::f32, {40, 1}, {3, 7});
  arguments.b = Tensor::strided(address(2), DType::f32, {1, 48}, {100, 2});
  const ElementwiseProblem problem = problem_of(arguments);
  EXPECT_EQ(problem.in[0], (TensorOperand{DType::f32, {3, 0}, 16}));
  EXPECT_EQ(problem.in[1], (TensorOperand{DType::f32, {0, 2}, 16}));
}

TEST(AddProblems, AreEqualWhenEveryFieldIs) {
  const ElementwiseProblem problem = problem_of(good_addition());
  EXPECT_TRUE(problem == problem_of(good_addition()));
  const std::function<void(ElementwiseProblem&)> changes[] = {[](auto& p) { p.rank = 1; },
                                                              [](auto& p) { ++p.sizes[1]; },
                                                              [](auto& p) { ++p.in[0].strides[0]; },
                                                              [](auto& p) { p.in[1].alignment = 1; },
                                                              [](auto& p) { p.out[0].dtype = DType::f16; },
                                                              [](auto& p) { p.op = ElementwiseOp::sub; },
                                                              [](auto& p) { p.scalars[0] = 1; }};
  for (const auto& change : changes) {
    ElementwiseProblem changed = problem;
    change(changed);
    EXPECT_FALSE(changed == problem) << &change - changes;
  }
}

TEST(AddProblems, AcceptInPlaceAndInterleaved) {
  AddArguments arguments = good_addition();
  arguments.d = arguments.a;
  EXPECT_NO_THROW(problem_of(arguments));
  arguments.a = Tensor::strided(address(1), DType::f32, {40, 48}, {96, 2});
  arguments.d = Tensor::strided(moved(address(1), 4), DType::f32, {40, 48}, {96, 2});
  EXPECT_NO_THROW(problem_of(arguments));
}

TEST(AddProblems, AcceptNullWhereThereIsNothing) {
  EXPECT_NO_THROW(add_problem(Tensor::contiguous(nullptr, DType::f32, {0, 50}),
                              Tensor::contiguous(nullptr, DType::f32, {50}),
                              Tensor::contiguous(nullptr, DType::f32, {0, 50})));
}

class BadAdds : public ::testing::TestWithParam<BadAdd> {};

INSTANTIATE_TEST_SUITE_P(List, BadAdds, ::testing::ValuesIn(bad_adds()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadAdds, AreRefused) {
  AddArguments arguments = good_addition();
  ASSERT_NO_THROW(problem_of(arguments));
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { problem_of(arguments); });
  expect_error(GetParam().code, GetParam().words, [&] { add(arguments.a, arguments.b, arguments.d); });
}

}  // namespace
}  // namespace ckl::test
