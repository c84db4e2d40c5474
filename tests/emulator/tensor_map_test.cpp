#include "tensor_map/tensor_map.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace emu;

TensorMap valid_map() {
  TensorMap map;
  map.type = TensorDataType::bf16;
  map.rank = 3;
  map.global_address = 0x7f0000001000;
  map.sizes = {1000, 300, 7, 1, 1};
  map.strides = {2, 2048, 1 << 20, 0, 0};
  map.box = {64, 128, 1, 1, 1};
  map.swizzle = TensorSwizzle::bytes128;
  return map;
}

/// Applies `change` to a valid map and expects a violation whose text holds `word`.
template <class Change> void expect_violation(Change change, const char* word) {
  TensorMap map = valid_map();
  ASSERT_FALSE(find_violation(map)) << *find_violation(map);
  change(map);
  auto violation = find_violation(map);
  ASSERT_TRUE(violation) << "nothing said about " << word;
  EXPECT_NE(violation->find(word), std::string::npos) << *violation;
}

// One case for each requirement on the page of cuTensorMapEncodeTiled, in its order.
TEST(TensorMap, EachRequirementIsChecked) {
  expect_violation([](TensorMap& m) { m.type = TensorDataType(16); }, "tensorDataType");
  expect_violation([](TensorMap& m) { m.interleave = TensorInterleave(3); }, "interleave");
  expect_violation([](TensorMap& m) { m.swizzle = TensorSwizzle(7); }, "swizzle");
  expect_violation([](TensorMap& m) { m.l2_promotion = TensorL2Promotion(4); }, "l2Promotion");
  expect_violation([](TensorMap& m) { m.oob_fill = TensorOobFill(2); }, "oobFill");
  expect_violation([](TensorMap& m) { m.rank = 0; }, "tensorRank");
  expect_violation([](TensorMap& m) { m.rank = 6; }, "tensorRank");
  expect_violation([](TensorMap& m) { m.rank = 2, m.interleave = TensorInterleave::bytes16; }, "tensorRank");
  expect_violation([](TensorMap& m) { m.global_address += 8; }, "globalAddress");
  expect_violation([](TensorMap& m) { m.global_address += 16, m.interleave = TensorInterleave::bytes32; },
                   "globalAddress");
  expect_violation([](TensorMap& m) { m.global_address += 16, m.type = TensorDataType::u4x16_align16; },
                   "globalAddress");
  for (int i = 0; i < 3; ++i) {
    const std::string at = "globalDim[" + std::to_string(i) + "]";
    expect_violation([i](TensorMap& m) { m.sizes[i] = 0; }, at.c_str());
    expect_violation([i](TensorMap& m) { m.sizes[i] = (std::uint64_t(1) << 32) + 1; }, at.c_str());
  }
  expect_violation([](TensorMap& m) { m.type = TensorDataType::u6x16_align16; }, "multiple of 128");
  expect_violation([](TensorMap& m) { m.type = TensorDataType::u4x16_align8, m.sizes[0] = 31; }, "even");
  for (int i = 1; i < 3; ++i) {
    const std::string at = "globalStrides[" + std::to_string(i - 1) + "]";
    expect_violation([i](TensorMap& m) { m.strides[i] += 8; }, at.c_str());
    expect_violation([i](TensorMap& m) { m.strides[i] = std::uint64_t(1) << 40; }, at.c_str());
    expect_violation([i](TensorMap& m) { m.strides[i] += 16, m.interleave = TensorInterleave::bytes32; }, at.c_str());
  }
  for (int i = 0; i < 3; ++i) {
    const std::string at = "boxDim[" + std::to_string(i) + "]";
    expect_violation([i](TensorMap& m) { m.box[i] = 0; }, at.c_str());
    expect_violation([i](TensorMap& m) { m.box[i] = 257; }, at.c_str());
  }
  expect_violation([](TensorMap& m) { m.box[0] = 60; }, "multiple of 16 bytes");
  expect_violation([](TensorMap& m) { m.type = TensorDataType::u6x16_align16, m.sizes[0] = 1024; },
                   "boxDim[0] must be 128");
  for (int i = 1; i < 3; ++i) {
    const std::string at = "elementStrides[" + std::to_string(i) + "]";
    expect_violation([i](TensorMap& m) { m.element_strides[i] = 0; }, at.c_str());
    expect_violation([i](TensorMap& m) { m.element_strides[i] = 9; }, at.c_str());
  }
  expect_violation([](TensorMap& m) { m.box[0] = 72; }, "swizzle");
  expect_violation([](TensorMap& m) { m.swizzle = TensorSwizzle::bytes64; }, "64 bytes of the swizzle");
  expect_violation([](TensorMap& m) { m.swizzle = TensorSwizzle::bytes32; }, "32 bytes of the swizzle");
  expect_violation([](TensorMap& m) { m.interleave = TensorInterleave::bytes32; }, "SWIZZLE_32B");
  expect_violation([](TensorMap& m) { m.oob_fill = TensorOobFill::nan_request_zero_fma, m.type = TensorDataType::u16; },
                   "oobFill");
  expect_violation([](TensorMap& m) { m.swizzle = TensorSwizzle::bytes128_atom32; }, "10.0");
  expect_violation([](TensorMap& m) { m.type = TensorDataType::u4x16_align8; }, "10.0");
}

TEST(TensorMap, WhatTheDriverAcceptsIsAccepted) {
  auto accept = [](auto change) {
    TensorMap map = valid_map();
    change(map);
    EXPECT_FALSE(find_violation(map)) << *find_violation(map);
  };
  accept([](TensorMap& m) { m.strides[2] = 0; });                                // broadcast
  accept([](TensorMap& m) { std::swap(m.strides[1], m.strides[2]); });           // permuted
  accept([](TensorMap& m) { m.strides[1] = 16; });                               // overlapping rows
  accept([](TensorMap& m) { m.sizes = {std::uint64_t(1) << 32, 1, 1, 1, 1}; });  // the largest size
  accept([](TensorMap& m) { m.strides[1] = (std::uint64_t(1) << 40) - 16; });    // the largest stride
  accept([](TensorMap& m) { m.box = {64, 256, 256, 1, 1}, m.element_strides = {0, 8, 1, 1, 1}; });  // [0] is ignored
  accept([](TensorMap& m) { m.oob_fill = TensorOobFill::nan_request_zero_fma; });
}

TEST(TensorMap, StepsShrinkTheBox) {
  TensorMap map = valid_map();
  map.element_strides = {7, 3, 1, 1, 1};
  EXPECT_EQ(map.box_count(0), 64u);  // no step along dimension 0
  EXPECT_EQ(map.box_count(1), 43u);  // ceil(128 / 3)
  EXPECT_EQ(map.box_count(2), 1u);
}

/// Each field is valid with high probability, so that many maps are valid and many break one rule.
TensorMap random_map(std::mt19937_64& random) {
  auto draw = [&](std::uint64_t below) { return random() % below; };
  TensorMap map;
  map.type = TensorDataType(draw(16) == 0 ? draw(17) : draw(13));
  map.rank = std::uint32_t(draw(32) == 0 ? draw(8) : 1 + draw(5));
  map.global_address = draw(32) == 0 ? random() : 0x7f0000000000 + 16 * draw(1 << 20);
  map.strides[0] = element_bytes(map.type);
  const std::uint32_t rank = std::min<std::uint32_t>(map.rank, 5);
  for (std::uint32_t i = 0; i < rank; ++i) {
    map.sizes[i] = draw(32) == 0 ? draw(3) << 31 : 1 + draw(1 << 20);
    if (i) map.strides[i] = draw(32) == 0 ? random() : 16 * draw(std::uint64_t(1) << 36);
    map.box[i] = std::uint32_t(draw(32) == 0 ? draw(300) : i ? 1 + draw(256) : 16 * (1 + draw(8)));
    map.element_strides[i] = std::uint32_t(draw(32) == 0 ? draw(12) : 1);
  }
  map.interleave = TensorInterleave(draw(8) == 0 ? draw(4) : 0);
  map.swizzle = TensorSwizzle(draw(16) == 0 ? draw(8) : draw(4));
  map.l2_promotion = TensorL2Promotion(draw(32) == 0 ? draw(5) : draw(4));
  map.oob_fill = TensorOobFill(draw(8) == 0 ? draw(3) : 0);
  return map;
}

TEST(TensorMap, RandomValidMapsSurviveTheBlob) {
  std::mt19937_64 random(2);
  int valid = 0;
  for (int i = 0; i < 100000; ++i) {
    TensorMap map = random_map(random);
    if (find_violation(map)) continue;
    ++valid;
    alignas(tensor_map_alignment) unsigned char blob[tensor_map_bytes];
    encode(map, blob);
    TensorMap decoded;
    std::string reason;
    ASSERT_TRUE(decode(blob, decoded, &reason)) << reason;
    ASSERT_EQ(decoded, map);
  }
  EXPECT_GT(valid, 5000);  // else the test tries little
}

TEST(TensorMap, AnyChangedBitIsFound) {
  alignas(tensor_map_alignment) unsigned char blob[tensor_map_bytes];
  encode(valid_map(), blob);
  // Bit 21 of word 1 is the exception: programs clear it to work around old drivers.
  constexpr int ignored = 64 + 21;
  for (int bit = 0; bit < int(8 * tensor_map_bytes); ++bit) {
    blob[bit / 8] ^= 1 << bit % 8;
    TensorMap decoded;
    EXPECT_EQ(decode(blob, decoded), bit == ignored) << "bit " << bit;
    blob[bit / 8] ^= 1 << bit % 8;
  }
  unsigned char zeros[tensor_map_bytes] = {};
  TensorMap decoded;
  std::string reason;
  EXPECT_FALSE(decode(zeros, decoded, &reason));
  EXPECT_NE(reason.find("not a tensor map"), std::string::npos);
}

}  // namespace
