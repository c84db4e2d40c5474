#include "tensor_map/tensor_map.hpp"

#include <cstring>
#include <fmt/format.h>

namespace emu {

namespace {

constexpr std::uint64_t magic = 0x50414d5f4c4b4345;  // "ECKL_MAP"

using Words = std::array<std::uint64_t, tensor_map_bytes / sizeof(std::uint64_t)>;

/// Hosts clear bit 21 of word 1 to work around a fault of older drivers, so no field lies there and the sum ignores it.
constexpr std::uint64_t ignored_bit_of_word1 = std::uint64_t(1) << 21;

std::uint64_t checksum(Words words) {
  words[1] &= ~ignored_bit_of_word1;
  std::uint64_t sum = 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    sum = (sum ^ words[i]) * 0xff51afd7ed558ccd;
    sum ^= sum >> 32;
  }
  return sum;
}

std::uint64_t field(std::uint64_t word, int first_bit, int bits) {
  return word >> first_bit & ((std::uint64_t(1) << bits) - 1);
}

bool is_packed(TensorDataType type) { return element_bytes(type) == 0; }

bool is_packed_align16(TensorDataType type) {
  return type == TensorDataType::u4x16_align16 || type == TensorDataType::u6x16_align16;
}

}  // namespace

std::uint32_t element_bytes(TensorDataType type) {
  switch (type) {
    case TensorDataType::u8: return 1;
    case TensorDataType::u16:
    case TensorDataType::f16:
    case TensorDataType::bf16: return 2;
    case TensorDataType::u32:
    case TensorDataType::s32:
    case TensorDataType::f32:
    case TensorDataType::f32_ftz:
    case TensorDataType::tf32:
    case TensorDataType::tf32_ftz: return 4;
    case TensorDataType::u64:
    case TensorDataType::s64:
    case TensorDataType::f64: return 8;
    case TensorDataType::u4x16_align8:
    case TensorDataType::u4x16_align16:
    case TensorDataType::u6x16_align16: return 0;
  }
  return 0;
}

bool is_floating_point(TensorDataType type) {
  switch (type) {
    case TensorDataType::f16:
    case TensorDataType::f32:
    case TensorDataType::f64:
    case TensorDataType::bf16:
    case TensorDataType::f32_ftz:
    case TensorDataType::tf32:
    case TensorDataType::tf32_ftz: return true;
    default: return false;
  }
}

std::uint32_t swizzle_span(TensorSwizzle swizzle) {
  switch (swizzle) {
    case TensorSwizzle::none: return 0;
    case TensorSwizzle::bytes32: return 32;
    case TensorSwizzle::bytes64: return 64;
    default: return 128;
  }
}

// CUDA driver API, "Tensor Map Object Management", cuTensorMapEncodeTiled: the requirements in the order of that page.
// Its relation between successive strides is a recipe for dense tensors and not a requirement: drivers accept
// broadcast (stride 0), permuted and overlapping dimensions, and so does this.
std::optional<std::string> find_violation(const TensorMap& map) {
  const bool interleaved = map.interleave != TensorInterleave::none;
  const bool interleave32 = map.interleave == TensorInterleave::bytes32;
  const bool align16 = is_packed_align16(map.type);

  if (map.type > TensorDataType::u6x16_align16)
    return fmt::format("tensorDataType {} is not a CUtensorMapDataType", int(map.type));
  if (map.interleave > TensorInterleave::bytes32)
    return fmt::format("interleave {} is not a CUtensorMapInterleave", int(map.interleave));
  if (map.swizzle > TensorSwizzle::bytes128_atom64)
    return fmt::format("swizzle {} is not a CUtensorMapSwizzle", int(map.swizzle));
  if (map.l2_promotion > TensorL2Promotion::bytes256)
    return fmt::format("l2Promotion {} is not a CUtensorMapL2promotion", int(map.l2_promotion));
  if (map.oob_fill > TensorOobFill::nan_request_zero_fma)
    return fmt::format("oobFill {} is not a CUtensorMapFloatOOBfill", int(map.oob_fill));

  if (map.rank < 1 || map.rank > TensorMap::max_rank)
    return fmt::format("tensorRank must be 1 to 5, but is {}", map.rank);
  if (interleaved && map.rank < 3)
    return fmt::format("tensorRank must be 3 or more with an interleaved layout, but is {}", map.rank);

  const std::uint64_t address_alignment = interleave32 || align16 ? 32 : 16;
  if (map.global_address % address_alignment)
    return fmt::format("globalAddress must be aligned to {} bytes, but is {:#x}", address_alignment,
                       map.global_address);

  for (std::uint32_t i = 0; i < map.rank; ++i)
    if (map.sizes[i] < 1 || map.sizes[i] > std::uint64_t(1) << 32)
      return fmt::format("globalDim[{}] must be 1 to 2^32, but is {}", i, map.sizes[i]);
  if (align16 && map.sizes[0] % 128)
    return fmt::format("globalDim[0] must be a multiple of 128 with this packed type, but is {}", map.sizes[0]);
  if (map.type == TensorDataType::u4x16_align8 && map.sizes[0] % 2)
    return fmt::format("globalDim[0] must be even with this packed type, but is {}", map.sizes[0]);

  const std::uint64_t stride_unit = interleave32 || align16 ? 32 : 16;
  for (std::uint32_t i = 1; i < map.rank; ++i) {
    if (map.strides[i] % stride_unit)
      return fmt::format("globalStrides[{}] must be a multiple of {} bytes, but is {}", i - 1, stride_unit,
                         map.strides[i]);
    if (map.strides[i] >= std::uint64_t(1) << 40)
      return fmt::format("globalStrides[{}] must be less than 2^40 bytes, but is {}", i - 1, map.strides[i]);
  }

  for (std::uint32_t i = 0; i < map.rank; ++i)
    if (map.box[i] < 1 || map.box[i] > 256) return fmt::format("boxDim[{}] must be 1 to 256, but is {}", i, map.box[i]);
  const std::uint64_t inner_bytes = std::uint64_t(map.box[0]) * element_bytes(map.type);
  if (align16 && map.box[0] != 128)
    return fmt::format("boxDim[0] must be 128 with this packed type, but is {}", map.box[0]);
  if (map.type == TensorDataType::u4x16_align8 && map.box[0] % 32)
    return fmt::format("boxDim[0] must span a multiple of 16 bytes, but spans {} elements of 4 bits", map.box[0]);
  if (!interleaved && inner_bytes % 16)
    return fmt::format("boxDim[0] must span a multiple of 16 bytes, but spans {}", inner_bytes);

  for (std::uint32_t i = interleaved ? 0 : 1; i < map.rank; ++i)
    if (map.element_strides[i] < 1 || map.element_strides[i] > 8)
      return fmt::format("elementStrides[{}] must be 1 to 8, but is {}", i, map.element_strides[i]);

  const std::uint32_t span = swizzle_span(map.swizzle);
  if (!interleaved && span && inner_bytes > span)
    return fmt::format("boxDim[0] must span at most the {} bytes of the swizzle, but spans {}", span, inner_bytes);
  if (interleave32 && map.swizzle != TensorSwizzle::bytes32)
    return std::string("swizzle must be CU_TENSOR_MAP_SWIZZLE_32B with CU_TENSOR_MAP_INTERLEAVE_32B");
  if (map.type == TensorDataType::u6x16_align16 && interleaved)
    return std::string("interleave must be CU_TENSOR_MAP_INTERLEAVE_NONE with CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B");

  if (map.oob_fill == TensorOobFill::nan_request_zero_fma && !is_floating_point(map.type))
    return std::string("oobFill may ask for NaN only with a floating-point tensorDataType");

  if (is_packed(map.type)) return std::string("the packed 4-bit and 6-bit data types need compute capability 10.0");
  if (map.swizzle > TensorSwizzle::bytes128)
    return std::string("swizzle atoms other than 16 bytes need compute capability 10.0");
  return std::nullopt;
}

std::optional<std::string> find_unmodelled(const TensorMap& map) {
  if (map.interleave != TensorInterleave::none) return std::string("interleaved layouts are not modelled");
  return std::nullopt;
}

// Words: 0 magic; 1 the small fields; 2 address; 3-5 sizes less one; 6-9 strides; 10-11 box and steps; 15 checksum.
void encode(const TensorMap& map, void* blob) {
  Words words{};
  words[0] = magic;
  words[1] = std::uint64_t(map.type) | std::uint64_t(map.rank) << 8 | std::uint64_t(map.swizzle) << 12 |
             std::uint64_t(map.interleave) << 32 | std::uint64_t(map.l2_promotion) << 36 |
             std::uint64_t(map.oob_fill) << 40;
  words[2] = map.global_address;
  for (int i = 0; i < TensorMap::max_rank; ++i) {
    words[3 + i / 2] |= std::uint64_t(std::uint32_t(map.sizes[i] - 1)) << 32 * (i % 2);
    if (i > 0) words[5 + i] = map.strides[i];
    words[i < 4 ? 10 : 11] |= std::uint64_t(map.box[i]) << 16 * (i % 4);
    words[11] |= std::uint64_t(map.element_strides[i]) << (16 + 8 * i);
  }
  words[15] = checksum(words);
  std::memcpy(blob, words.data(), tensor_map_bytes);
}

bool decode(const void* blob, TensorMap& map, std::string* reason) {
  auto fail = [reason](const char* why) {
    if (reason) *reason = why;
    return false;
  };
  Words words;
  std::memcpy(words.data(), blob, tensor_map_bytes);
  if (words[0] != magic) return fail("the 128 bytes are not a tensor map that cuTensorMapEncodeTiled wrote");
  if (words[15] != checksum(words)) return fail("the tensor map was modified after it was encoded");

  map = TensorMap{};
  map.type = TensorDataType(field(words[1], 0, 8));
  map.rank = std::uint32_t(field(words[1], 8, 4));
  map.swizzle = TensorSwizzle(field(words[1], 12, 4));
  map.interleave = TensorInterleave(field(words[1], 32, 4));
  map.l2_promotion = TensorL2Promotion(field(words[1], 36, 4));
  map.oob_fill = TensorOobFill(field(words[1], 40, 4));
  map.global_address = words[2];
  map.strides[0] = element_bytes(map.type);
  for (int i = 0; i < TensorMap::max_rank; ++i) {
    map.sizes[i] = field(words[3 + i / 2], 32 * (i % 2), 32) + 1;
    if (i > 0) map.strides[i] = words[5 + i];
    map.box[i] = std::uint32_t(field(words[i < 4 ? 10 : 11], 16 * (i % 4), 16));
    map.element_strides[i] = std::uint32_t(field(words[11], 16 + 8 * i, 8));
  }
  return true;
}

}  // namespace emu
