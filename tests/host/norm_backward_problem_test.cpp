// What the norms' gradients accept and refuse, and which config they take, without a GPU.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "cases/bad_norm_backward.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }
void* memory(int i) { return at(0x100000u * std::uintptr_t(i + 1)); }

TEST(NormBackwardProblem, TakesShapeAndOptions) {
  NormBackwardArguments in = good_norm_backward(memory);
  const NormBackwardProblem p = norm_backward_problem(in);
  EXPECT_EQ(p.to_string(), "layernorm-backward (40, 48) f32 weight dweight dbias");
  EXPECT_EQ(p.rstd.strides[1], 0);
  EXPECT_TRUE(p == norm_backward_problem(in));
  in.kind = NormKind::rms;
  in.mean = in.weight = in.dbias = Tensor();
  in.dx = in.dy;  // in place
  EXPECT_EQ(norm_backward_problem(in).to_string(), "rmsnorm-backward (40, 48) f32 dweight");
  EXPECT_FALSE(p == norm_backward_problem(in));
}

TEST(NormBackwardProblem, RefusesWhatIsMalformed) {
  for (const BadNormBackward& bad : bad_norm_backwards()) {
    SCOPED_TRACE(bad.name);
    NormBackwardArguments in = good_norm_backward(memory);
    bad.spoil(in);
    expect_error(bad.code, bad.words, [&] { norm_backward_problem(in); });
  }
}

std::string best(std::int64_t rows, std::int64_t columns, DType dtype, std::int64_t leading = 0, int sms = 132) {
  const auto matrix = [&](std::uintptr_t address) {
    return Tensor::strided(at(address), dtype, {rows, columns}, {leading ? leading : columns, 1});
  };
  const NormBackwardArguments in{NormKind::rms, matrix(0x100000000000), matrix(0x200000000000), matrix(0x300000000000),
                                 Tensor::contiguous(memory(0), DType::f32, {rows})};
  DeviceInfo device;
  device.sm_count = sms;
  const std::vector<std::string> names = norm_backward_candidates(norm_backward_problem(in), device);
  return names.empty() ? "" : names.front();
}

// Two operands share a thread's registers.
TEST(NormBackwardChoice, FollowsTheRowsLength) {
  EXPECT_EQ(best(1000, 128, DType::bf16), "bf16_t8_vec");
  EXPECT_EQ(best(1000, 256, DType::bf16), "bf16_t16_vec");
  EXPECT_EQ(best(1000, 128, DType::f32), "f32_t16_vec");
  EXPECT_EQ(best(1000, 512, DType::bf16), "bf16_t32_vec");
  EXPECT_EQ(best(1000, 4096, DType::bf16), "bf16_p256_vec");
  EXPECT_EQ(best(1000, 4096, DType::f32), "f32_p512_vec");
  EXPECT_EQ(best(1000, 8200, DType::f16), "f16_p512_vec");    // a cluster
  EXPECT_EQ(best(1000, 131080, DType::f16), "f16_g512_vec");  // all SMs
  EXPECT_EQ(best(1000, 132 * 8192, DType::bf16), "bf16_g512_vec");
  EXPECT_EQ(best(1000, 132 * 8192, DType::bf16, 0, 131), "bf16_stream_vec");
  EXPECT_EQ(best(1000, 132 * 8192 + 8, DType::bf16), "bf16_stream_vec");
  EXPECT_EQ(best(1000, 41, DType::f32), "f32_t16_ragged");
  EXPECT_EQ(best(1000, 512, DType::bf16, 513), "bf16_t32_ragged");
  EXPECT_EQ(best(1000, 1024, DType::bf16, 1025), "bf16_t64_ragged");
  EXPECT_EQ(best(1000, 1031, DType::bf16), "bf16_t64_ragged");  // 1024 by vectors, wherever it begins
  EXPECT_EQ(best(1000, 1033, DType::bf16), "bf16_p256_dense");
  EXPECT_EQ(best(1000, 4000, DType::bf16, 4001), "bf16_p256_dense");
  EXPECT_EQ(best(1000, 4097, DType::f32), "f32_p512_dense");
  EXPECT_EQ(best(0, 64, DType::bf16), "");
  for (const std::int64_t columns : {64, 1000, 4096, 40000})
    EXPECT_EQ(best(100000, columns, DType::bf16), best(1, columns, DType::bf16)) << columns;
}

}  // namespace
}  // namespace ckl::test
