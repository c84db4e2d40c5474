// What softmax accepts and refuses, and which config it takes, without a GPU.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "ckl/softmax.hpp"
#include "ckl/softmax_backward.hpp"
#include "device/row_config.hpp"
#include "expect_error.hpp"
#include "host/rows.hpp"

namespace ckl::test {
namespace {

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

SoftmaxArguments good() {
  return {Tensor::contiguous(at(0x10000), DType::bf16, {40, 48}),
          Tensor::contiguous(at(0x20000), DType::bf16, {40, 48})};
}

TEST(SoftmaxProblem, TakesShapeAxisAndAlignment) {
  SoftmaxArguments in = good();
  in.scale = 0.5f;
  const SoftmaxProblem p = softmax_problem(in);
  EXPECT_EQ(p.axis, 1);
  EXPECT_EQ(p.x.alignment, 16);
  EXPECT_EQ(p.to_string(), "softmax (40, 48) along 1 bf16 scale=0.5");
  in.axis = -2;
  in.log = true;
  in.scale = 1;
  EXPECT_EQ(softmax_problem(in).to_string(), "log-softmax (40, 48) along 0 bf16");
  EXPECT_FALSE(p == softmax_problem(in));
  EXPECT_TRUE(softmax_problem(in) == softmax_problem(in));
}

TEST(SoftmaxProblem, RefusesWhatIsMalformed) {
  const auto expect = [](ErrorCode code, std::vector<std::string> words, auto spoil) {
    SoftmaxArguments in = good();
    spoil(in);
    expect_error(code, words, [&] { softmax_problem(in); });
  };
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  expect(invalid, {"x ", "null"}, [](auto& in) { in.x.data = nullptr; });
  expect(invalid, {"y ", "null"}, [](auto& in) { in.y.data = nullptr; });
  expect(invalid, {"y.rank", "2", "1"}, [](auto& in) { in.y.rank = 1; });
  expect(invalid, {"y.sizes[1]", "48", "47"}, [](auto& in) { in.y.sizes[1] = 47; });
  expect(invalid, {"x.rank", "1 or more", "0"}, [](auto& in) { in.x.rank = in.y.rank = 0; });
  expect(invalid, {"axis", "-2 to 1", "2"}, [](auto& in) { in.axis = 2; });
  expect(invalid, {"axis", "-2 to 1", "-3"}, [](auto& in) { in.axis = -3; });
  expect(invalid, {"scale", "finite"}, [](auto& in) { in.scale = INFINITY; });
  expect(invalid, {"x.sizes[0]", "-1"}, [](auto& in) { in.x.sizes[0] = -1; });
  expect(invalid, {"y ", "overlap"}, [](auto& in) { in.y.strides[0] = 0; });
  expect(invalid, {"y ", "overlap x"}, [](auto& in) { in.y.data = at(0x10002); });
  expect(invalid, {"x ", "multiple of"}, [](auto& in) { in.x.data = at(0x10001); });
  expect(unsupported, {"x.dtype", "i32"}, [](auto& in) { in.x.dtype = in.y.dtype = DType::i32; });
  expect(unsupported, {"y.dtype", "bf16", "f16"}, [](auto& in) { in.y.dtype = DType::f16; });
}

TEST(SoftmaxProblem, TakesMasks) {
  SoftmaxArguments in = good();
  in.mask = Tensor::contiguous(at(0x30000), DType::bf16, {1, 48});
  in.causal = true;
  in.diagonal = 8;
  const SoftmaxProblem p = softmax_problem(in);
  EXPECT_EQ(p.to_string(), "softmax (40, 48) along 1 bf16 mask causal diagonal=8");
  EXPECT_EQ(p.mask.strides[0], 0);
  EXPECT_EQ(softmax_candidates(p, DeviceInfo{}).front(), "bf16_t4_vec");
  in.diagonal = 9;
  EXPECT_FALSE(p == softmax_problem(in));
  const auto expect = [&](ErrorCode code, std::vector<std::string> words, auto spoil) {
    SoftmaxArguments bad = in;
    spoil(bad);
    expect_error(code, words, [&] { softmax_problem(bad); });
  };
  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  expect(invalid, {"mask ", "null"}, [](auto& a) { a.mask.data = nullptr; });
  expect(invalid, {"mask.rank", "2", "1"}, [](auto& a) { a.mask.rank = 1; });
  expect(invalid, {"mask.sizes[1]", "48", "or 1", "47"}, [](auto& a) { a.mask.sizes[1] = 47; });
  expect(invalid, {"y ", "overlap mask"}, [](auto& a) { a.mask.data = a.y.data; });
  expect(ErrorCode::unsupported, {"mask.dtype", "bf16", "f32"}, [](auto& a) { a.mask.dtype = DType::f32; });
  expect(invalid, {"causal", "last", "axis 0"}, [](auto& a) { a.axis = 0; });
}

TEST(SoftmaxProblem, MayBeInPlace) {
  SoftmaxArguments in = good();
  in.y = in.x;
  EXPECT_NO_THROW(softmax_problem(in));
}

std::string best(std::int64_t rows, std::int64_t columns, DType dtype, std::int64_t leading = 0) {
  const std::int64_t step = leading ? leading : columns;
  const Tensor x = Tensor::strided(at(0x100000000), dtype, {rows, columns}, {step, 1});
  Tensor y = x;
  y.data = at(0x900000000000);
  const std::vector<std::string> names = softmax_candidates(softmax_problem({x, y}), DeviceInfo{});
  return names.empty() ? "" : names.front();
}

TEST(SoftmaxChoice, FollowsTheRowsLength) {
  EXPECT_EQ(best(1000, 64, DType::bf16), "bf16_t4_vec");
  EXPECT_EQ(best(1000, 136, DType::bf16), "bf16_t8_vec");
  EXPECT_EQ(best(1000, 512, DType::bf16), "bf16_t16_vec");
  EXPECT_EQ(best(1000, 1024, DType::bf16), "bf16_t32_vec");
  EXPECT_EQ(best(1000, 768, DType::f32), "f32_t64_vec");
  EXPECT_EQ(best(1000, 764, DType::f32), "f32_t64_vec");
  EXPECT_EQ(best(1000, 2048, DType::bf16), "bf16_t64_vec");
  EXPECT_EQ(best(1000, 1784, DType::bf16), "bf16_t64_vec");
  EXPECT_EQ(best(1000, 2056, DType::bf16), "bf16_d64_vec");
  EXPECT_EQ(best(1000, 3584, DType::bf16), "bf16_d64_vec");
  EXPECT_EQ(best(1000, 3592, DType::bf16), "bf16_t128_vec");
  EXPECT_EQ(best(1000, 8192, DType::bf16), "bf16_d128_vec");
  EXPECT_EQ(best(1000, 16384, DType::f16), "f16_d256_vec");
  EXPECT_EQ(best(1000, 16392, DType::f16), "f16_s128_vec");
  EXPECT_EQ(best(1000, 131072, DType::bf16), "bf16_s128_vec");
  EXPECT_EQ(best(1000, 262144, DType::bf16), "bf16_s256_vec");
  EXPECT_EQ(best(1000, 3584, DType::f32), "f32_d128_vec");
  EXPECT_EQ(best(1000, 4096, DType::f32), "f32_t256_vec");
  EXPECT_EQ(best(1000, 8192, DType::f32), "f32_d256_vec");
  EXPECT_EQ(best(1000, 8196, DType::f32), "f32_s128_vec");
  EXPECT_EQ(best(1000, 65536, DType::f32), "f32_s128_vec");
  EXPECT_EQ(best(1000, 131072, DType::f32), "f32_s256_vec");
  EXPECT_EQ(best(1000, 262152, DType::bf16), "bf16_s512_vec");
  EXPECT_EQ(best(1000, 1 << 20, DType::bf16), "bf16_s512_vec");
  EXPECT_EQ(best(1000, 1 << 21, DType::bf16), "bf16_stream_vec");
  EXPECT_EQ(best(1000, 511, DType::bf16), "bf16_t16_ragged");
  EXPECT_EQ(best(1000, 1001, DType::bf16), "bf16_t32_ragged");
  EXPECT_EQ(best(1000, 197, DType::bf16), "bf16_t8_ragged");
  EXPECT_EQ(best(1000, 8199, DType::bf16), "bf16_t256_ragged");  // 8192 by vectors, wherever it begins
  EXPECT_EQ(best(1000, 8201, DType::bf16), "bf16_stream_any");
  EXPECT_EQ(best(1000, 1024, DType::bf16, 1025), "bf16_t32_ragged");
  EXPECT_EQ(best(1000, 100000, DType::bf16, 100001), "bf16_stream_any");
  EXPECT_EQ(best(0, 64, DType::bf16), "");
}

// Its gradient has rings of groups of 64 threads, which are the faster place where registers would leave some of those idle.
TEST(SoftmaxChoice, OfTheGradientLeavesFewThreadsIdle) {
  const auto best_of_gradient = [](std::int64_t columns, DType dtype) {
    const auto tensor = [&](std::uintptr_t address) { return Tensor::contiguous(at(address), dtype, {1000, columns}); };
    const SoftmaxBackwardArguments in{tensor(0x100000000), tensor(0x200000000), tensor(0x300000000)};
    return softmax_backward_candidates(softmax_backward_problem(in), DeviceInfo{}).front();
  };
  EXPECT_EQ(best_of_gradient(384, DType::f32), "f32_t64_vec");
  EXPECT_EQ(best_of_gradient(380, DType::f32), "f32_p64_vec");
  EXPECT_EQ(best_of_gradient(896, DType::bf16), "bf16_t64_vec");
  EXPECT_EQ(best_of_gradient(888, DType::bf16), "bf16_p64_vec");
}

TEST(SoftmaxChoice, DoesNotDependOnTheNumberOfRows) {
  for (const std::int64_t columns : {64, 1000, 4096, 40000, 200000})
    for (const std::int64_t rows : {2, 3, 1000, 100000})
      EXPECT_EQ(best(rows, columns, DType::bf16), best(1, columns, DType::bf16)) << rows << " x " << columns;
}

TEST(RowConfig, IsReadFromItsName) {
  constexpr RowConfig config = parse_row_config("bf16_p128_vec");
  static_assert(config.kind == RowKind::pipeline && config.group == 128 && config.vector &&
                config.dtype == DType::bf16);
  static_assert(config.piece() == 4096 && config.rows_per_block() == 2 && config.shared_bytes() == 2 * 256 * 64);
  static_assert(parse_row_config("bf16_p128_vec", {2}).piece() == 2048);  // two operands share a thread's registers
  static_assert(parse_row_config("f32_t16_vec").kind == RowKind::registers);
  static_assert(parse_row_config("f16_stream_any").kind == RowKind::stream);
  constexpr RowNeeds waiting{.waits = RowWaits::registers};
  static_assert(parse_row_config("f16_t8_vec", waiting).is_ahead() &&
                parse_row_config("f16_t32_any", waiting).is_ahead());
  static_assert(!parse_row_config("f16_t8_vec").is_ahead());  // its kernels do not wait
  static_assert(!parse_row_config("f16_p64_vec", waiting).is_ahead() &&
                parse_row_config("f16_p64_vec", {.waits = RowWaits::all}).is_ahead());
  constexpr RowNeeds small{.small_blocks = true};
  constexpr RowConfig twice = parse_row_config("f32_d64_vec", small);
  static_assert(twice.capacity() == 2048 && twice.threads() == 64 && twice.blocks_per_sm() == 12);
  static_assert(parse_row_config("f32_t64_vec", small).threads() == 64 &&
                parse_row_config("f32_t64_vec", small).blocks_per_sm() == 16);
  static_assert(parse_row_config("f32_t64_vec").threads() == 128 &&
                parse_row_config("f32_t64_ragged", small).threads() == 128 &&
                parse_row_config("f32_t32_vec", small).threads() == 128);
  constexpr RowConfig shared = parse_row_config("f32_s256_vec");
  static_assert(shared.kind == RowKind::shared && shared.piece() == 4096 && shared.capacity() == 16384 &&
                shared.shared_bytes() == 64 * 1024 && shared.blocks_per_sm() == 3 && shared.max_cluster() == 8);
  static_assert(parse_row_config("f32_s128_vec").shared_bytes() == 32 * 1024 &&
                parse_row_config("f32_s128_vec").blocks_per_sm() == 6);
  constexpr RowConfig largest = parse_row_config("bf16_s512_vec");
  static_assert(largest.shared_bytes() == 96 * 1024 && largest.blocks_per_sm() == 2 && largest.max_cluster() == 16 &&
                largest.capacity() == 49152 && largest.max_columns() == 2 * 16 * 49152);
  constexpr RowConfig plain = parse_row_config("f32_s256_plain");
  static_assert(plain.plain && !shared.plain && plain.vector && plain.capacity() == shared.capacity());
  static_assert(parse_row_config("f32_t256_plain").plain && parse_row_config("f32_p256_plain").group == 0);
  static_assert(shared.max_columns() == 8 * shared.capacity());
  constexpr RowConfig team = parse_row_config("bf16_g512_vec", {.fed_stages = 6});
  static_assert(team.is_fed() && team.block_threads() == 544 && team.shared_bytes() == 6 * 512 * 64 &&
                team.is_shared() && !team.is_cluster() && team.max_cluster() == 1);
  static_assert(!parse_row_config("bf16_p128_vec", {.fed_stages = 6}).is_fed());
  constexpr RowConfig dense = parse_row_config("f16_p256_dense", {.inputs = 2, .fed_stages = 6});
  static_assert(dense.capacity() == team.capacity() / 4 && dense.vector_elements() == 1 && dense.margin() == 8);
  static_assert(parse_row_config("f16_t256_dense").group == 0);
  for (const char* name : {"", "bf16", "bf16_", "bf16_t", "bf16_t128", "bf16_t100_vec", "bf16_t2_vec", "bf16_t2048_vec",
                           "i8_t128_vec", "bf16_t128_vec_", "bf16_block_vec", "bf16_t128_both", "bf16_p32_vec",
                           "bf16_p128_any", "bf16_s32_vec", "bf16_s256_any", "bf16_h128_vec"})
    EXPECT_EQ(parse_row_config(name).group, 0) << name;
}

TEST(RowShape, MergesWhatAllOperandsStepThroughAsOne) {
  TensorOperand dense{DType::f32, {60, 20, 5, 1}, 16}, padded{DType::f32, {120, 40, 10, 1}, 16};
  const auto shape = host::RowShape::of(4, {2, 3, 4, 5}, 3, {dense, padded});
  EXPECT_EQ(shape.grid.rows, 24);
  EXPECT_EQ(shape.grid.columns, 5);
  EXPECT_EQ(shape.grid.dimensions, 1);
  EXPECT_EQ(shape.operands[1].strides[0], 10);
  EXPECT_FALSE(shape.vectors);  // 5 elements are no whole vectors
  TensorOperand swapped{DType::f32, {4, 8, 1, 24}, 16};
  const auto shuffled = host::RowShape::of(4, {2, 3, 4, 5}, 3, {dense, swapped});
  EXPECT_EQ(shuffled.grid.dimensions, 3);
  EXPECT_EQ(shuffled.grid.sizes[2].divisor, 4);
}

}  // namespace
}  // namespace ckl::test
