#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tensor_map/tensor_map.hpp"

namespace emu::async {

/// A matrix descriptor of wgmma (PTX ISA, "Asynchronous warpgroup level matrix shared memory layout"). Offsets in bytes.
struct MatrixDescriptor {
  std::uint32_t start = 0;           // address in the CTA's shared memory
  std::uint32_t leading_offset = 0;  // "leading dimension byte offset"
  std::uint32_t stride_offset = 0;   // "stride dimension byte offset"
  TensorSwizzle swizzle = TensorSwizzle::none;
  std::uint32_t base_offset = 0;

  static MatrixDescriptor decode(std::uint64_t bits);
  /// The 64 bits that decode() reads; offsets are multiples of 16.
  std::uint64_t encode() const;
};

/// A matrix in shared memory as wgmma sees it: a grid of core matrices, each of 8 rows of 16 bytes. In a K-major matrix
/// a row of a core matrix holds 16 bytes along K, in an MN-major one 16 bytes along M or N.
class CoreMatrices {
 public:
  CoreMatrices(const MatrixDescriptor& descriptor, bool mn_major);

  /// Offset in shared memory of row `row` (0 to 7) of the core matrix `mn` along M or N and `k` along K.
  std::uint32_t row_offset(std::uint32_t mn, std::uint32_t k, std::uint32_t row) const {
    return swizzled(linear_offset(mn, k) + row * row_stride_);
  }

  /// The offset of the first row of a core matrix before the swizzle, and what comes after it.
  std::uint32_t linear_offset(std::uint32_t mn, std::uint32_t k) const {
    return start_ + mn % mn_inner_ * 16 + mn / mn_inner_ * mn_stride_ + k * k_stride_;
  }
  std::uint32_t swizzled(std::uint32_t linear) const { return linear ^ (linear >> 3 & swizzle_bits_); }
  std::uint32_t row_stride() const { return row_stride_; }
  /// Whether the rows of core matrix `mn + 1` lie mn_stride() bytes after those of `mn`, swizzled or not.
  bool has_uniform_mn_stride() const {
    return mn_inner_ == 1 && (swizzle_bits_ == 0 || mn_stride_ % (8 * row_stride_) == 0);
  }
  std::uint32_t mn_stride() const { return mn_stride_; }
  /// No byte of mn x k core matrices lies at or beyond this offset.
  std::uint32_t linear_end(std::uint32_t mn, std::uint32_t k) const;

 private:
  std::uint32_t start_, mn_inner_, mn_stride_, k_stride_, row_stride_;
  std::uint32_t swizzle_bits_;  // of the address: bits 4 to 6, as far as the swizzle reaches
};

/// The address bits that a swizzle changes: address ^ (address >> 3 & swizzle_bits(swizzle)).
constexpr std::uint32_t swizzle_bits(TensorSwizzle swizzle) {
  switch (swizzle) {
    case TensorSwizzle::bytes32: return 0x10;
    case TensorSwizzle::bytes64: return 0x30;
    case TensorSwizzle::bytes128: return 0x70;
    default: return 0;
  }
}

/// What is wrong with, or not modelled of, a descriptor of a matrix of `mn` x `k` core matrices in shared memory of
/// `shared_bytes` bytes, as a sentence; nothing if it can be read.
std::optional<std::string> find_violation(const MatrixDescriptor& descriptor, bool mn_major, std::uint32_t mn,
                                          std::uint32_t k, std::uint32_t shared_bytes);

}  // namespace emu::async
