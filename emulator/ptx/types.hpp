#pragma once

#include <cstdint>
#include <string_view>

namespace emu::ptx {

/// PTX ISA 5.2: fundamental, packed and alternate floating-point types.
enum class Type : std::uint8_t {
  none,
  pred,
  b8,
  u8,
  s8,
  b16,
  u16,
  s16,
  f16,
  bf16,
  b32,
  u32,
  s32,
  f32,
  tf32,
  b64,
  u64,
  s64,
  f64,
  b128,
  f16x2,
  bf16x2,
  u16x2,
  s16x2,
  f32x2,
  e4m3,
  e5m2,
  e4m3x2,
  e5m2x2,
  e3m2x2,
  e2m3x2,
  e2m1x2,
  ue8m0x2,
  texref,
  samplerref,
  surfref,
};

/// The type that `name` ("f32", without a dot) spells; Type::none if none does.
Type type_of(std::string_view name);
/// As PTX spells it, without a dot.
std::string_view name_of(Type type);
/// Bits of a value; 1 for pred, 0 for none, 64 for the opaque types.
int bits_of(Type type);
/// Bytes that a value takes in memory; 0 for pred and none.
int bytes_of(Type type);

bool is_float(Type type);     // f16, bf16, f32, tf32, f64 and the packed ones
bool is_signed(Type type);    // s8 to s64, s16x2
bool is_unsigned(Type type);  // u8 to u64, u16x2

/// State spaces of variables.
enum class Space : std::uint8_t { global, constant, shared, local, param };
std::string_view name_of(Space space);

}  // namespace emu::ptx
