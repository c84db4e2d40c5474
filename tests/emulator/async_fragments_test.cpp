// The fragments of ldmatrix and stmatrix, as the PTX ISA draws them.
#include "async/matrix_fragments.hpp"

#include <cstring>

#include <gtest/gtest.h>

namespace emu::async {
namespace {

TEST(AsyncFragments, LoadsAndStoresEveryCountBothWays) {
  for (std::uint32_t count : {1u, 2u, 4u}) {
    for (bool transpose : {false, true}) {
      std::uint16_t matrices[4][8][8];  // [matrix][row][column]
      for (std::uint32_t i = 0; i < 256; ++i) matrices[i / 64][i / 8 % 8][i % 8] = static_cast<std::uint16_t>(i * 251);
      ConstMatrixRows rows{};
      for (std::uint32_t i = 0; i < 8 * count; ++i)
        rows[i] = reinterpret_cast<const std::byte*>(matrices[i / 8][i % 8]);
      std::uint32_t registers[4][32];
      std::uint32_t* pointers[4] = {registers[0], registers[1], registers[2], registers[3]};
      load_matrices(rows, count, transpose, {pointers, count});
      for (std::uint32_t i = 0; i < count; ++i) {
        for (std::uint32_t lane = 0; lane < 32; ++lane) {
          const std::uint32_t first = 2 * (lane % 4), row = lane / 4;
          const std::uint32_t low = transpose ? matrices[i][first][row] : matrices[i][row][first];
          const std::uint32_t high = transpose ? matrices[i][first + 1][row] : matrices[i][row][first + 1];
          ASSERT_EQ(registers[i][lane], low | high << 16);
        }
      }
      std::uint16_t stored[4][8][8] = {};
      MatrixRows targets{};
      for (std::uint32_t i = 0; i < 8 * count; ++i) targets[i] = reinterpret_cast<std::byte*>(stored[i / 8][i % 8]);
      const std::uint32_t* sources[4] = {registers[0], registers[1], registers[2], registers[3]};
      store_matrices(targets, count, transpose, {sources, count});
      ASSERT_EQ(std::memcmp(stored, matrices, count * sizeof matrices[0]), 0);
    }
  }
  EXPECT_EQ(address_lanes(1), 0xffu);
  EXPECT_EQ(address_lanes(2), 0xffffu);
  EXPECT_EQ(address_lanes(4), ~0u);
}

}  // namespace
}  // namespace emu::async
