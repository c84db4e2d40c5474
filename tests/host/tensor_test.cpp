// Tensor, DType and Error: plain values that need nothing else.

#include "ckl/tensor.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "ckl/ckl.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

using Extents = std::array<std::int64_t, max_rank>;

int memory;

TEST(TensorFactories, ContiguousIsCOrder) {
  const Tensor t = Tensor::contiguous(&memory, DType::f16, {2, 3, 4});
  EXPECT_EQ(t.data, &memory);
  EXPECT_EQ(t.dtype, DType::f16);
  EXPECT_EQ(t.rank, 3);
  EXPECT_EQ(t.sizes, (Extents{2, 3, 4, 0, 0}));
  EXPECT_EQ(t.strides, (Extents{12, 4, 1, 0, 0}));
}

TEST(TensorFactories, EveryRank) {
  EXPECT_EQ(Tensor::contiguous(&memory, DType::f32, {}).rank, 0);
  EXPECT_EQ(Tensor::contiguous(&memory, DType::f32, {7}).strides, (Extents{1}));
  EXPECT_EQ(Tensor::contiguous(&memory, DType::f32, {2, 3, 4, 5, 6}).strides, (Extents{360, 120, 30, 6, 1}));
}

TEST(TensorFactories, MatricesWithAndWithoutALeadingDimension) {
  EXPECT_EQ(Tensor::row_major(&memory, DType::bf16, 3, 5).strides, (Extents{5, 1}));
  EXPECT_EQ(Tensor::row_major(&memory, DType::bf16, 3, 5, 8).strides, (Extents{8, 1}));
  EXPECT_EQ(Tensor::column_major(&memory, DType::bf16, 3, 5).strides, (Extents{1, 3}));
  EXPECT_EQ(Tensor::column_major(&memory, DType::bf16, 3, 5, 8).strides, (Extents{1, 8}));
  EXPECT_EQ(Tensor::column_major(&memory, DType::bf16, 3, 5).sizes, (Extents{3, 5}));
}

TEST(TensorFactories, TransposedSwapsTheLastTwoDimensions) {
  const Tensor t = Tensor::strided(&memory, DType::i8, {2, 3, 4}, {100, 10, 1}).transposed();
  EXPECT_EQ(t.sizes, (Extents{2, 4, 3}));
  EXPECT_EQ(t.strides, (Extents{100, 1, 10}));
  EXPECT_EQ(t.dtype, DType::i8);
  EXPECT_EQ(t.data, &memory);
}

TEST(TensorFactories, RefuseWhatTheyCannotHold) {
  const ErrorCode invalid = ErrorCode::invalid_argument;
  expect_error(invalid, {"sizes", "5", "6"}, [] { Tensor::contiguous(&memory, DType::f32, {1, 1, 1, 1, 1, 1}); });
  expect_error(invalid, {"sizes", "5", "6"}, [] {
    Tensor::strided(&memory, DType::f32, {1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1});
  });
  expect_error(invalid, {"strides", "sizes", "2", "1"}, [] { Tensor::strided(&memory, DType::f32, {1, 1}, {1}); });
  expect_error(invalid, {"rank", "2", "1"}, [] { Tensor::contiguous(&memory, DType::f32, {3}).transposed(); });
  // The strides of such sizes cannot be represented.
  const std::int64_t huge = std::int64_t(1) << 40;
  expect_error(invalid, {"sizes", "2^63"}, [=] { Tensor::contiguous(&memory, DType::f32, {huge, huge, huge}); });
}

TEST(TensorPrinting, TellsTypeSizesAndStrides) {
  EXPECT_EQ(Tensor::contiguous(nullptr, DType::bf16, {4096, 128}).to_string(), "bf16 (4096, 128) strides (128, 1)");
  EXPECT_EQ(Tensor::contiguous(nullptr, DType::f32, {}).to_string(), "f32 () strides ()");
  EXPECT_EQ(Tensor::strided(nullptr, DType::e4m3, {3}, {-2}).to_string(), "e4m3 (3) strides (-2)");
}

// Printing is what an error message does with a tensor that is wrong: it must not read beyond the arrays.
TEST(TensorPrinting, SurvivesAnImpossibleRank) {
  Tensor t = Tensor::contiguous(nullptr, DType::f32, {1, 2, 3, 4, 5});
  t.rank = 1000;
  EXPECT_EQ(t.to_string(), "f32 (1, 2, 3, 4, 5) strides (120, 60, 20, 5, 1)");
  t.rank = -1;
  EXPECT_EQ(t.to_string(), "f32 () strides ()");
}

TEST(DTypes, HaveSizesAndDistinctNames) {
  const std::pair<DType, std::size_t> sizes[] = {{DType::f64, 8},  {DType::f32, 4},  {DType::f16, 2}, {DType::bf16, 2},
                                                 {DType::e4m3, 1}, {DType::e5m2, 1}, {DType::i64, 8}, {DType::i32, 4},
                                                 {DType::i8, 1},   {DType::b8, 1}};
  std::set<std::string> names;
  for (const auto& [dtype, bytes] : sizes) {
    EXPECT_EQ(size_of(dtype), bytes) << name(dtype);
    names.insert(name(dtype));
  }
  EXPECT_EQ(names.size(), std::size(sizes));
  EXPECT_EQ(names.count("invalid"), 0u);
  EXPECT_STREQ(name(DType(200)), "invalid");
  EXPECT_EQ(size_of(DType(200)), 0u);
}

TEST(Errors, CarryTheirCodeAndMessage) {
  const Error error(ErrorCode::out_of_memory, "the workspace must fit");
  EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  EXPECT_STREQ(error.what(), "the workspace must fit");
  EXPECT_STREQ(name(ErrorCode::invalid_argument), "invalid_argument");
  EXPECT_STREQ(name(ErrorCode::unsupported), "unsupported");
  EXPECT_STREQ(name(ErrorCode::out_of_memory), "out_of_memory");
  EXPECT_STREQ(name(ErrorCode::cuda), "cuda");
  EXPECT_STREQ(name(ErrorCode(50)), "invalid");
}

// Thrown across the library's boundary, it is still caught as what it is.
TEST(Errors, AreRuntimeErrors) { EXPECT_THROW(Tensor::strided(nullptr, DType::f32, {1}, {}), std::runtime_error); }

TEST(Version, IsThatOfTheHeaders) {
  EXPECT_EQ(std::string(version()), std::to_string(CKL_VERSION_MAJOR) + "." + std::to_string(CKL_VERSION_MINOR) + "." +
                                        std::to_string(CKL_VERSION_PATCH));
}

}  // namespace
}  // namespace ckl::test
