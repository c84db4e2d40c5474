#pragma once

#include <cstdint>
#include <string>

#include "isa_harness.hpp"

namespace isa_test {

using U = std::uint64_t;
using S = std::int64_t;
using Wide = __int128;

struct IntegerType {
  const char* name;
  int bits;
  bool is_signed;
};

inline constexpr IntegerType all_types[] = {{"u16", 16, false}, {"s16", 16, true},  {"u32", 32, false},
                                            {"s32", 32, true},  {"u64", 64, false}, {"s64", 64, true}};

/// The value of an operand of that type.
inline Wide value_of(U raw, IntegerType type) {
  return type.is_signed ? Wide{as_signed(raw, type.bits)} : Wide{low(raw, type.bits)};
}

inline U bits_of(Wide value, int bits) { return low(static_cast<U>(value), bits); }

inline std::string reg(char letter, int bits) { return '{' + std::string(1, letter) + std::to_string(bits) + '}'; }

}  // namespace isa_test
