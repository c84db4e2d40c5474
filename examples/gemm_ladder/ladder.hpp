#pragma once

// What the kernels of the ladder and their host share: five ways to compute D = A * B for bf16 matrices, A (M, K) row-major,
// B (K, N) column-major, D (M, N) row-major, each one step faster than the one before.

#include <cstdint>

namespace ladder {

/// A TMA descriptor, made by the host.
struct alignas(128) TensorMap {
  std::uint64_t opaque[16];
};

/// The one parameter of every kernel.
struct Params {
  TensorMap a_map, b_map, d_map;  ///< For TMA: A as (M, K), B as (N, K), D as (M, N).
  const void *a, *b;              ///< The same matrices by their addresses.
  void* d;
  int m, n, k;
};

/// How a kernel is launched. M, N and K must be multiples of its tile, and M of a cluster's tiles.
struct Rung {
  const char* name;            ///< The kernel is ladder_<name>, in the module gemm_ladder_<name>.
  int tile_m, tile_n, tile_k;  ///< What a CTA multiplies at a time.
  int threads;                 ///< A CTA.
  int stages;       ///< Buffers of one K tile of A and B in dynamic shared memory; 0 where the kernel declares its own.
  int cluster;      ///< CTAs along M that share B.
  bool persistent;  ///< As many CTAs as the GPU holds, each with many tiles; else a CTA a tile.

  /// A store box of D: 64 columns (128 bytes, the swizzle's width) of 64 rows, the part of one warpgroup.
  static constexpr int d_box = 64;
  constexpr int stage_bytes() const { return (tile_m + tile_n) * tile_k * 2; }
  /// The stages, two staging buffers of D where the kernel stores by TMA, and the barriers.
  constexpr int shared_bytes() const {
    return stages == 0 ? 0 : stages * stage_bytes() + (persistent ? 2 * d_box * d_box * 2 : 0) + 1024;
  }
};

inline constexpr Rung rungs[] = {
    {"1_simt", 128, 128, 16, 256, 0, 1, false},     // no tensor cores
    {"2_wgmma", 128, 128, 64, 128, 1, 1, false},    // + wgmma
    {"3_tma", 128, 128, 64, 128, 3, 1, false},      // + TMA into three stages
    {"4_cluster", 128, 128, 64, 128, 3, 2, false},  // + multicast in clusters, barriers in distributed shared memory
    {"5_product", 128, 256, 64, 384, 4, 2, true},   // + roles, registers, a persistent grid: the library's structure
};

}  // namespace ladder
