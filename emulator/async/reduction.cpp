#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "async/copy.hpp"
#include "async/float_formats.hpp"

namespace emu::async {
namespace {

template <class Bits> Bits load(const std::byte* from) {
  Bits bits;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

/// target[i] = combine(target[i], source[i]) on elements of Bits.
template <class Bits, class Combine>
void apply(std::byte* target, const std::byte* source, std::size_t bytes, Combine combine) {
  for (std::size_t i = 0; i < bytes; i += sizeof(Bits)) {
    std::atomic_ref<Bits> element(*reinterpret_cast<Bits*>(target + i));
    const Bits operand = load<Bits>(source + i);
    Bits old = element.load(std::memory_order_relaxed);
    while (!element.compare_exchange_weak(old, combine(old, operand), std::memory_order_acq_rel)) {}
  }
}

template <class T>
void reduce_integers(ReduceOperation operation, std::byte* target, const std::byte* source, std::size_t bytes) {
  using Bits = std::make_unsigned_t<T>;
  switch (operation) {
    case ReduceOperation::add: return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return a + b; });
    case ReduceOperation::min:
      return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return Bits(std::min(T(a), T(b))); });
    case ReduceOperation::max:
      return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return Bits(std::max(T(a), T(b))); });
    case ReduceOperation::inc:
      return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return a >= b ? Bits(0) : a + 1; });
    case ReduceOperation::dec:
      return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return a == 0 || a > b ? b : a - 1; });
    case ReduceOperation::bit_and: return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return a & b; });
    case ReduceOperation::bit_or: return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return a | b; });
    case ReduceOperation::bit_xor: return apply<Bits>(target, source, bytes, [](Bits a, Bits b) { return a ^ b; });
  }
}

/// min and max give the number if one operand is a NaN, and order the zeros.
template <class T> T smaller(T a, T b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  return a == b ? (std::signbit(a) ? a : b) : std::min(a, b);
}

template <class Bits, class T, class Decode, class Encode>
void reduce_floats(ReduceOperation operation, std::byte* target, const std::byte* source, std::size_t bytes,
                   Decode decode, Encode encode) {
  switch (operation) {
    case ReduceOperation::add:
      return apply<Bits>(target, source, bytes, [&](Bits a, Bits b) { return encode(decode(a) + decode(b)); });
    case ReduceOperation::min:
      return apply<Bits>(target, source, bytes,
                         [&](Bits a, Bits b) { return encode(smaller<T>(decode(a), decode(b))); });
    case ReduceOperation::max:
      return apply<Bits>(target, source, bytes,
                         [&](Bits a, Bits b) { return encode(-smaller<T>(-decode(a), -decode(b))); });
    default: return;
  }
}

constexpr const char* operation_names[] = {"add", "min", "max", "inc", "dec", "and", "or", "xor"};
struct TypeRow {
  const char* name;
  std::uint32_t bytes;
};
constexpr TypeRow type_rows[] = {{"u32", 4},  {"s32", 4}, {"u64", 8}, {"s64", 8}, {"f16", 2},
                                 {"bf16", 2}, {"f32", 4}, {"f64", 8}, {"b32", 4}, {"b64", 8}};

}  // namespace

std::uint32_t bytes_of(ReduceType type) { return type_rows[static_cast<int>(type)].bytes; }
const char* name_of(ReduceOperation operation) { return operation_names[static_cast<int>(operation)]; }
const char* name_of(ReduceType type) { return type_rows[static_cast<int>(type)].name; }

void reduce(ReduceOperation operation, ReduceType type, std::byte* target, const std::byte* source, std::size_t bytes) {
  switch (type) {
    case ReduceType::u32:
    case ReduceType::b32: return reduce_integers<std::uint32_t>(operation, target, source, bytes);
    case ReduceType::s32: return reduce_integers<std::int32_t>(operation, target, source, bytes);
    case ReduceType::u64:
    case ReduceType::b64: return reduce_integers<std::uint64_t>(operation, target, source, bytes);
    case ReduceType::s64: return reduce_integers<std::int64_t>(operation, target, source, bytes);
    case ReduceType::f16:
      return reduce_floats<std::uint16_t, float>(operation, target, source, bytes, f16_to_float, float_to_f16);
    case ReduceType::bf16:
      return reduce_floats<std::uint16_t, float>(operation, target, source, bytes, bf16_to_float, float_to_bf16);
    case ReduceType::f32:
      return reduce_floats<std::uint32_t, float>(
          operation, target, source, bytes, [](std::uint32_t a) { return std::bit_cast<float>(a); },
          [](float a) { return std::bit_cast<std::uint32_t>(a); });
    case ReduceType::f64:
      return reduce_floats<std::uint64_t, double>(
          operation, target, source, bytes, [](std::uint64_t a) { return std::bit_cast<double>(a); },
          [](double a) { return std::bit_cast<std::uint64_t>(a); });
  }
}

}  // namespace emu::async
