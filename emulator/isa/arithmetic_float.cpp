#include <cfenv>
#include <cmath>

#include "async/float_formats.hpp"
#include "isa/arithmetic.hpp"
#include "isa/dispatch.hpp"
#include "isa/numeric.hpp"

// PTX ISA 9.7.3 to 9.7.5: floating-point arithmetic. f32 and f64 in the default rounding run on the host's own arithmetic;
// everything else is computed in double, rounded to odd, and rounded once more to its format. This file is compiled with
// -frounding-math, since f64 in other roundings uses the host's.
namespace emu::isa {

namespace {

using ptx::Type;

/// Decoded::flags of an instruction that is not plain.
struct Flags {
  Rounding rounding = Rounding::nearest;
  bool flush = false, saturate = false, relu = false, nan = false, xorsign = false;

  std::uint32_t pack() const {
    return static_cast<std::uint32_t>(rounding) | flush << 3 | saturate << 4 | relu << 5 | nan << 6 | xorsign << 7;
  }
  static Flags unpack(std::uint32_t bits) {
    return {static_cast<Rounding>(bits & 7),
            (bits & 8) != 0,
            (bits & 16) != 0,
            (bits & 32) != 0,
            (bits & 64) != 0,
            (bits & 128) != 0};
  }
  static Flags of(const Binder& b) {
    Flags flags;
    const int rounding = b.which({"rn", "rz", "rm", "rp"});
    if (rounding >= 0) flags.rounding = static_cast<Rounding>(rounding);
    flags.flush = b.has("ftz");
    flags.saturate = b.has("sat");
    flags.relu = b.has("relu");
    flags.nan = b.has("NaN");
    flags.xorsign = b.has("xorsign") && b.has("abs");  // they come together
    return flags;
  }
};

float flushed(float value) { return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.f, value) : value; }

/// The result as a double that is rounded to odd, for operands of at most 26 bits.
double compute(FloatOperation operation, double a, double b, double c) {
  switch (operation) {
    case FloatOperation::add: return odd_sum(a, b);
    case FloatOperation::subtract: return odd_sum(a, -b);
    case FloatOperation::multiply: return a * b;
    case FloatOperation::fma: return odd_fma(a, b, c);
    case FloatOperation::divide: return odd_quotient(a, b);
    case FloatOperation::reciprocal: return odd_quotient(1, a);
    case FloatOperation::root: return odd_root(a);
    case FloatOperation::absolute: return std::fabs(a);
    case FloatOperation::negate: return -a;
    default: return 0;
  }
}

/// minNum and maxNum of IEEE 754-2008, with -0 below +0.
double extreme(bool is_min, bool nan_wins, double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return nan_wins || (std::isnan(a) && std::isnan(b)) ? NAN : std::isnan(a) ? b : a;
  if (a == b) return std::signbit(a) == is_min ? a : b;
  return (a < b) == is_min ? a : b;
}

/// One element of a format of up to 32 bits: everything but the plain cases.
std::uint32_t element(FloatOperation operation, Flags flags, FloatFormat format, std::uint32_t a, std::uint32_t b,
                      std::uint32_t c) {
  const auto value = [&](std::uint32_t raw) {
    if (format.width() == 32) {
      const float single = std::bit_cast<float>(raw);
      return double{flags.flush ? flushed(single) : single};
    }
    auto half = static_cast<std::uint16_t>(raw);
    if (flags.flush && (half & format.infinity()) == 0) half &= 0x8000;
    return double{format.exponent_bits == 5 ? async::f16_to_float(half) : async::bf16_to_float(half)};
  };
  double x = value(a), y = value(b), result = 0;
  const bool is_min = operation == FloatOperation::minimum;
  if (is_min || operation == FloatOperation::maximum) {
    if (flags.xorsign) x = std::fabs(x), y = std::fabs(y);
    result = extreme(is_min, flags.nan, x, y);
    if (flags.xorsign && !std::isnan(result)) result = std::copysign(result, ((a ^ b) & format.sign()) ? -1.0 : 1.0);
  } else {
    result = compute(operation, x, y, value(c));
    // Rounding down, what cancels is -0.
    if (result == 0 && flags.rounding == Rounding::down && !std::signbit(result)) {
      const bool is_fma = operation == FloatOperation::fma, is_sub = operation == FloatOperation::subtract;
      const double first = is_fma ? x * y : x, second = is_fma ? value(c) : is_sub ? -y : y;
      if ((is_fma || is_sub || operation == FloatOperation::add) && (std::signbit(first) || std::signbit(second)))
        result = -0.0;
    }
  }
  if (flags.relu && result <= 0) result = 0;
  if (flags.saturate) {
    if (std::isnan(result) || result <= 0) result = 0;
    if (result > 1) result = 1;
  }
  return static_cast<std::uint32_t>(
      encode(decode(std::bit_cast<std::uint64_t>(result), format_f64), format, flags.rounding, false, flags.flush));
}

template <FloatOperation operation, int format_number, bool pair> Next general(Context& c, const Decoded& in) {
  constexpr FloatFormat format = format_number == 0 ? format_f32 : format_number == 1 ? format_f16 : format_bf16;
  const Flags flags = Flags::unpack(in.flags);
  std::byte* d = c.target(in.d);
  const std::byte* sources[3];
  for (int i = 0; i < 3; ++i) sources[i] = c.source(in.s[in.s[i].exists() ? i : 0]);
  for_lanes(c.mask, [&](int lane) {
    std::uint32_t raw[3];
    for (int i = 0; i < 3; ++i) raw[i] = read<std::uint32_t>(sources[i], lane);
    std::uint32_t result = element(operation, flags, format, raw[0], raw[1], raw[2]);
    if constexpr (pair) result |= element(operation, flags, format, raw[0] >> 16, raw[1] >> 16, raw[2] >> 16) << 16;
    write<std::uint32_t>(d, lane, result);
  });
  return Next::next;
}

template <FloatOperation operation> Handler general_of(Type type) {
  switch (type) {
    case Type::f32: return general<operation, 0, false>;
    case Type::f16: return general<operation, 1, false>;
    case Type::f16x2: return general<operation, 1, true>;
    case Type::bf16: return general<operation, 2, false>;
    case Type::bf16x2: return general<operation, 2, true>;
    default: return nullptr;
  }
}

/// An f32 result that is NaN has one pattern on NVIDIA's hardware; of f64 the operand's payload stays, as on the host.
template <class T> T with_its_nan(T result) {
  if constexpr (sizeof(T) == sizeof(float)) {
    const auto bits = std::bit_cast<std::uint32_t>(result);
    return (bits & 0x7fffffff) > 0x7f800000 ? std::bit_cast<T>(static_cast<std::uint32_t>(format_f32.nan())) : result;
  } else {
    return result;
  }
}

/// f32 and f64 in the rounding of IEEE's default, without flags.
template <class T> Handler plain(FloatOperation operation) {
  switch (operation) {
    case FloatOperation::add: return binary_handler<T, T>([](T a, T b) { return with_its_nan(a + b); });
    case FloatOperation::subtract: return binary_handler<T, T>([](T a, T b) { return with_its_nan(a - b); });
    case FloatOperation::multiply: return binary_handler<T, T>([](T a, T b) { return with_its_nan(a * b); });
    case FloatOperation::fma:
      return ternary_handler<T, T>([](T a, T b, T c) { return with_its_nan(std::fma(a, b, c)); });
    case FloatOperation::divide: return binary_handler<T, T>([](T a, T b) { return with_its_nan(a / b); });
    case FloatOperation::reciprocal: return unary_handler<T, T>([](T a) { return with_its_nan(1 / a); });
    case FloatOperation::root: return unary_handler<T, T>([](T a) { return with_its_nan(std::sqrt(a)); });
    case FloatOperation::minimum:
      return binary_handler<T, T>([](T a, T b) { return with_its_nan(static_cast<T>(extreme(true, false, a, b))); });
    case FloatOperation::maximum:
      return binary_handler<T, T>([](T a, T b) { return with_its_nan(static_cast<T>(extreme(false, false, a, b))); });
    case FloatOperation::absolute: return unary_handler<T, T>([](T a) { return std::fabs(a); });
    case FloatOperation::negate: return unary_handler<T, T>([](T a) { return -a; });
  }
  return nullptr;
}

/// Runs the plain handler of f64 in another rounding of the host's.
template <FloatOperation operation> Next in_rounding(Context& c, const Decoded& in) {
  constexpr int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  static const Handler handler = plain<double>(operation);
  const int before = std::fegetround();
  std::fesetround(modes[in.flags & 7]);
  const Next next = handler(c, in);
  std::fesetround(before);
  return next;
}

/// f(std::integral_constant<FloatOperation, ...>) for the operation.
template <class F> Handler for_operation(FloatOperation operation, F f) {
  using O = FloatOperation;
  switch (operation) {
    case O::add: return f(std::integral_constant<O, O::add>());
    case O::subtract: return f(std::integral_constant<O, O::subtract>());
    case O::multiply: return f(std::integral_constant<O, O::multiply>());
    case O::fma: return f(std::integral_constant<O, O::fma>());
    case O::divide: return f(std::integral_constant<O, O::divide>());
    case O::reciprocal: return f(std::integral_constant<O, O::reciprocal>());
    case O::root: return f(std::integral_constant<O, O::root>());
    case O::minimum: return f(std::integral_constant<O, O::minimum>());
    case O::maximum: return f(std::integral_constant<O, O::maximum>());
    case O::absolute: return f(std::integral_constant<O, O::absolute>());
    case O::negate: return f(std::integral_constant<O, O::negate>());
  }
  return nullptr;
}

int operand_count(FloatOperation operation) {
  switch (operation) {
    case FloatOperation::fma: return 3;
    case FloatOperation::reciprocal:
    case FloatOperation::root:
    case FloatOperation::absolute:
    case FloatOperation::negate: return 1;
    default: return 2;
  }
}

// ---- Functions that PTX calls approximate: computed in double, rounded to f32 ----

template <class Function> Handler approximation(Function) {
  return [](Context& c, const Decoded& in) {
    std::byte* d = c.target(in.d);
    const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[in.s[1].exists() ? 1 : 0]);
    const bool flush = in.flags;
    for_lanes(c.mask, [&](int lane) {
      float x = read<float>(a, lane), y = read<float>(b, lane);
      if (flush) x = flushed(x), y = flushed(y);
      const float result = with_its_nan(static_cast<float>(Function{}(double{x}, double{y})));
      write<float>(d, lane, flush ? flushed(result) : result);
    });
    return Next::next;
  };
}

template <class Function> bool bind_approximation(Binder& b, Function function) {
  if (b.type() != Type::f32) return false;
  b.result_and_sources(1, b.type());
  b.out.flags = b.has("ftz");
  return b.handle(approximation(function));
}

/// ex2 and tanh of halves.
template <class Function, bool is_bf16, bool pair> Next half_function(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  const auto one = [flush = in.flags != 0](std::uint32_t raw) -> std::uint32_t {
    const auto flushed_half = [flush](std::uint32_t half) {
      return static_cast<std::uint16_t>(flush && (half & (is_bf16 ? 0x7f80 : 0x7c00)) == 0 ? half & 0x8000 : half);
    };
    const auto half = flushed_half(raw);
    const auto result =
        static_cast<float>(Function{}(double{is_bf16 ? async::bf16_to_float(half) : async::f16_to_float(half)}, 0.0));
    return flushed_half(is_bf16 ? async::float_to_bf16(result) : async::float_to_f16(result));
  };
  for_lanes(c.mask, [&](int lane) {
    const auto raw = read<std::uint32_t>(a, lane);
    write<std::uint32_t>(d, lane, pair ? one(raw) | one(raw >> 16) << 16 : one(raw));
  });
  return Next::next;
}

template <class Function> bool bind_function(Binder& b, Function function) {
  if (b.type() == Type::f32) return bind_approximation(b, function);
  b.result_and_sources(1, b.type());
  b.out.flags = b.has("ftz");
  switch (b.type()) {
    case Type::f16: return b.handle(half_function<Function, false, false>);
    case Type::f16x2: return b.handle(half_function<Function, false, true>);
    case Type::bf16: return b.handle(half_function<Function, true, false>);
    case Type::bf16x2: return b.handle(half_function<Function, true, true>);
    default: return false;
  }
}

/// The forms in f64 take and give the upper 32 bits: the rest of the operand is not looked at, the rest of the result is 0. What is
/// subnormal is 0.
template <class Function> bool bind_upper_half(Binder& b, Function) {
  b.result_and_sources(1, b.type());
  b.has("ftz");
  return b.handle(unary_handler<std::uint64_t, std::uint64_t>([](std::uint64_t raw) {
    const auto cut = [](double value) {
      if (std::fpclassify(value) == FP_SUBNORMAL) value = std::copysign(0.0, value);
      return std::bit_cast<std::uint64_t>(value) & ~std::uint64_t{0xffffffff};
    };
    const double result =
        Function{}(std::bit_cast<double>(cut(std::bit_cast<double>(raw & ~std::uint64_t{0xffffffff}))));
    return std::isnan(result) ? std::uint64_t{0x7fffffff} << 32 : cut(result);
  }));
}

bool bind_rcp(Binder& b) {
  if (b.has("approx") && b.type() == Type::f32) return bind_approximation(b, [](double a, double) { return 1 / a; });
  if (b.has("approx")) return b.has("ftz") && bind_upper_half(b, [](double a) { return 1 / a; });
  return bind_float_arithmetic(b, FloatOperation::reciprocal);
}
bool bind_rsqrt(Binder& b) {
  if (b.type() == Type::f64) return bind_upper_half(b, [](double a) { return 1 / std::sqrt(a); });
  return bind_approximation(b, [](double a, double) { return 1 / std::sqrt(a); });
}
bool bind_sqrt(Binder& b) {
  if (b.has("approx")) return bind_approximation(b, [](double a, double) { return std::sqrt(a); });
  return bind_float_arithmetic(b, FloatOperation::root);
}

// ---- Bits of floats ----

bool bind_copysign(Binder& b) {
  b.result_and_sources(2, b.type());
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T sign, T value) {
      constexpr T top = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
      return static_cast<T>((value & static_cast<T>(~top)) | (sign & top));
    });
  }));
}

enum class Property { finite, infinite, number, notanumber, normal, subnormal };

template <class T> Next test_property(Context& c, const Decoded& in) {
  const std::byte* a = c.source(in.s[0]);
  std::uint32_t result = 0;
  for_lanes(c.mask, [&](int lane) {
    const T value = read<T>(a, lane);
    const int kind = std::fpclassify(value);
    bool holds = false;
    switch (static_cast<Property>(in.flags)) {
      case Property::finite: holds = std::isfinite(value); break;
      case Property::infinite: holds = kind == FP_INFINITE; break;
      case Property::number: holds = kind != FP_NAN; break;
      case Property::notanumber: holds = kind == FP_NAN; break;
      case Property::normal: holds = kind == FP_NORMAL; break;
      case Property::subnormal: holds = kind == FP_SUBNORMAL; break;
    }
    result |= static_cast<std::uint32_t>(holds) << lane;
  });
  c.set_predicate(in.d, result);
  return Next::next;
}

bool bind_testp(Binder& b) {
  b.result_and_sources(1, b.type());
  const int property = b.which({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  if (property < 0) return false;
  b.out.flags = static_cast<std::uint32_t>(property);
  return b.handle(b.type() == Type::f32   ? test_property<float>
                  : b.type() == Type::f64 ? test_property<double>
                                          : nullptr);
}

}  // namespace

bool bind_float_arithmetic(Binder& b, FloatOperation operation) {
  if (operation == FloatOperation::divide && (b.has("approx") || b.has("full"))) {
    if (b.type() != Type::f32) return false;
    b.result_and_sources(2, b.type());
    b.out.flags = b.has("ftz");
    return b.handle(approximation([](double x, double y) { return x / y; }));
  }
  b.result_and_sources(operand_count(operation), b.type());
  const Flags flags = Flags::of(b);
  b.out.flags = flags.pack();
  if (b.type() == Type::f64)
    return b.handle(flags.rounding == Rounding::nearest
                        ? plain<double>(operation)
                        : for_operation(operation, [](auto o) -> Handler { return in_rounding<decltype(o)::value>; }));
  if (b.type() == Type::f32 && b.out.flags == 0) return b.handle(plain<float>(operation));
  const Type type = b.type();
  return b.handle(for_operation(operation, [type](auto o) -> Handler { return general_of<decltype(o)::value>(type); }));
}

void register_float_arithmetic(Registry& registry) {
  registry.add("fma", [](Binder& b) { return bind_float_arithmetic(b, FloatOperation::fma); });
  registry.add("rcp", bind_rcp);
  registry.add("sqrt", bind_sqrt);
  registry.add("rsqrt", bind_rsqrt);
  registry.add("ex2", [](Binder& b) { return bind_function(b, [](double a, double) { return std::exp2(a); }); });
  registry.add("lg2", [](Binder& b) { return bind_approximation(b, [](double a, double) { return std::log2(a); }); });
  registry.add("sin", [](Binder& b) { return bind_approximation(b, [](double a, double) { return std::sin(a); }); });
  registry.add("cos", [](Binder& b) { return bind_approximation(b, [](double a, double) { return std::cos(a); }); });
  registry.add("tanh", [](Binder& b) { return bind_function(b, [](double a, double) { return std::tanh(a); }); });
  registry.add("copysign", bind_copysign);
  registry.add("testp", bind_testp);
}

}  // namespace emu::isa
