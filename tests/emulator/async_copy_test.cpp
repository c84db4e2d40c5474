// Tensor copies over random shapes, boxes, strides and swizzles, against the definition, one element at a time.
#include "async/copy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <random>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "async/float_formats.hpp"

namespace emu::async {
namespace {

constexpr std::uint64_t base_address = 1 << 20;
constexpr std::uint32_t shared_bytes = 200 * 1024;

/// Global memory with a guard on either side of every access.
class Memory final : public GlobalAccess {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes) {}
  const std::byte* read(const GlobalRows& rows) override { return at(rows); }
  std::byte* write(const GlobalRows& rows) override { return at(rows); }
  std::byte* update(const GlobalRows& rows) override { return at(rows); }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::byte* at(const GlobalRows& rows) {
    for (std::uint64_t i = 0; i < rows.rows; ++i) {
      const std::uint64_t begin = rows.address + i * rows.stride - base_address;
      if (begin > bytes_.size() || rows.row_bytes > bytes_.size() - begin) throw std::out_of_range("global memory");
    }
    return bytes_.data() + (rows.address - base_address);
  }
  std::vector<std::byte> bytes_;
};

struct Case {
  TensorMap map;
  Coordinates at{};
  std::uint32_t offset = 0;
};

std::mt19937 random_bits(7);
std::uint32_t pick(std::uint32_t bound) { return static_cast<std::uint32_t>(random_bits() % bound); }

/// A random valid map whose tensor fits into `bytes` and whose box fits into shared memory.
Case random_case(std::size_t bytes) {
  static constexpr TensorDataType types[] = {TensorDataType::u8,  TensorDataType::u16, TensorDataType::s32,
                                             TensorDataType::u64, TensorDataType::f16, TensorDataType::bf16,
                                             TensorDataType::f32, TensorDataType::f64, TensorDataType::tf32};
  for (;;) {
    Case c;
    TensorMap& map = c.map;
    map.type = types[pick(std::size(types))];
    map.rank = 1 + pick(5);
    map.global_address = base_address + 16 * pick(64);
    map.swizzle = static_cast<TensorSwizzle>(pick(4));
    if (is_floating_point(map.type) && pick(4) == 0) map.oob_fill = TensorOobFill::nan_request_zero_fma;
    std::uint64_t extent = element_bytes(map.type);
    map.strides[0] = extent;
    for (std::uint32_t i = 0; i < map.rank; ++i) {
      map.sizes[i] = 1 + pick(i == 0 ? 80 : 12);
      map.box[i] = 1 + pick(i == 0 ? 64 : 9);
      if (pick(3) == 0) map.element_strides[i] = 1 + pick(8);
      if (i > 0) {
        map.strides[i] = (extent + 15) / 16 * 16 + 16 * pick(3);
        extent = map.strides[i];
      }
      extent *= map.sizes[i];
      c.at[i] =
          static_cast<std::int32_t>(pick(map.sizes[i] + map.box[i] + 8)) - static_cast<std::int32_t>(map.box[i]) - 2;
    }
    c.offset = 128 * pick(256);
    if (pick(4) == 0) c.at[0] &= ~7;
    if (find_violation(map) || find_violation(map, map.rank, c.offset, shared_bytes)) continue;
    if (map.global_address - base_address + extent + 64 <= bytes) return c;
  }
}

/// Calls visit(element's position in the box, its offset in shared memory, its global address or 0) for each element.
template <class Visit> void for_each_element(const Case& c, Visit visit) {
  const TensorMap& map = c.map;
  const std::uint32_t size = element_bytes(map.type);
  std::array<std::uint32_t, 5> i{};
  for (std::uint32_t position = 0;; ++position) {
    std::uint64_t address = map.global_address;
    bool inside = true;
    for (std::uint32_t d = 0; d < map.rank; ++d) {
      const std::int64_t x = c.at[d] + std::int64_t{i[d]} * (d == 0 ? 1 : map.element_strides[d]);
      inside &= x >= 0 && x < static_cast<std::int64_t>(map.sizes[d]);
      address += static_cast<std::uint64_t>(x) * map.strides[d];
    }
    // A row takes the whole span of a swizzle.
    const std::uint32_t row_bytes = map.box[0] * size, pitch = std::max(row_bytes, swizzle_span(map.swizzle));
    std::uint32_t offset = c.offset + position / map.box[0] * pitch + position % map.box[0] * size;
    switch (map.swizzle) {
      case TensorSwizzle::bytes128: offset ^= (offset >> 7 & 7) << 4; break;
      case TensorSwizzle::bytes64: offset ^= (offset >> 7 & 3) << 4; break;
      case TensorSwizzle::bytes32: offset ^= (offset >> 7 & 1) << 4; break;
      default: break;
    }
    visit(position, offset, inside ? address : 0);
    std::uint32_t d = 0;
    while (d < map.rank &&
           ++i[d] == (d == 0 ? map.box[0] : (map.box[d] + map.element_strides[d] - 1) / map.element_strides[d]))
      i[d++] = 0;
    if (d == map.rank) return;
  }
}

void randomize(std::vector<std::byte>& bytes) {
  for (std::byte& b : bytes) b = static_cast<std::byte>(random_bits());
}

Footprint units_of(const std::vector<bool>& touched) {
  std::map<std::uint32_t, std::uint32_t> lines;
  for (std::uint32_t i = 0; i < touched.size(); ++i) {
    if (touched[i]) lines[i / 128] |= 1u << i / 16 % 8;
  }
  Footprint footprint;
  for (auto [line, units] : lines) footprint.push_back({line, units});
  return footprint;
}

TEST(AsyncCopy, TensorLoadsMatchTheDefinition) {
  Memory global(1 << 20);
  randomize(global.bytes());
  for (int round = 0; round < 1500; ++round) {
    const Case c = random_case(global.bytes().size());
    const std::uint32_t size = element_bytes(c.map.type);
    std::vector<std::byte> shared(shared_bytes, std::byte{0xee}), expected = shared;
    std::vector<bool> touched(shared_bytes);
    std::uint32_t elements = 0;
    for_each_element(c, [&](std::uint32_t, std::uint32_t offset, std::uint64_t address) {
      ++elements;
      for (std::uint32_t i = 0; i < size; ++i) touched[offset + i] = true;
      if (address) {
        std::memcpy(&expected[offset], &global.bytes()[address - base_address], size);
      } else if (c.map.oob_fill == TensorOobFill::zeros) {
        std::memset(&expected[offset], 0, size);
      } else {
        std::memset(&expected[offset], 0xff, size);
        expected[offset + size - 1] = std::byte{0x7f};
      }
    });
    tensor_load(c.map, c.at, shared, c.offset, global);
    ASSERT_TRUE(shared == expected) << "round " << round;
    ASSERT_EQ(box_bytes(c.map), elements * size);
    Footprint footprint;
    tensor_load_footprint(c.map, c.offset, footprint);
    ASSERT_EQ(footprint, units_of(touched));
  }
}

TEST(AsyncCopy, TensorStoresMatchTheDefinitionAndTheMeasuredEdge) {
  Memory global(1 << 20);
  for (int round = 0; round < 1500; ++round) {
    const Case c = random_case(global.bytes().size());
    const std::uint32_t size = element_bytes(c.map.type);
    std::vector<std::byte> shared(shared_bytes);
    randomize(shared);
    std::fill(global.bytes().begin(), global.bytes().end(), std::byte{0xcd});
    std::vector<std::byte> expected = global.bytes();
    std::vector<bool> read(shared_bytes), written(expected.size());
    for_each_element(c, [&](std::uint32_t, std::uint32_t offset, std::uint64_t address) {
      if (!address) return;
      std::memcpy(&expected[address - base_address], &shared[offset], size);
      for (std::uint32_t i = 0; i < size; ++i) read[offset + i] = written[address - base_address + i] = true;
    });
    std::vector<std::byte> box(box_bytes(c.map));
    tensor_gather(c.map, shared, c.offset, box.data());
    tensor_scatter(c.map, c.at, box.data(), global);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (global.bytes()[i] == expected[i]) continue;
      // Past the edge, in the 16 bytes in which the row ends.
      ASSERT_FALSE(written[i]);
      const std::size_t unit = i / 16 * 16;
      ASSERT_TRUE(std::any_of(written.begin() + static_cast<std::ptrdiff_t>(unit),
                              written.begin() + static_cast<std::ptrdiff_t>(i), [](bool b) { return b; }))
          << "round " << round;
    }
    Footprint footprint;
    tensor_store_footprint(c.map, c.at, c.offset, footprint);
    ASSERT_EQ(footprint, units_of(read));
  }
}

TEST(AsyncCopy, StoresWriteWholeUnitsPastTheEdge) {
  Memory global(4096);
  TensorMap map;
  map.type = TensorDataType::bf16;
  map.rank = 2;
  map.global_address = base_address;
  map.sizes = {19, 3, 1, 1, 1};
  map.strides = {2, 64};
  map.box = {32, 4, 1, 1, 1};
  ASSERT_EQ(find_violation(map), std::nullopt);
  std::vector<std::byte> shared(1024, std::byte{1}), box(box_bytes(map));
  tensor_gather(map, shared, 0, box.data());
  tensor_scatter(map, {0, 0}, box.data(), global);
  for (std::size_t i = 0; i < 4096; ++i) {
    EXPECT_EQ(global.bytes()[i] == std::byte{1}, i < 3 * 64 && i % 64 < 48) << i;  // 38 bytes, in units of 16
  }
}

TEST(AsyncCopy, AccessesOutsideOfGlobalMemoryAreTheMachines) {
  Memory global(1024);
  TensorMap map;
  map.type = TensorDataType::u32;
  map.rank = 1;
  map.global_address = base_address;
  map.sizes = {512, 1, 1, 1, 1};
  map.strides = {4};
  map.box = {64, 1, 1, 1, 1};
  std::vector<std::byte> shared(1024);
  EXPECT_NO_THROW(tensor_load(map, {192}, shared, 0, global));
  EXPECT_THROW(tensor_load(map, {256}, shared, 0, global), std::out_of_range);
  EXPECT_NO_THROW(tensor_load(map, {-64}, shared, 0, global));  // all of it is filled
  EXPECT_NO_THROW(tensor_load(map, {512}, shared, 0, global));
}

TEST(AsyncCopy, RefusesInOneSentence) {
  TensorMap map;
  map.type = TensorDataType::f16;
  map.rank = 2;
  map.box = {64, 64, 1, 1, 1};
  EXPECT_EQ(find_violation(map, 2, 1024, shared_bytes), std::nullopt);
  EXPECT_NE(find_violation(map, 3, 1024, shared_bytes)->find("2 dimensions"), std::string::npos);
  EXPECT_NE(find_violation(map, 2, 1040, shared_bytes)->find("128 bytes"), std::string::npos);
  EXPECT_NE(find_violation(map, 2, shared_bytes - 4096, shared_bytes)->find("does not fit"), std::string::npos);
  EXPECT_EQ(find_reduction_violation(map, ReduceOperation::add), std::nullopt);
  EXPECT_NE(find_reduction_violation(map, ReduceOperation::bit_xor), std::nullopt);
  EXPECT_EQ(find_bulk_violation(16, 32, 48), std::nullopt);
  EXPECT_NE(find_bulk_violation(16, 32, 40)->find("multiple of 16"), std::string::npos);
  EXPECT_NE(find_bulk_violation(8, 32, 48)->find("source"), std::string::npos);
  EXPECT_NE(find_bulk_violation(16, 40, 48)->find("target"), std::string::npos);
  EXPECT_NE(find_bulk_reduction_violation(ReduceOperation::add, ReduceType::f32, false), std::nullopt);
  EXPECT_EQ(find_bulk_reduction_violation(ReduceOperation::add, ReduceType::f32, true), std::nullopt);
  EXPECT_NE(find_bulk_reduction_violation(ReduceOperation::inc, ReduceType::u64, true), std::nullopt);
}

template <class T> T reduced(ReduceOperation operation, ReduceType type, T a, T b) {
  alignas(8) std::byte target[8], source[8];
  std::memcpy(target, &a, sizeof a);
  std::memcpy(source, &b, sizeof b);
  reduce(operation, type, target, source, sizeof a);
  T result;
  std::memcpy(&result, target, sizeof result);
  return result;
}

TEST(AsyncCopy, ReductionsOfEveryTypeAndOperation) {
  using enum ReduceOperation;
  EXPECT_EQ(reduced<std::uint32_t>(add, ReduceType::u32, 0xffffffff, 2), 1u);
  EXPECT_EQ(reduced<std::uint32_t>(min, ReduceType::u32, 0xffffffff, 2), 2u);
  EXPECT_EQ(reduced<std::int32_t>(min, ReduceType::s32, -1, 2), -1);
  EXPECT_EQ(reduced<std::int32_t>(max, ReduceType::s32, -1, 2), 2);
  EXPECT_EQ(reduced<std::uint32_t>(max, ReduceType::u32, 0xffffffff, 2), 0xffffffff);
  EXPECT_EQ(reduced<std::uint32_t>(inc, ReduceType::u32, 6, 7), 7u);
  EXPECT_EQ(reduced<std::uint32_t>(inc, ReduceType::u32, 7, 7), 0u);
  EXPECT_EQ(reduced<std::uint32_t>(dec, ReduceType::u32, 0, 7), 7u);
  EXPECT_EQ(reduced<std::uint32_t>(dec, ReduceType::u32, 8, 7), 7u);
  EXPECT_EQ(reduced<std::uint32_t>(dec, ReduceType::u32, 5, 7), 4u);
  EXPECT_EQ(reduced<std::uint32_t>(bit_and, ReduceType::b32, 6, 3), 2u);
  EXPECT_EQ(reduced<std::uint64_t>(bit_or, ReduceType::b64, 6, 3), 7u);
  EXPECT_EQ(reduced<std::uint64_t>(bit_xor, ReduceType::b64, 6, 3), 5u);
  EXPECT_EQ(reduced<std::uint64_t>(add, ReduceType::u64, 1, ~std::uint64_t{0}), 0u);
  EXPECT_EQ(reduced<std::int64_t>(min, ReduceType::s64, -5, 3), -5);
  EXPECT_EQ(reduced<std::uint64_t>(max, ReduceType::u64, 1, 3), 3u);
  EXPECT_EQ(reduced<float>(add, ReduceType::f32, 1.5f, 2), 3.5f);
  EXPECT_EQ(reduced<double>(add, ReduceType::f64, 1.5, 2), 3.5);
  for (auto [type, one, two, three] :
       {std::tuple{ReduceType::f16, 0x3c00, 0x4000, 0x4200}, std::tuple{ReduceType::bf16, 0x3f80, 0x4000, 0x4040}}) {
    const auto a = static_cast<std::uint16_t>(one), b = static_cast<std::uint16_t>(two);
    EXPECT_EQ(reduced(add, type, a, b), three);
    EXPECT_EQ(reduced(min, type, a, b), one);
    EXPECT_EQ(reduced(max, type, a, b), two);
    EXPECT_EQ(reduced<std::uint16_t>(min, type, 0x7fff, b), two);  // a NaN gives way
    EXPECT_EQ(reduced<std::uint16_t>(max, type, 0x8000, 0), 0);    // -0 < 0
    EXPECT_EQ(reduced<std::uint16_t>(add, type, 1, 1), 2);         // not flushed
  }
}

TEST(AsyncCopy, TensorReductionsTouchWhatIsInside) {
  Memory global(1 << 20);
  for (int round = 0; round < 300; ++round) {
    Case c = random_case(global.bytes().size());
    if (find_reduction_violation(c.map, ReduceOperation::max) || c.map.type == TensorDataType::f16 ||
        c.map.type == TensorDataType::bf16) {
      continue;  // integers only here
    }
    std::vector<std::byte> shared(shared_bytes);
    randomize(shared);
    randomize(global.bytes());
    std::vector<std::byte> expected = global.bytes();
    for_each_element(c, [&](std::uint32_t, std::uint32_t offset, std::uint64_t address) {
      if (!address) return;
      const auto combine = [&]<class T>(T) {
        T a, b;
        std::memcpy(&a, &expected[address - base_address], sizeof a);
        std::memcpy(&b, &shared[offset], sizeof b);
        a = std::max(a, b);
        std::memcpy(&expected[address - base_address], &a, sizeof a);
      };
      c.map.type == TensorDataType::s32 ? combine(std::int32_t{}) : combine(std::uint64_t{});
    });
    std::vector<std::byte> box(box_bytes(c.map));
    tensor_gather(c.map, shared, c.offset, box.data());
    tensor_reduce(c.map, c.at, box.data(), ReduceOperation::max, global);
    ASSERT_TRUE(global.bytes() == expected);
  }
}

TEST(AsyncCopy, BulkCopies) {
  Memory global(4096);
  randomize(global.bytes());
  std::vector<std::byte> shared(256);
  bulk_load(base_address + 64, std::span(shared).first(128), global);
  EXPECT_TRUE(std::equal(shared.begin(), shared.begin() + 128, global.bytes().begin() + 64));
  bulk_store(std::span(shared).first(128), base_address + 1024, global);
  EXPECT_TRUE(std::equal(shared.begin(), shared.begin() + 128, global.bytes().begin() + 1024));
  EXPECT_THROW(bulk_load(base_address + 4000, std::span(shared).first(128), global), std::out_of_range);
  bulk_reduce(std::span(shared).first(128), base_address + 1024, ReduceOperation::bit_xor, ReduceType::b32, global);
  EXPECT_TRUE(std::all_of(global.bytes().begin() + 1024, global.bytes().begin() + 1152,
                          [](std::byte b) { return b == std::byte{0}; }));
  Footprint footprint;
  append_range(footprint, 112, 160);
  EXPECT_EQ(footprint, (Footprint{{0, 0x80}, {1, 0xff}, {2, 1}}));
}

/// Not a test: CKL_EMU_BENCH=1 prints how fast tensor loads are on this core.
TEST(AsyncCopy, Speed) {
  if (!std::getenv("CKL_EMU_BENCH")) GTEST_SKIP() << "CKL_EMU_BENCH is not set";
  Memory global(1 << 25);
  TensorMap map;
  map.type = TensorDataType::bf16;
  map.rank = 2;
  map.global_address = base_address;
  map.sizes = {2048, 4096, 1, 1, 1};
  map.strides = {2, 4096};
  map.box = {64, 128, 1, 1, 1};
  map.swizzle = TensorSwizzle::bytes128;
  std::vector<std::byte> shared(shared_bytes);
  const std::clock_t begin = std::clock();
  const int rounds = 4096;
  for (int i = 0; i < rounds; ++i) tensor_load(map, {i % 32 * 64, i / 32 % 32 * 128}, shared, 1024, global);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("tensor load of 16 KB: %.2f us, %.1f GB/s\n", 1e6 * seconds / rounds, 16384e-9 * rounds / seconds);
}

}  // namespace
}  // namespace emu::async
