// What norm_problem() makes of tensors and what it refuses, and which kernels it takes. Addresses only: no memory is touched.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>

#include "cases/bad_norm.hpp"
#include "ckl/norm.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

/// Addresses far apart, aligned to 256 bytes. Nothing is ever read there.
void* address(int number) { return reinterpret_cast<void*>(std::uintptr_t(0x7000'0000'0000) + number * (1ull << 40)); }

NormArguments good() { return good_norm(address); }

TEST(NormProblems, DescribeTheTensors) {
  NormArguments arguments = good();
  arguments.x.data = moved(address(0), 8);
  arguments.weight.strides[0] = 3;
  const NormProblem p = norm_problem(arguments);
  EXPECT_EQ(p.kind, NormKind::layer);
  EXPECT_EQ(p.rank, 2);
  EXPECT_EQ(p.x, (TensorOperand{DType::f32, {48, 1}, 8}));
  EXPECT_EQ(p.y, (TensorOperand{DType::f32, {48, 1}, 16}));
  EXPECT_EQ(p.weight, (TensorOperand{DType::f32, {0, 3}, 16}));
  EXPECT_EQ(p.bias, (TensorOperand{DType::f32, {0, 1}, 16}));
  EXPECT_TRUE(p.has_weight && p.has_bias && p.has_residual && p.has_sum && p.has_mean && p.has_rstd);
  for (const char* word : {"layernorm", "(40, 48)", "f32", "weight", "bias", "residual", "sum", "mean", "rstd"})
    EXPECT_NE(p.to_string().find(word), std::string::npos) << word << " in " << p.to_string();
}

TEST(NormProblems, TensorsMayBeAbsent) {
  const NormProblem p = norm_problem({NormKind::rms, good().x, good().y});
  EXPECT_FALSE(p.has_weight || p.has_bias || p.has_residual || p.has_sum || p.has_mean || p.has_rstd);
  EXPECT_EQ(p.to_string(), "rmsnorm (40, 48) f32");
}

TEST(NormProblems, QuantizedResultsHaveAScale) {
  NormArguments arguments{NormKind::rms, good().x, good().y};
  arguments.y.dtype = DType::e5m2;
  arguments.scale = good().mean;
  const NormProblem p = norm_problem(arguments);
  EXPECT_TRUE(p.has_scale);
  EXPECT_EQ(p.to_string(), "rmsnorm (40, 48) f32->e5m2 scale");
}

TEST(NormProblems, AreEqualWhenEveryFieldIs) {
  const NormProblem problem = norm_problem(good());
  EXPECT_TRUE(problem == norm_problem(good()));
  const std::function<void(NormProblem&)> changes[] = {
      [](auto& p) { p.kind = NormKind::rms; },
      [](auto& p) { ++p.rank; },
      [](auto& p) { ++p.sizes[1]; },
      [](auto& p) { p.x.alignment = 4; },
      [](auto& p) { ++p.y.strides[0]; },
      [](auto& p) { p.has_weight = false; },
      [](auto& p) { p.has_bias = false; },
      [](auto& p) { p.has_residual = false; },
      [](auto& p) { p.has_sum = false; },
      [](auto& p) { p.has_mean = false; },
      [](auto& p) { p.has_rstd = false; },
      [](auto& p) { p.has_scale = true; },
      [](auto& p) { p.weight.dtype = DType::f16; },
      [](auto& p) { p.bias.alignment = 2; },
      [](auto& p) { ++p.residual.strides[1]; },
      [](auto& p) { p.sum.dtype = DType::bf16; },
      [](auto& p) { p.epsilon = 0; },
  };
  for (const auto& change : changes) {
    NormProblem changed = problem;
    change(changed);
    EXPECT_FALSE(changed == problem) << &change - changes;
  }
}

TEST(NormProblems, OutputsMayBeInputs) {
  NormArguments arguments = good();
  arguments.y = arguments.x;
  arguments.sum = arguments.residual;
  EXPECT_NO_THROW(norm_problem(arguments));
}

class BadNorms : public ::testing::TestWithParam<BadNorm> {};

INSTANTIATE_TEST_SUITE_P(List, BadNorms, ::testing::ValuesIn(bad_norms()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadNorms, AreRefused) {
  NormArguments arguments = good();
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { norm_problem(arguments); });
}

// ---- the choice of a kernel ------------------------------------------------------------------------------------------------

std::string chosen(NormArguments arguments) {
  const std::vector<std::string> names = norm_candidates(norm_problem(arguments), DeviceInfo());
  return names.empty() ? "" : names.front();
}

std::string chosen(std::int64_t rows, std::int64_t columns, DType dtype = DType::bf16) {
  return chosen({NormKind::layer, Tensor::contiguous(address(0), dtype, {rows, columns}),
                 Tensor::contiguous(address(1), dtype, {rows, columns})});
}

TEST(NormConfigs, FollowTheLengthOfARow) {
  EXPECT_EQ(chosen(100, 256), "bf16_t8_vec");
  EXPECT_EQ(chosen(100, 1024), "bf16_t32_vec");
  EXPECT_EQ(chosen(100, 2048), "bf16_t64_vec");
  EXPECT_EQ(chosen(100, 4096), "bf16_t128_vec");
  EXPECT_EQ(chosen(100, 7168), "bf16_d128_vec");
  EXPECT_EQ(chosen(100, 7176), "bf16_t256_vec");
  EXPECT_EQ(chosen(100, 8192, DType::f32), "f32_d256_vec");
  EXPECT_EQ(chosen(100, 16384), "bf16_d256_vec");
  EXPECT_EQ(chosen(100, 16392), "bf16_s128_vec");
  EXPECT_EQ(chosen(100, 1 << 17), "bf16_s128_vec");
  EXPECT_EQ(chosen(100, (1 << 17) + 8), "bf16_s256_vec");
  EXPECT_EQ(chosen(100, 1 << 18), "bf16_s256_vec");
  EXPECT_EQ(chosen(100, 8196, DType::f32), "f32_s128_vec");
  EXPECT_EQ(chosen(100, 1 << 16, DType::f32), "f32_s128_vec");
  EXPECT_EQ(chosen(100, 1 << 17, DType::f32), "f32_s256_vec");
  EXPECT_EQ(chosen(100, (1 << 17) + 4, DType::f32), "f32_s512_vec");
  EXPECT_EQ(chosen(100, 3 << 18, DType::f32), "f32_s512_vec");
  EXPECT_EQ(chosen(100, (3 << 18) + 4, DType::f32), "f32_stream_vec");
  EXPECT_EQ(chosen(100, 3 << 19), "bf16_s512_vec");  // half of it in shared memory
  EXPECT_EQ(chosen(100, (3 << 19) + 8), "bf16_stream_vec");
  EXPECT_EQ(chosen(100, 1024, DType::f32), "f32_t64_vec");
  EXPECT_EQ(chosen(100, 511), "bf16_t16_ragged");
  EXPECT_EQ(chosen(100, 1023), "bf16_t32_ragged");
  EXPECT_EQ(chosen(100, 1035), "bf16_t32_ragged");  // 1024 by vectors, wherever it begins
  EXPECT_EQ(chosen(100, 1037), "bf16_t64_ragged");
  EXPECT_EQ(chosen(100, 16395), "bf16_t512_ragged");
  EXPECT_EQ(chosen(100, 16397), "bf16_stream_any");
  EXPECT_EQ(chosen(0, 1024), "");
}

// Plain rows have kernels of their own in shared memory and, short ones of 16 bits, in registers: those with a weight of x's type, no residual, and one distance between them.
TEST(NormConfigs, PlainRows) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string type = name(dtype);
    const auto arguments = [&](std::int64_t columns, std::int64_t matrices = 1) {
      NormArguments plain{NormKind::rms, Tensor::contiguous(address(0), dtype, {matrices, 3, columns}),
                          Tensor::contiguous(address(1), dtype, {matrices, 3, columns}),
                          Tensor::contiguous(address(2), dtype, {columns})};
      plain.x.strides[0] += 8;
      return plain;
    };
    EXPECT_EQ(chosen(arguments(65536)), type + "_s128_plain");
    EXPECT_EQ(chosen(arguments(65536, 2)), type + "_s128_vec");  // two distances
    EXPECT_EQ(chosen(arguments(49152)), type + "_s128_plain");   // blocks that are not full
    EXPECT_EQ(chosen(arguments(131072)), type + (dtype == DType::f32 ? "_s256_vec" : "_s128_plain"));
    EXPECT_EQ(chosen(arguments(65537)), type + "_stream_any");
    EXPECT_EQ(chosen(arguments(256)), type + (dtype == DType::f32 ? "_t16_vec" : "_t8_plain"));
    EXPECT_EQ(chosen(arguments(256, 2)), type + (dtype == DType::f32 ? "_t16_vec" : "_t8_vec"));
    EXPECT_EQ(chosen(arguments(384)), type + (dtype == DType::bf16  ? "_d8_vec"
                                              : dtype == DType::f32 ? "_t32_vec"
                                                                    : "_t16_plain"));
    // Whether rows are plain must not show in their bits: a kernel for plain rows is the one for all rows but for what it leaves out.
    const auto shape = [](const std::string& config) { return config.substr(0, config.rfind('_')); };
    for (std::int64_t columns = 8; columns <= 70000; columns += columns < 4096 ? 8 : 1000)
      EXPECT_EQ(shape(chosen(arguments(columns))), shape(chosen(arguments(columns, 2)))) << columns;
    NormArguments added = arguments(65536);
    added.residual = Tensor::contiguous(address(3), dtype, {1, 3, 65536});
    EXPECT_EQ(chosen(added), type + "_s128_vec");
    NormArguments biased = arguments(65536);
    biased.bias = Tensor::contiguous(address(3), dtype, {65536});
    EXPECT_EQ(chosen(biased), type + "_s128_plain");
    biased.weight = Tensor();
    EXPECT_EQ(chosen(biased), type + "_s128_vec");
    NormArguments mixed = arguments(65536);
    mixed.weight = Tensor::contiguous(address(2), DType::f32, {65536});
    EXPECT_EQ(chosen(mixed), type + (dtype == DType::f32 ? "_s128_plain" : "_s128_vec"));
  }
}

// Half as many threads with twice as much each are the faster ones for rows that would leave some idle.
TEST(NormConfigs, RowsThatLeaveThreadsIdle) {
  EXPECT_EQ(chosen(100, 772, DType::f32), "f32_t64_vec");
  EXPECT_EQ(chosen(100, 768, DType::f32), "f32_d32_vec");
  EXPECT_EQ(chosen(100, 1028, DType::f32), "f32_d64_vec");
  EXPECT_EQ(chosen(100, 1792, DType::f32), "f32_d64_vec");
  EXPECT_EQ(chosen(100, 1796, DType::f32), "f32_t128_vec");
  EXPECT_EQ(chosen(100, 768), "bf16_d16_vec");
  EXPECT_EQ(chosen(100, 776), "bf16_t32_vec");
  EXPECT_EQ(chosen(100, 1784), "bf16_t64_vec");
}

// Vectors take rows that begin anywhere where all operands lie alike, and the weight and the bias begin on a unit of theirs.
TEST(NormConfigs, RaggedRows) {
  const auto chosen_for = [](const std::function<void(NormArguments&)>& change) {
    NormArguments arguments{NormKind::layer, Tensor::contiguous(address(0), DType::bf16, {9, 197}),
                            Tensor::contiguous(address(1), DType::bf16, {9, 197}),
                            Tensor::contiguous(address(2), DType::bf16, {197}),
                            Tensor::contiguous(address(3), DType::bf16, {197})};
    change(arguments);
    return chosen(arguments);
  };
  EXPECT_EQ(chosen_for([](auto&) {}), "bf16_t8_ragged");
  EXPECT_EQ(chosen_for([](auto& n) { n.x.strides[0] = 205; }), "bf16_t8_ragged");
  EXPECT_EQ(chosen_for([](auto& n) { n.bias.data = moved(n.bias.data, 8); }), "bf16_t8_ragged");
  const std::function<void(NormArguments&)> unlike[] = {
      [](auto& n) { n.x.strides[0] = 199; },
      [](auto& n) { n.x.data = moved(n.x.data, 2); },
      [](auto& n) { n.y.data = moved(n.y.data, 8); },
      [](auto& n) { n.weight.data = moved(n.weight.data, 4); },
      [](auto& n) { n.bias.strides[0] = 2; },
      [](auto& n) { n.weight.dtype = n.bias.dtype = DType::f32; },
      [](auto& n) {
        n.residual = Tensor::strided(address(4), DType::bf16, {9, 197}, {198, 1});
      },
      [](auto& n) { n.scale = Tensor::contiguous(address(4), DType::f32, {9}), n.y.dtype = DType::e4m3; },
  };
  for (const auto& change : unlike) EXPECT_EQ(chosen_for(change), "bf16_t32_any") << &change - unlike;
}

// Quantized, rows are gone through three times: 16-bit ones stay in registers for longer.
TEST(NormConfigs, QuantizedRowsStayInRegisters) {
  const auto chosen_for = [](DType dtype, std::int64_t columns) {
    NormArguments arguments{NormKind::rms, Tensor::contiguous(address(0), dtype, {9, columns}),
                            Tensor::contiguous(address(1), DType::e4m3, {9, columns})};
    arguments.scale = Tensor::contiguous(address(2), DType::f32, {9});
    return chosen(arguments);
  };
  EXPECT_EQ(chosen_for(DType::bf16, 16384), "bf16_t512_vec");
  EXPECT_EQ(chosen_for(DType::bf16, 16392), "bf16_p512_vec");
  EXPECT_EQ(chosen_for(DType::bf16, 1 << 17), "bf16_p512_vec");
  EXPECT_EQ(chosen_for(DType::bf16, (1 << 17) + 8), "bf16_s256_vec");
  EXPECT_EQ(chosen_for(DType::f32, 8196), "f32_s128_vec");
}

// Vectors of y have as many elements as those of x, and are aligned to as many bytes.
TEST(NormConfigs, QuantizedVectorsAreNarrow) {
  const auto chosen_at = [](DType dtype, std::int64_t offset, std::int64_t distance) {
    NormArguments arguments{NormKind::rms, Tensor::contiguous(address(0), dtype, {9, 128}),
                            Tensor::contiguous(moved(address(1), int(offset)), DType::e4m3, {9, 128})};
    arguments.y.strides[0] = distance;
    arguments.scale = Tensor::contiguous(address(2), DType::f32, {9});
    return chosen(arguments);
  };
  EXPECT_EQ(chosen_at(DType::bf16, 8, 136), "bf16_t4_vec");
  EXPECT_EQ(chosen_at(DType::bf16, 4, 136), "bf16_t32_any");
  EXPECT_EQ(chosen_at(DType::bf16, 0, 132), "bf16_t32_any");
  EXPECT_EQ(chosen_at(DType::f32, 4, 132), "f32_t8_vec");
  EXPECT_EQ(chosen_at(DType::f32, 2, 132), "f32_t32_any");
}

TEST(NormConfigs, DoNotDependOnTheNumberOfRows) {
  for (const std::int64_t columns : {1, 64, 999, 1000, 5000, 40000, 1000000})
    for (const std::int64_t rows : {2, 100, 100000}) EXPECT_EQ(chosen(rows, columns), chosen(1, columns)) << columns;
}

TEST(NormConfigs, VectorsNeedEveryOperandAligned) {
  NormArguments arguments = good();
  EXPECT_EQ(chosen(arguments), "f32_t4_vec");
  const std::function<void(NormArguments&)> changes[] = {
      [](auto& n) { n.x.data = moved(n.x.data, 4); },
      [](auto& n) { n.y.data = moved(n.y.data, 8); },
      [](auto& n) { n.sum.strides[0] = 49; },
      [](auto& n) {
        n.residual.strides = {1, 40};
      },
      [](auto& n) { n.weight.data = moved(n.weight.data, 4); },
      [](auto& n) { n.bias.strides[0] = 2; },
  };
  for (const auto& change : changes) {
    NormArguments changed = good();
    change(changed);
    EXPECT_EQ(chosen(changed), "f32_t32_any") << &change - changes;
  }
}

}  // namespace
}  // namespace ckl::test
