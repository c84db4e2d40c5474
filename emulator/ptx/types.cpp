#include "ptx/types.hpp"

#include <array>

namespace emu::ptx {
namespace {

enum class Family : std::uint8_t { bits, unsigned_integer, signed_integer, floating, opaque };

struct Row {
  Type type;
  std::string_view name;
  int bits;
  Family family;
};

constexpr std::array rows{
    Row{Type::none, "", 0, Family::bits},
    Row{Type::pred, "pred", 1, Family::bits},
    Row{Type::b8, "b8", 8, Family::bits},
    Row{Type::u8, "u8", 8, Family::unsigned_integer},
    Row{Type::s8, "s8", 8, Family::signed_integer},
    Row{Type::b16, "b16", 16, Family::bits},
    Row{Type::u16, "u16", 16, Family::unsigned_integer},
    Row{Type::s16, "s16", 16, Family::signed_integer},
    Row{Type::f16, "f16", 16, Family::floating},
    Row{Type::bf16, "bf16", 16, Family::floating},
    Row{Type::b32, "b32", 32, Family::bits},
    Row{Type::u32, "u32", 32, Family::unsigned_integer},
    Row{Type::s32, "s32", 32, Family::signed_integer},
    Row{Type::f32, "f32", 32, Family::floating},
    Row{Type::tf32, "tf32", 32, Family::floating},
    Row{Type::b64, "b64", 64, Family::bits},
    Row{Type::u64, "u64", 64, Family::unsigned_integer},
    Row{Type::s64, "s64", 64, Family::signed_integer},
    Row{Type::f64, "f64", 64, Family::floating},
    Row{Type::b128, "b128", 128, Family::bits},
    Row{Type::f16x2, "f16x2", 32, Family::floating},
    Row{Type::bf16x2, "bf16x2", 32, Family::floating},
    Row{Type::u16x2, "u16x2", 32, Family::unsigned_integer},
    Row{Type::s16x2, "s16x2", 32, Family::signed_integer},
    Row{Type::f32x2, "f32x2", 64, Family::floating},
    Row{Type::e4m3, "e4m3", 8, Family::floating},
    Row{Type::e5m2, "e5m2", 8, Family::floating},
    Row{Type::e4m3x2, "e4m3x2", 16, Family::floating},
    Row{Type::e5m2x2, "e5m2x2", 16, Family::floating},
    Row{Type::e3m2x2, "e3m2x2", 16, Family::floating},
    Row{Type::e2m3x2, "e2m3x2", 16, Family::floating},
    Row{Type::e2m1x2, "e2m1x2", 8, Family::floating},
    Row{Type::ue8m0x2, "ue8m0x2", 16, Family::floating},
    Row{Type::texref, "texref", 64, Family::opaque},
    Row{Type::samplerref, "samplerref", 64, Family::opaque},
    Row{Type::surfref, "surfref", 64, Family::opaque},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].type != static_cast<Type>(i)) return false;
  return rows.back().type == Type::surfref;
}
static_assert(in_order(), "one row a type, in the order of the enumeration");

const Row& row_of(Type type) { return rows[static_cast<std::size_t>(type)]; }

}  // namespace

Type type_of(std::string_view name) {
  if (name.empty()) return Type::none;
  for (const Row& row : rows)
    if (row.name == name) return row.type;
  return Type::none;
}

std::string_view name_of(Type type) { return row_of(type).name; }
int bits_of(Type type) { return row_of(type).bits; }
int bytes_of(Type type) { return row_of(type).bits / 8; }
bool is_float(Type type) { return row_of(type).family == Family::floating; }
bool is_signed(Type type) { return row_of(type).family == Family::signed_integer; }
bool is_unsigned(Type type) { return row_of(type).family == Family::unsigned_integer; }

std::string_view name_of(Space space) {
  constexpr std::string_view names[] = {"global", "const", "shared", "local", "param"};
  return names[static_cast<std::size_t>(space)];
}

}  // namespace emu::ptx
