#include "isa/binder.hpp"

// Scalar arithmetic and comparison. Two instructions show the pattern.
namespace emu::isa {

namespace {

template <class T> struct Add {
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a + b;
    else
      return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
};

template <template <class> class Operation> Handler binary_of(ptx::Type type) {
  using ptx::Type;
  switch (type) {
    case Type::u16:
    case Type::s16: return binary<std::uint16_t, std::uint16_t, Operation<std::uint16_t>>;
    case Type::u32:
    case Type::s32: return binary<std::uint32_t, std::uint32_t, Operation<std::uint32_t>>;
    case Type::u64:
    case Type::s64: return binary<std::uint64_t, std::uint64_t, Operation<std::uint64_t>>;
    case Type::f32: return binary<float, float, Operation<float>>;
    case Type::f64: return binary<double, double, Operation<double>>;
    default: return nullptr;
  }
}

bool bind_add(Binder& b) {
  b.result_and_sources(2, b.type());
  return b.handle(binary_of<Add>(b.type()));
}

enum Comparison { eq, ne, lt, le, gt, ge };

template <class T, int comparison> Next set_predicate(Context& c, const Decoded& in) {
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  std::uint32_t result = 0;
  for (int lane = 0; lane < lanes; ++lane) {
    const T x = read<T>(a, lane), y = read<T>(b, lane);
    bool is = false;
    switch (comparison) {
      case eq: is = x == y; break;
      case ne: is = x != y; break;
      case lt: is = x < y; break;
      case le: is = x <= y; break;
      case gt: is = x > y; break;
      case ge: is = x >= y; break;
    }
    result |= static_cast<std::uint32_t>(is) << lane;
  }
  c.set_predicate(in.d, result);
  c.set_predicate(in.d2, ~result);
  return Next::next;
}

template <class T> Handler set_predicate_of(int comparison) {
  switch (comparison) {
    case eq: return set_predicate<T, eq>;
    case ne: return set_predicate<T, ne>;
    case lt: return set_predicate<T, lt>;
    case le: return set_predicate<T, le>;
    case gt: return set_predicate<T, gt>;
    case ge: return set_predicate<T, ge>;
    default: return nullptr;
  }
}

// setp.lt.s32 p|q, a, b; the forms with a third source are still to do.
bool bind_setp(Binder& b) {
  if (b.operand_count() != 3) return false;
  b.result(0);  // d and, of p|q, d2
  b.source(0, 1, b.type());
  b.source(1, 2, b.type());
  const int comparison = b.which({"eq", "ne", "lt", "le", "gt", "ge"});
  switch (b.type()) {
    case ptx::Type::s32: return b.handle(set_predicate_of<std::int32_t>(comparison));
    case ptx::Type::u32: return b.handle(set_predicate_of<std::uint32_t>(comparison));
    default: return false;
  }
}

}  // namespace

void register_arithmetic(Registry& registry) {
  registry.add("add", bind_add);
  registry.add("setp", bind_setp);
}

}  // namespace emu::isa
