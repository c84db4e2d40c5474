#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "async/wgmma.hpp"

// How execute() computes: operands are converted once into panels of floats, in the order in which the inner loop wants
// them, then multiplied for one warp after the other.
namespace emu::async {

/// Fused wgmmas: their K is one loop, so that D is loaded and stored once.
constexpr std::uint32_t max_fused_k = 64;

/// B: [n / 8][2][k][4]. The second index is the column's parity: {0, 2, 4, 6}, then {1, 3, 5, 7} of eight columns, since a
/// register of D holds every other column.
constexpr std::size_t b_panel_floats = 256 * max_fused_k;

/// One chain of steps, ready to compute.
struct Chain {
  const WgmmaKind& kind;
  std::span<const WgmmaStep> steps;  // at most max_fused_k / 16; with f16 accumulators one
  bool zero;                         // D starts at 0
  const WgmmaRegisters& registers;
  const std::byte* shared;
};

void run_portable(const Chain& chain);
void run_avx2(const Chain& chain);
void run_avx512(const Chain& chain);

/// What a NaN becomes: the hardware's, not the operand's.
constexpr std::uint32_t canonical_nan = 0x7fffffff;
constexpr std::uint16_t canonical_nan_f16 = 0x7fff;

}  // namespace emu::async
