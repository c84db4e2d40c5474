#include <cstdlib>
#include <cstring>

#include "fuzz.hpp"
#include "tensor_map/tensor_map.hpp"

// An input is a tensor map's fields, then the 128 bytes of a blob.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  emu::TensorMap map;
  if (size >= 128) {
    auto byte = [&](std::size_t i) { return data[i]; };
    auto word = [&](std::size_t i) {
      std::uint64_t value;
      std::memcpy(&value, data + i, 8);
      return value;
    };
    map.type = emu::TensorDataType(byte(0));
    map.rank = byte(1);
    map.interleave = emu::TensorInterleave(byte(2));
    map.swizzle = emu::TensorSwizzle(byte(3));
    map.l2_promotion = emu::TensorL2Promotion(byte(4));
    map.oob_fill = emu::TensorOobFill(byte(5));
    map.strides[0] = emu::element_bytes(map.type);
    map.global_address = word(8);
    for (std::size_t i = 0; i < 5 && i < map.rank; ++i) {
      map.sizes[i] = word(16 + 8 * i);
      if (i > 0) map.strides[i] = word(56 + 8 * i);
      map.box[i] = byte(96 + i) + (byte(101 + i) & 1) * 255u;
      map.element_strides[i] = byte(106 + i);
    }
    if (map.interleave == emu::TensorInterleave::none) map.element_strides[0] = 1;
    if (!emu::find_violation(map)) {
      // What is valid comes back unchanged.
      alignas(emu::tensor_map_alignment) unsigned char blob[emu::tensor_map_bytes];
      emu::encode(map, blob);
      emu::TensorMap decoded;
      if (!emu::decode(blob, decoded) || decoded != map) std::abort();
    }
  }
  if (size >= 256) {
    emu::TensorMap decoded;
    std::string reason;
    if (emu::decode(data + 128, decoded, &reason) && decoded.rank > 15) std::abort();
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::string fields(128, '\0');
  auto put = [&](std::size_t at, std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) fields[at + i] = char(value >> 8 * i);
  };
  put(0, 9, 1), put(1, 3, 1), put(3, 3, 1), put(8, 0x7f0000000000, 8);
  for (int i = 0; i < 5; ++i) put(16 + 8 * i, 1000 + i, 8), put(96 + i, 64, 1), put(106 + i, 1, 1);
  for (int i = 1; i < 5; ++i) put(56 + 8 * i, 2048u << 4 * i, 8);
  emu::TensorMap map;
  map.type = emu::TensorDataType::bf16;
  map.rank = 2;
  map.box = {64, 64, 1, 1, 1};
  std::string blob(emu::tensor_map_bytes, '\0');
  emu::encode(map, blob.data());
  return {fields + blob};
}
