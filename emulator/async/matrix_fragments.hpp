#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

// ldmatrix and stmatrix, .m8n8.b16: up to four 8x8 matrices of 16-bit elements between shared memory and fragments.
namespace emu::async {

/// Pointers to the rows of `count` (1, 2 or 4) matrices: rows[8 * i + j] is row j of matrix i, 16 bytes. The lane 8 * i + j
/// supplies its address.
using MatrixRows = std::array<std::byte*, 32>;
using ConstMatrixRows = std::array<const std::byte*, 32>;

/// Lanes whose addresses an instruction of `count` matrices uses.
constexpr std::uint32_t address_lanes(std::uint32_t count) { return count == 4 ? ~0u : (1u << 8 * count) - 1; }

/// registers[i] points to the 32 lanes of the register of matrix i. Lane l holds elements 2 * (l % 4) and the next of row
/// l / 4; with `transpose` of column l / 4.
void load_matrices(const ConstMatrixRows& rows, std::uint32_t count, bool transpose,
                   std::span<std::uint32_t* const> registers);
void store_matrices(const MatrixRows& rows, std::uint32_t count, bool transpose,
                    std::span<const std::uint32_t* const> registers);

}  // namespace emu::async
