#include "async/matrix_descriptor.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace emu::async {
namespace {

constexpr std::uint64_t field_mask = 0x3fff;  // 14 bits, in units of 16 bytes
constexpr int leading_shift = 16, stride_shift = 32, base_offset_shift = 49, swizzle_shift = 62;

/// Bytes of a row of the swizzle's atom; 16 without one.
std::uint32_t atom_row_bytes(TensorSwizzle swizzle) {
  const std::uint32_t span = swizzle_span(swizzle);
  return span ? span : 16;
}

}  // namespace

MatrixDescriptor MatrixDescriptor::decode(std::uint64_t bits) {
  static constexpr TensorSwizzle swizzles[4] = {TensorSwizzle::none, TensorSwizzle::bytes128, TensorSwizzle::bytes64,
                                                TensorSwizzle::bytes32};
  MatrixDescriptor d;
  d.start = static_cast<std::uint32_t>(bits & field_mask) << 4;
  d.leading_offset = static_cast<std::uint32_t>(bits >> leading_shift & field_mask) << 4;
  d.stride_offset = static_cast<std::uint32_t>(bits >> stride_shift & field_mask) << 4;
  d.base_offset = static_cast<std::uint32_t>(bits >> base_offset_shift & 7);
  d.swizzle = swizzles[bits >> swizzle_shift];
  return d;
}

std::uint64_t MatrixDescriptor::encode() const {
  const std::uint64_t code = swizzle == TensorSwizzle::bytes128  ? 1
                             : swizzle == TensorSwizzle::bytes64 ? 2
                             : swizzle == TensorSwizzle::bytes32 ? 3
                                                                 : 0;
  return (start >> 4 & field_mask) | (leading_offset >> 4 & field_mask) << leading_shift |
         (stride_offset >> 4 & field_mask) << stride_shift | std::uint64_t{base_offset} << base_offset_shift |
         code << swizzle_shift;
}

CoreMatrices::CoreMatrices(const MatrixDescriptor& d, bool mn_major)
    : start_(d.start), row_stride_(atom_row_bytes(d.swizzle)), swizzle_bits_(swizzle_bits(d.swizzle)) {
  const bool swizzled = d.swizzle != TensorSwizzle::none;
  if (!mn_major) {
    mn_inner_ = 1;
    mn_stride_ = d.stride_offset;
    k_stride_ = swizzled ? 16 : d.leading_offset;
  } else {
    // Without a swizzle the roles of the two offsets are exchanged (PTX ISA, "Strides").
    mn_inner_ = row_stride_ / 16;
    mn_stride_ = swizzled ? d.leading_offset : d.stride_offset;
    k_stride_ = swizzled ? d.stride_offset : d.leading_offset;
  }
}

std::uint32_t CoreMatrices::linear_end(std::uint32_t mn, std::uint32_t k) const {
  std::uint32_t last = linear_offset(mn - 1, k - 1);
  if (mn >= mn_inner_) last = std::max(last, linear_offset(mn / mn_inner_ * mn_inner_ - 1, k - 1));
  last += 7 * row_stride_;
  return (last | swizzle_bits_) + 16;  // the swizzle stays within its bits
}

std::optional<std::string> find_violation(const MatrixDescriptor& d, bool mn_major, std::uint32_t mn, std::uint32_t k,
                                          std::uint32_t shared_bytes) {
  if (d.base_offset != 0) {
    return fmt::format("base offset {} of a matrix descriptor is not supported; it must be 0", d.base_offset);
  }
  const CoreMatrices cores(d, mn_major);
  const std::uint32_t end = cores.linear_end(mn, k);
  if (end > shared_bytes) {
    return fmt::format(
        "a matrix descriptor reaches to {:#x} in shared memory, which ends at {:#x} (start {:#x}, leading "
        "offset {}, stride offset {})",
        end, shared_bytes, d.start, d.leading_offset, d.stride_offset);
  }
  return {};
}

}  // namespace emu::async
