#pragma once

#include <cstdint>
#include <type_traits>

#include "isa/binder.hpp"

// From types that are known when a kernel is decoded to handlers that are templates.
namespace emu::isa {

/// The handler of a stateless lambda, applied in each lane by itself.
template <class R, class T, class Operation> Handler unary_handler(Operation) {
  return vectorized<unary<R, T, Operation>>();
}
template <class R, class T, class Operation> Handler binary_handler(Operation) {
  return vectorized<binary<R, T, Operation>>();
}
template <class R, class T, class Operation> Handler ternary_handler(Operation) {
  return vectorized<ternary<R, T, Operation>>();
}

/// make(std::type_identity<T>()) for the integer type T of `type`, of 16 bits and more; .b types count as unsigned. Null for other
/// types.
template <class Make> Handler for_arithmetic(ptx::Type type, Make&& make) {
  using ptx::Type;
  switch (type) {
    case Type::b16:
    case Type::u16: return make(std::type_identity<std::uint16_t>());
    case Type::s16: return make(std::type_identity<std::int16_t>());
    case Type::b32:
    case Type::u32: return make(std::type_identity<std::uint32_t>());
    case Type::s32: return make(std::type_identity<std::int32_t>());
    case Type::b64:
    case Type::u64: return make(std::type_identity<std::uint64_t>());
    case Type::s64: return make(std::type_identity<std::int64_t>());
    default: return nullptr;
  }
}

/// The same with the types of 8 bits, which only memory and conversions know.
template <class Make> Handler for_integer(ptx::Type type, Make&& make) {
  using ptx::Type;
  if (type == Type::b8 || type == Type::u8) return make(std::type_identity<std::uint8_t>());
  if (type == Type::s8) return make(std::type_identity<std::int8_t>());
  return for_arithmetic(type, make);
}

/// The same for the unsigned type of as many bits as `type` has, whatever it is: 16, 32 or 64.
template <class Make> Handler for_bits(ptx::Type type, Make&& make) {
  switch (ptx::bits_of(type)) {
    case 16: return make(std::type_identity<std::uint16_t>());
    case 32: return make(std::type_identity<std::uint32_t>());
    case 64: return make(std::type_identity<std::uint64_t>());
    default: return nullptr;
  }
}

/// T with all the bits of two: for products.
template <class T> struct Twice;
template <> struct Twice<std::uint16_t> { using type = std::uint32_t; };
template <> struct Twice<std::int16_t> { using type = std::int32_t; };
template <> struct Twice<std::uint32_t> { using type = std::uint64_t; };
template <> struct Twice<std::int32_t> { using type = std::int64_t; };
__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;
template <> struct Twice<std::uint64_t> { using type = Uint128; };
template <> struct Twice<std::int64_t> { using type = Int128; };
template <class T> using twice_t = typename Twice<T>::type;

}  // namespace emu::isa
