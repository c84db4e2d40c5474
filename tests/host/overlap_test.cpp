// Which tensors overlap, against counting bytes: the answer decides whether a call is refused or its output trampled.

#include "host/overlap.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>

#include "reference/draw.hpp"
#include "ckl/error.hpp"

namespace ckl::test {
namespace {

using reference::Draw;

/// Addresses of the first bytes of all elements, an entry an index.
std::multiset<std::int64_t> element_addresses(const Tensor& t) {
  std::multiset<std::int64_t> addresses = {reinterpret_cast<std::int64_t>(t.data)};
  for (int dimension = 0; dimension < t.rank; ++dimension) {
    std::multiset<std::int64_t> next;
    for (const std::int64_t address : addresses)
      for (std::int64_t i = 0; i < t.sizes[dimension]; ++i)
        next.insert(address + i * t.strides[dimension] * std::int64_t(size_of(t.dtype)));
    addresses = next;
  }
  return addresses;
}

/// How many elements cover each byte.
std::map<std::int64_t, int> coverage(const Tensor& t) {
  std::map<std::int64_t, int> bytes;
  for (const std::int64_t address : element_addresses(t))
    for (std::size_t byte = 0; byte < size_of(t.dtype); ++byte) ++bytes[address + std::int64_t(byte)];
  return bytes;
}

bool overlaps_itself(const Tensor& t) {
  for (const auto& [address, count] : coverage(t))
    if (count > 1) return true;
  return false;
}

bool meet(const Tensor& x, const Tensor& y) {
  const auto bytes = coverage(x);
  for (const auto& [address, count] : coverage(y))
    if (bytes.count(address)) return true;
  return false;
}

/// The same elements under the same indices.
bool same(const Tensor& x, const Tensor& y) {
  if (x.dtype != y.dtype || x.data != y.data || x.rank != y.rank) return false;
  for (int i = 0; i < x.rank; ++i)
    if (x.sizes[i] != y.sizes[i] || (x.sizes[i] > 1 && x.strides[i] != y.strides[i])) return false;
  return true;
}

template <class Call> bool refused(const Call& call) {
  try {
    call();
    return false;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return true;
  }
}

/// A small tensor somewhere around `base`, its strides small enough to collide often, some of them 0 or negative.
Tensor drawn(Draw& draw, std::int64_t base) {
  Tensor t;
  t.dtype = draw.of({DType::b8, DType::bf16, DType::f32});
  t.rank = int(draw.below(4));
  t.data = reinterpret_cast<void*>(base + draw.below(40) * std::int64_t(draw.one_in(8) ? 1 : size_of(t.dtype)));
  for (int i = 0; i < t.rank; ++i) {
    t.sizes[i] = draw.one_in(20) ? 0 : 1 + draw.below(5);
    t.strides[i] = draw.below(24) - 4;
  }
  return t;
}

constexpr std::int64_t base = 1 << 20;

TEST(Overlap, OfATensorWithItselfIsExact) {
  Draw draw(1);
  int found = 0;
  for (int i = 0; i < 20000; ++i) {
    const Tensor t = drawn(draw, base);
    const bool expected = overlaps_itself(t);
    ASSERT_EQ(refused([&] { host::require_no_self_overlap(t, "t"); }), expected) << t.to_string();
    found += expected;
  }
  EXPECT_TRUE(found > 2000 && found < 18000) << "the draws should be of both kinds";
}

TEST(Overlap, OfTwoTensorsIsExact) {
  Draw draw(2);
  int found = 0;
  for (int i = 0; i < 20000; ++i) {
    const Tensor x = drawn(draw, base);
    const Tensor y = draw.one_in(10) ? x : drawn(draw, base + draw.below(100));
    const bool expected = meet(x, y) && !same(x, y);
    ASSERT_EQ(refused([&] { host::require_no_partial_overlap(x, "x", y, "y"); }), expected)
        << x.to_string() << " at " << x.data << " and " << y.to_string() << " at " << y.data;
    found += expected;
  }
  EXPECT_TRUE(found > 2000 && found < 18000) << "the draws should be of both kinds";
}

// Sizes that no search over elements could go through.
TEST(Overlap, OfLargeTensorsIsFoundQuickly) {
  const std::int64_t rows = 1 << 20, cols = 1 << 20;
  const auto matrix = [&](std::int64_t offset, std::int64_t leading) {
    return Tensor::row_major(reinterpret_cast<void*>(base + offset), DType::bf16, rows, cols, leading);
  };
  const std::int64_t wide = 2 * cols;
  // Left and right halves of one wide matrix, then with one column in common.
  EXPECT_FALSE(refused([&] { host::require_no_partial_overlap(matrix(0, wide), "x", matrix(2 * cols, wide), "y"); }));
  EXPECT_TRUE(
      refused([&] { host::require_no_partial_overlap(matrix(0, wide), "x", matrix(2 * cols - 2, wide), "y"); }));
  EXPECT_FALSE(refused([&] { host::require_no_self_overlap(matrix(0, cols), "x"); }));
  EXPECT_TRUE(refused([&] { host::require_no_self_overlap(matrix(0, cols - 1), "x"); }));
}

TEST(WellFormed, CountsAndAlignments) {
  EXPECT_EQ(host::element_count(Tensor::contiguous(nullptr, DType::f32, {})), 1);
  EXPECT_EQ(host::element_count(Tensor::contiguous(nullptr, DType::f32, {3, 4, 5})), 60);
  EXPECT_EQ(host::element_count(Tensor::contiguous(nullptr, DType::f32, {3, 0, 5})), 0);
  const std::pair<std::int64_t, int> alignments[] = {{1, 1}, {2, 2}, {12, 4}, {24, 8}, {16, 16}, {32, 16}, {0x1001, 1}};
  for (const auto& [address, alignment] : alignments)
    EXPECT_EQ(host::alignment_of(reinterpret_cast<void*>(address)), alignment) << address;
}

// The largest tensors that are well formed, and the smallest that are not.
TEST(WellFormed, EndsWhereBytesNoLongerFit63Bits) {
  const std::int64_t most = (std::int64_t(1) << 62) - 1;  // elements of two bytes
  const auto well_formed = [](const Tensor& t) { return !refused([&] { host::require_well_formed(t, "t"); }); };
  EXPECT_TRUE(well_formed(Tensor::contiguous(nullptr, DType::bf16, {most})));
  EXPECT_FALSE(well_formed(Tensor::contiguous(nullptr, DType::bf16, {most + 1})));
  EXPECT_TRUE(well_formed(Tensor::strided(nullptr, DType::bf16, {2}, {most - 1})));
  EXPECT_FALSE(well_formed(Tensor::strided(nullptr, DType::bf16, {2}, {most + 1})));
  EXPECT_FALSE(well_formed(Tensor::strided(nullptr, DType::bf16, {2, 2}, {most / 2 + 1, most / 2 + 1})));
  EXPECT_TRUE(well_formed(Tensor::strided(nullptr, DType::bf16, {2, 2}, {-most / 2, most / 2})));
  // Broadcast, so few bytes, but more elements than can be counted.
  EXPECT_FALSE(well_formed(Tensor::strided(nullptr, DType::bf16, {most, most}, {0, 0})));
  // A stride of a dimension that is never stepped through may be anything.
  EXPECT_TRUE(well_formed(Tensor::strided(nullptr, DType::bf16, {1}, {INT64_MAX})));
}

}  // namespace
}  // namespace ckl::test
