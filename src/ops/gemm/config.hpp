#pragma once

// How a GEMM runs: one small value, named by one string, the same on the host and in the kernel.
//
//   bf16_tn_128x256x64_2x1_s4_coopm
//   |    |  |          |   |  schedule
//   |    |  |          |   stages of the shared-memory pipeline
//   |    |  |          cluster: CTAs along M x CTAs along N; with a third number, CTAs along K
//   |    |  tile of one CTA: M x N x K
//   |    layout of A and B in cuBLAS's letters: A is t (K-major) or n (M-major), B is n (K-major) or t (N-major)
//   element type of A and B
//
// An optional last word `gather` says that the producer copies single elements, for operands that TMA cannot take; `swap` that
// the operands are exchanged: A, B, M and N are those of the mirror image D' = B' A', whose tiles leave transposed. So a tn tile
// of 128 x 144 covers 144 rows and 128 columns of D, and nn kernels serve tt problems.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>

#include "ckl/tensor.hpp"

namespace ckl {

/// Which mode of an operand is contiguous: K, or the other one (M of A, N of B).
enum class Major : std::uint8_t { k, mn };

/// Who computes what. Every CTA has one producer warpgroup and two consumer warpgroups, or three cooperative ones.
enum class Schedule : std::uint8_t {
  cooperative_m,  ///< All consumers on one tile, each with its share of the rows.
  cooperative_n,  ///< Both consumers on one tile, each with half of its columns.
  pingpong,       ///< One tile a consumer: one multiplies while the other stores.
};

/// Who fills the stages.
enum class Load : std::uint8_t {
  tma,     ///< One thread issues bulk tensor copies, multicast in the cluster.
  gather,  ///< A warpgroup copies element by element: any stride, any alignment.
};

/// The config of one kernel entry. Sizes are in elements unless they say bytes.
struct GemmConfig {
  DType dtype = DType::bf16;
  Major a_major = Major::k, b_major = Major::k;
  int tile_m = 0, tile_n = 0, tile_k = 0;
  int cluster_m = 1, cluster_n = 1;
  int cluster_k = 1;  ///< CTAs that share the K of a tile, and add it up in distributed shared memory.
  int stages = 0;
  Schedule schedule = Schedule::cooperative_m;
  Load load = Load::tma;
  bool swapped = false;  ///< The kernel computes D transposed, and stores D by rows all the same.

  friend constexpr bool operator==(const GemmConfig&, const GemmConfig&) = default;

  // Threads
  static constexpr int warpgroup_threads = 128;
  /// Consumer warpgroups: two, or three where that many share rows that are an odd multiple of 64.
  constexpr int consumers() const { return schedule == Schedule::cooperative_m && tile_m % 128 != 0 ? 3 : 2; }
  constexpr int threads() const { return (1 + consumers()) * warpgroup_threads; }
  constexpr int cluster_size() const { return cluster_m * cluster_n * cluster_k; }
  /// Registers a thread after setmaxnreg; together at most 64 Ki a CTA. A gathering producer holds a batch of elements;
  /// one that only issues TMA makes room for large accumulators.
  constexpr int producer_registers() const { return load == Load::gather ? 152 : accumulators() > 128 ? 24 : 40; }
  constexpr int consumer_registers() const {
    return consumers() == 3 ? 152 : load == Load::gather ? 176 : accumulators() > 128 ? 240 : 232;
  }

  // The part of the tile that one consumer multiplies.
  constexpr int warpgroup_m() const { return schedule == Schedule::cooperative_m ? tile_m / consumers() : tile_m; }
  constexpr int warpgroup_n() const { return schedule == Schedule::cooperative_n ? tile_n / 2 : tile_n; }
  /// f32 accumulators of one consumer thread.
  constexpr int accumulators() const { return warpgroup_m() * warpgroup_n() / warpgroup_threads; }
  /// Cooperative consumers of 64 x 256 have no more than three K tiles of each other to hide an epilogue behind, and the longest one.
  constexpr bool hides_little() const {
    return schedule == Schedule::cooperative_m && warpgroup_m() == piece_m && warpgroup_n() == 256;
  }
  /// Whether the kernel can divide its work by split-K: with more accumulators, or three consumers, there are no registers left for the sums.
  constexpr bool can_split_k() const { return load == Load::tma && accumulators() <= 128 && consumers() == 2; }
  /// Accumulators of one consumer thread of which a CTA keeps the sum.
  constexpr int sums() const { return accumulators() / cluster_k; }
  /// Consumers that read one stage, and so have to release it.
  constexpr int readers() const { return schedule == Schedule::pingpong ? 1 : consumers(); }

  // The epilogue moves the tile in pieces of 64 rows through staging buffers: two a consumer where they fit, else one. Each
  // warp stores its 16 rows of a piece by TMA, or in vectors (Epilogue::STORES_VECTORS).
  static constexpr int piece_m = 64, d_box_m = 16;
  /// Columns of a piece of D: a 128-byte row of shared memory, if the consumer has as many.
  constexpr int piece_n(int element_bytes) const { return std::min(warpgroup_n(), 128 / element_bytes); }
  /// Columns of a TMA box of D: a piece is made of whole boxes, also the last piece of a row.
  constexpr int d_box_n(int element_bytes) const { return std::gcd(warpgroup_n(), 128 / element_bytes); }
  /// Columns of a TMA box of D as it lies in memory: where that is the transposed piece, 64 rows of the piece are whole 128-byte rows.
  constexpr int d_box_columns(int element_bytes) const {
    return swapped ? 128 / element_bytes : d_box_n(element_bytes);
  }
  constexpr int staging_bytes() const { return piece_m * 128; }
  /// CTAs that share K have no such buffers, but one for what all of them send to each: as large as a tile of f32.
  constexpr int inbox_bytes() const { return cluster_k > 1 ? tile_m * tile_n * 4 : 0; }

  // Shared memory
  constexpr int element_bytes() const { return static_cast<int>(size_of(dtype)); }
  constexpr int a_stage_bytes() const { return tile_m * tile_k * element_bytes(); }
  constexpr int b_stage_bytes() const { return b_stage_columns() * tile_k * element_bytes(); }
  /// Columns that a stage of B has room for: N-major ones lie in whole rows of the swizzle, the last of which may be used in part.
  constexpr int b_stage_columns() const {
    return b_major == Major::k ? tile_n : (tile_n + box_contiguous() - 1) / box_contiguous() * box_contiguous();
  }
  /// Swizzled buffers want 1024-byte alignment, which the start of dynamic shared memory has; so does each buffer here.
  constexpr int shared_bytes() const { return shared_bytes_with(staging_buffers()); }
  constexpr int staging_buffers() const { return shared_bytes_with(2) <= max_shared_bytes ? 2 : 1; }
  static constexpr int max_shared_bytes = 227 * 1024;

  // TMA boxes: elements along the contiguous mode, the swizzle's width of 128 bytes (the last box of an N-major tile may have less),
  // and along the other one, which the CTAs that share the operand split: each loads its share and multicasts it.
  constexpr int box_contiguous() const { return 128 / element_bytes(); }
  /// Whether every second tile of an N-major B begins in the middle of a line of L2. Its stages are turned by as many columns: what lies in
  /// front of the first whole line comes last, so that no box touches two lines.
  constexpr bool turns() const { return b_major == Major::mn && tile_n % box_contiguous() * 2 == box_contiguous(); }
  /// By how many columns tile `tile` is turned.
  constexpr int turn(int tile) const { return turns() && tile % 2 != 0 ? box_contiguous() / 2 : 0; }
  constexpr int a_box_other() const { return (a_major == Major::k ? tile_m : tile_k) / cluster_n; }
  constexpr int b_box_other() const { return (b_major == Major::k ? tile_n : tile_k) / cluster_m; }

 private:
  constexpr int shared_bytes_with(int buffers) const {
    int store = cluster_k > 1 ? inbox_bytes() : consumers() * buffers * staging_bytes();
    int staged = stages * (a_stage_bytes() + b_stage_bytes()) + store;
    int barriers = (2 * stages + 4 + 2 * consumers()) * 8;
    return staged + (barriers + 1023) / 1024 * 1024;
  }
};

/// Why `config` cannot be compiled, or nullptr if it can.
constexpr const char* defect(const GemmConfig& config) {
  const GemmConfig& c = config;
  if (c.dtype != DType::bf16 && c.dtype != DType::f16) return "the element type must be bf16 or f16";
  if (c.tile_k != 64 && c.tile_k != 128) return "the K tile must be 64 or 128";
  if (c.warpgroup_m() < 64 || c.warpgroup_m() % 64) return "a consumer's rows must be a multiple of 64";
  if (c.warpgroup_n() < 16 || c.warpgroup_n() > 256 || c.warpgroup_n() % 16)
    return "a consumer's columns must be a multiple of 16 up to 256";
  if (c.schedule == Schedule::cooperative_n && c.b_major == Major::mn && c.warpgroup_n() % c.box_contiguous())
    return "a consumer's columns of an N-major B must begin with a row of the swizzle";
  if (c.accumulators() > (c.consumers() == 3 ? 96 : 192))
    return "a consumer's accumulators must fit 192 registers a thread, and 96 where there are three consumers";
  if (c.cluster_m < 1 || c.cluster_n < 1 || c.cluster_k < 1 || c.cluster_size() > 8)
    return "a cluster must have 1 to 8 CTAs";
  int a_extent = c.a_major == Major::k ? c.tile_m : c.tile_k, b_extent = c.b_major == Major::k ? c.tile_n : c.tile_k;
  if (a_extent % (8 * c.cluster_n) || c.a_box_other() > 256)
    return "a CTA's share of A must be a multiple of 8 up to 256";
  if (b_extent % (8 * c.cluster_m) || c.b_box_other() > 256)
    return "a CTA's share of B must be a multiple of 8 up to 256";
  if (c.load == Load::gather && c.cluster_size() != 1) return "a gathering producer cannot multicast";
  if (c.load == Load::gather && c.consumers() != 2) return "a gathering kernel has two consumers";
  if (c.load == Load::gather && c.turns()) return "a gathering kernel loads columns in their order";
  if (c.load == Load::gather && c.swapped) return "a gathering kernel serves any layout, and needs no swapped form";
  if (c.cluster_k > 1 && (c.cluster_m != 1 || c.cluster_n != 1)) return "CTAs that share K cannot share operands";
  if (c.cluster_k > 1 && c.schedule == Schedule::pingpong) return "CTAs that share K must have cooperative consumers";
  if (c.cluster_k > 1 && c.consumers() != 2) return "CTAs that share K have two consumers each";
  if (c.cluster_k > 1 && (c.accumulators() > 128 || c.accumulators() % (2 * c.cluster_k)))
    return "a consumer thread's accumulators, at most 128, must be pairs that the CTAs along K can share";
  if (c.stages < 2) return "the pipeline needs 2 stages";
  if (c.shared_bytes() > GemmConfig::max_shared_bytes) return "shared memory exceeds 227 KiB";
  return nullptr;
}

namespace detail {

/// Reads config names from left to right; `ok` stays false after the first mismatch.
struct NameReader {
  std::string_view rest;
  bool ok = true;

  constexpr bool accept(std::string_view word) {
    if (rest.substr(0, word.size()) != word) return false;
    rest.remove_prefix(word.size());
    return true;
  }
  constexpr void expect(std::string_view word) { ok = accept(word) && ok; }
  constexpr int number() {
    int value = 0, digits = 0;
    for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9' && digits < 6; ++digits) {
      value = value * 10 + (rest[0] - '0');
      rest.remove_prefix(1);
    }
    ok = ok && digits > 0;
    return value;
  }
};

}  // namespace detail

/// The config that `name` stands for; `stages` is 0 if it is not a config's name.
constexpr GemmConfig parse_gemm_config(std::string_view name) {
  GemmConfig c;
  detail::NameReader in{name};
  if (in.accept("f16_"))
    c.dtype = DType::f16;
  else
    in.expect("bf16_");
  if (in.accept("n"))
    c.a_major = Major::mn;
  else
    in.expect("t");
  if (in.accept("t"))
    c.b_major = Major::mn;
  else
    in.expect("n");
  in.expect("_"), c.tile_m = in.number();
  in.expect("x"), c.tile_n = in.number();
  in.expect("x"), c.tile_k = in.number();
  in.expect("_"), c.cluster_m = in.number();
  in.expect("x"), c.cluster_n = in.number();
  if (in.accept("x")) c.cluster_k = in.number(), in.ok = in.ok && c.cluster_k > 1;
  in.expect("_s"), c.stages = in.number();
  if (in.accept("_coopm"))
    c.schedule = Schedule::cooperative_m;
  else if (in.accept("_coopn"))
    c.schedule = Schedule::cooperative_n;
  else
    in.expect("_ping"), c.schedule = Schedule::pingpong;
  if (in.accept("_gather")) c.load = Load::gather;
  if (in.accept("_swap")) c.swapped = true;
  return in.ok && in.rest.empty() ? c : GemmConfig{};
}

/// The name of `config`; parse_gemm_config() reads it back.
std::string to_string(const GemmConfig& config);

}  // namespace ckl
