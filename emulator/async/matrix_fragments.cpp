#include "async/matrix_fragments.hpp"

#include <cstring>

namespace emu::async {

void load_matrices(const ConstMatrixRows& rows, std::uint32_t count, bool transpose,
                   std::span<std::uint32_t* const> registers) {
  for (std::uint32_t i = 0; i < count; ++i) {
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      if (!transpose) {
        std::memcpy(&registers[i][lane], rows[8 * i + lane / 4] + 4 * (lane % 4), 4);
        continue;
      }
      std::uint16_t low, high;
      std::memcpy(&low, rows[8 * i + 2 * (lane % 4)] + 2 * (lane / 4), 2);
      std::memcpy(&high, rows[8 * i + 2 * (lane % 4) + 1] + 2 * (lane / 4), 2);
      registers[i][lane] = low | std::uint32_t{high} << 16;
    }
  }
}

void store_matrices(const MatrixRows& rows, std::uint32_t count, bool transpose,
                    std::span<const std::uint32_t* const> registers) {
  for (std::uint32_t i = 0; i < count; ++i) {
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      const std::uint32_t value = registers[i][lane];
      if (!transpose) {
        std::memcpy(rows[8 * i + lane / 4] + 4 * (lane % 4), &value, 4);
        continue;
      }
      const auto low = static_cast<std::uint16_t>(value), high = static_cast<std::uint16_t>(value >> 16);
      std::memcpy(rows[8 * i + 2 * (lane % 4)] + 2 * (lane / 4), &low, 2);
      std::memcpy(rows[8 * i + 2 * (lane % 4) + 1] + 2 * (lane / 4), &high, 2);
    }
  }
}

}  // namespace emu::async
