// What cross-entropy and its gradient accept and refuse, and which config they take, without a GPU.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "cases/bad_cross_entropy.hpp"
#include "device/row_config.hpp"
#include "expect_error.hpp"
#include "host/rows.hpp"

namespace ckl::test {
namespace {

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }
void* memory(int i) { return at(0x100000u * std::uintptr_t(i + 1)); }

TEST(CrossEntropyProblem, TakesShapeAndOptions) {
  CrossEntropyArguments in = good_cross_entropy(memory);
  EXPECT_EQ(cross_entropy_problem(in).to_string(), "cross-entropy (40, 48) f32 i32 lse");
  in.lse = Tensor();
  in.label_smoothing = 0.5f;
  const CrossEntropyProblem p = cross_entropy_problem(in);
  EXPECT_EQ(p.to_string(), "cross-entropy (40, 48) f32 i32 smoothing=0.5");
  EXPECT_EQ(p.ignore_index, -100);
  EXPECT_EQ(p.targets.strides[1], 0);
  EXPECT_TRUE(p == cross_entropy_problem(in));
  in.ignore_index = 3;
  EXPECT_FALSE(p == cross_entropy_problem(in));
}

TEST(CrossEntropyProblem, RefusesWhatIsMalformed) {
  for (const auto& bad : bad_cross_entropies()) {
    SCOPED_TRACE(bad.name);
    CrossEntropyArguments in = good_cross_entropy(memory);
    bad.spoil(in);
    expect_error(bad.code, bad.words, [&] { cross_entropy_problem(in); });
  }
}

TEST(CrossEntropyBackwardProblem, TakesShapeAndOptions) {
  CrossEntropyBackwardArguments in = good_cross_entropy_backward(memory);
  in.dlogits = in.logits;  // in place
  in.dloss.strides[0] = 0;
  const CrossEntropyBackwardProblem p = cross_entropy_backward_problem(in);
  EXPECT_EQ(p.to_string(), "cross-entropy-backward (40, 48) f32 i32");
  EXPECT_TRUE(p == cross_entropy_backward_problem(in));
  in.label_smoothing = 0.25f;
  EXPECT_EQ(cross_entropy_backward_problem(in).to_string(), "cross-entropy-backward (40, 48) f32 i32 smoothing=0.25");
  EXPECT_FALSE(p == cross_entropy_backward_problem(in));
}

TEST(CrossEntropyBackwardProblem, RefusesWhatIsMalformed) {
  for (const auto& bad : bad_cross_entropy_backwards()) {
    SCOPED_TRACE(bad.name);
    CrossEntropyBackwardArguments in = good_cross_entropy_backward(memory);
    bad.spoil(in);
    expect_error(bad.code, bad.words, [&] { cross_entropy_backward_problem(in); });
  }
}

/// A problem's first candidate, for rows of `leading` elements, and dlogits whose rows are `more` elements longer.
std::string best(std::int64_t rows, std::int64_t classes, DType dtype, std::int64_t leading = 0,
                 std::int64_t more = -1) {
  const std::int64_t step = leading ? leading : classes;
  const auto of_rows = [&](int i, DType type) { return Tensor::contiguous(memory(i), type, {rows}); };
  const Tensor logits = Tensor::strided(at(0x100000000), dtype, {rows, classes}, {step, 1});
  const Tensor dlogits = Tensor::strided(at(0x900000000000), dtype, {rows, classes}, {step + more, 1});
  std::vector<std::string> names;
  if (more < 0)
    names = cross_entropy_candidates(cross_entropy_problem({logits, of_rows(0, DType::i64), of_rows(1, DType::f32)}),
                                     DeviceInfo{});
  else
    names = cross_entropy_backward_candidates(
        cross_entropy_backward_problem(
            {logits, of_rows(0, DType::i64), of_rows(1, DType::f32), of_rows(2, DType::f32), dlogits}),
        DeviceInfo{});
  return names.empty() ? "" : names.front();
}

TEST(CrossEntropyChoice, FollowsTheRowsLength) {
  EXPECT_EQ(best(1000, 64, DType::bf16), "bf16_t4_ragged");
  EXPECT_EQ(best(1000, 200, DType::bf16), "bf16_t8_ragged");
  EXPECT_EQ(best(1000, 512, DType::bf16), "bf16_d8_ragged");
  EXPECT_EQ(best(1000, 1024, DType::f32), "f32_d32_ragged");
  EXPECT_EQ(best(1000, 8192, DType::f16), "f16_d128_ragged");
  EXPECT_EQ(best(1000, 4096, DType::f16), "f16_d64_ragged");
  EXPECT_EQ(best(1000, 1001, DType::bf16), "bf16_d16_ragged");
  EXPECT_EQ(best(4096, 8199, DType::bf16), "bf16_d128_ragged");  // 8192 by vectors
  EXPECT_EQ(best(4096, 8200, DType::bf16), "bf16_d256_ragged");
  EXPECT_EQ(best(4096, 16392, DType::bf16), "bf16_p256_vec");  // longer than registers hold
  EXPECT_EQ(best(4096, 128256, DType::bf16), "bf16_p256_vec");
  EXPECT_EQ(best(4096, 50257, DType::bf16), "bf16_p256_vec");  // but for the ends
  EXPECT_EQ(best(0, 64, DType::bf16), "");
  for (const std::int64_t classes : {64, 1001, 4096, 200000})
    EXPECT_EQ(best(100000, classes, DType::bf16), best(1, classes, DType::bf16)) << classes;
}

TEST(CrossEntropyChoice, TakesVectorsWhereBothTensorsRowsLieAlike) {
  EXPECT_EQ(best(9, 200, DType::bf16, 201, 0), "bf16_t16_vec");
  EXPECT_EQ(best(9, 200, DType::bf16, 201, 8), "bf16_t16_vec");
  EXPECT_EQ(best(9, 200, DType::bf16, 201, 1), "bf16_t256_any");
}

TEST(RowShape, TellsRowsThatLieAlike) {
  const TensorOperand odd{DType::f32, {13, 1}, 16}, longer{DType::f32, {17, 1}, 16}, other{DType::f32, {14, 1}, 16},
      unaligned{DType::f32, {13, 1}, 4}, spread{DType::f32, {26, 2}, 16}, one_a_row{DType::f32, {3, 0}, 4};
  const auto ragged = [&](const std::vector<TensorOperand>& operands) {
    const host::RowShape shape = host::RowShape::of(2, {5, 13}, 1, operands, {one_a_row});
    EXPECT_EQ(shape.operands.back().strides[0], 3);
    EXPECT_EQ(shape.operands.back().step, 0);
    EXPECT_FALSE(shape.vectors);
    return shape.ragged_vectors;
  };
  EXPECT_TRUE(ragged({odd}));
  EXPECT_TRUE(ragged({unaligned}));  // alone, it lies as it lies
  EXPECT_TRUE(ragged({odd, longer}));
  EXPECT_FALSE(ragged({odd, other}));
  EXPECT_FALSE(ragged({odd, unaligned}));
  EXPECT_FALSE(ragged({spread}));
}

}  // namespace
}  // namespace ckl::test
