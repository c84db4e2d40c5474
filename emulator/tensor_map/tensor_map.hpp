#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace emu {

/// The enumerations have the values of the CUDA driver's CUtensorMap* enumerations (checked where both are visible).
enum class TensorDataType : std::uint8_t {
  u8,
  u16,
  u32,
  s32,
  u64,
  s64,
  f16,
  f32,
  f64,
  bf16,
  f32_ftz,
  tf32,
  tf32_ftz,
  u4x16_align8,  // the packed types need compute capability 10.0
  u4x16_align16,
  u6x16_align16,
};
enum class TensorInterleave : std::uint8_t { none, bytes16, bytes32 };
enum class TensorSwizzle : std::uint8_t {
  none,
  bytes32,
  bytes64,
  bytes128,
  bytes128_atom32,  // the atoms need compute capability 10.0
  bytes128_atom32_flip8,
  bytes128_atom64,
};
enum class TensorL2Promotion : std::uint8_t { none, bytes64, bytes128, bytes256 };
enum class TensorOobFill : std::uint8_t { zeros, nan_request_zero_fma };

/// Bytes of one element; 0 for the packed types.
std::uint32_t element_bytes(TensorDataType type);
bool is_floating_point(TensorDataType type);
/// Bytes after which the swizzle repeats along a row; 0 for TensorSwizzle::none.
std::uint32_t swizzle_span(TensorSwizzle swizzle);

/// A tiled tensor map (TMA descriptor). Dimension 0 is the contiguous one; entries from `rank` on are 1 (strides: 0).
struct TensorMap {
  static constexpr int max_rank = 5;

  TensorDataType type = TensorDataType::u8;
  std::uint32_t rank = 0;
  std::uint64_t global_address = 0;
  std::array<std::uint64_t, max_rank> sizes{1, 1, 1, 1, 1};            // elements, 1 to 2^32
  std::array<std::uint64_t, max_rank> strides{};                       // bytes; strides[0] is the element's size
  std::array<std::uint32_t, max_rank> box{1, 1, 1, 1, 1};              // elements, 1 to 256
  std::array<std::uint32_t, max_rank> element_strides{1, 1, 1, 1, 1};  // steps, 1 to 8; [0] acts only with interleave
  TensorInterleave interleave = TensorInterleave::none;
  TensorSwizzle swizzle = TensorSwizzle::none;
  TensorL2Promotion l2_promotion = TensorL2Promotion::none;
  TensorOobFill oob_fill = TensorOobFill::zeros;

  bool operator==(const TensorMap&) const = default;

  /// Elements that a copy moves along dimension `i`: with a step of s, every s-th of the box.
  std::uint32_t box_count(int i) const {
    std::uint32_t step = i == 0 && interleave == TensorInterleave::none ? 1 : element_strides[i];
    return (box[i] + step - 1) / step;
  }
};

/// Which requirement of cuTensorMapEncodeTiled `map` violates, as a sentence; nothing if it is valid.
std::optional<std::string> find_violation(const TensorMap& map);

/// What a valid map uses that the emulator does not model, as a sentence; nothing if it models all of it.
std::optional<std::string> find_unmodelled(const TensorMap& map);

/// The size and the alignment of the driver's opaque CUtensorMap. PTX wants 128-byte alignment in memory only for
/// tensormap.replace; the host's type has 64.
constexpr std::size_t tensor_map_bytes = 128;
constexpr std::size_t tensor_map_alignment = 64;

/// Writes the 128 bytes that stand for `map`. They carry a magic number and a checksum, so that a kernel that reads
/// something else as a tensor map is found.
void encode(const TensorMap& map, void* blob);

/// Reads 128 bytes that encode() wrote. On failure returns false and says why in `reason` (if not null).
bool decode(const void* blob, TensorMap& map, std::string* reason = nullptr);

}  // namespace emu
