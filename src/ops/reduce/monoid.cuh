#pragma once

// What reductions accumulate. A monoid has
//   State                          what crosses threads and blocks; the order of combine()'s operands decides about rounding alone
//   identity                       of combine()
//   pivot(first)                   what elements of one output are taken relative to, given the first of them
//   filler(pivot)                  an element that changes nothing, for places beyond the end; where places matter it must come last
//   of(x, pivot, place)            the state of N elements, at place(0) < place(1) < ... among those of the output
//   result(state)                  the output, which is rounded to y's type
//   packed                         whether of() looks at pairs of 16-bit elements
//   has_levels                     whether states of one level() are combined by plus(), and at_level() brings them to a higher one

#include <bit>

#include <cutlass/functional.h>

#include "device/largest.cuh"
#include "device/numeric.cuh"
#include "device/packed.cuh"
#include "device/tree.cuh"
#include "ops/reduce/config.hpp"
#include "ops/reduce/params.hpp"

namespace ckl::device {

/// The types that elements of D become.
template <DType D> struct Arithmetic {
  using T = Element<D>;
  static constexpr bool integer = D == DType::i32 || D == DType::i64;
  /// Exactly an element, in a type that has arithmetic.
  using Exact = cute::conditional_t<D == DType::f64 || integer, T, float>;
  /// What is accumulated over many elements.
  using Wide = cute::conditional_t<integer, int64_t, double>;
  /// What is accumulated over the few elements that a thread loads at a time.
  using Narrow = cute::conditional_t<integer, int64_t, Exact>;
  static constexpr Exact lowest = integer ? Exact(D == DType::i32 ? INT32_MIN : INT64_MIN) : Exact(-INFINITY);
};

/// A float that 16-bit formats round as they would round `value` itself: where it is not exact, its last bit is odd, and so it is no tie.
CUTE_DEVICE float rounded_to_odd(double value) {
  float nearest = float(value);
  if (double(nearest) == value) return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  bool away_from_zero = cute::abs(double(nearest)) > cute::abs(value);
  return std::bit_cast<float>((bits - away_from_zero) | 1);
}

/// `x` as it is, or without its sign: by one mask for all elements.
template <class T> CUTE_DEVICE T with_sign_bit(T x, bool keep) {
  using Bits = cute::uint_bit_t<cute::sizeof_bits_v<T>>;
  constexpr Bits all = Bits(-1);
  return std::bit_cast<T>(Bits(std::bit_cast<Bits>(x) & (keep ? all : all >> 1)));
}

/// Calls f(y) with y as a pointer to elements of type `dtype`.
template <class F> CUTE_DEVICE void with_output(DType dtype, void* y, F const& f) {
  switch (dtype) {
    case DType::f64: f(static_cast<double*>(y)); break;
    case DType::f32: f(static_cast<float*>(y)); break;
    case DType::f16: f(static_cast<cutlass::half_t*>(y)); break;
    case DType::bf16: f(static_cast<cutlass::bfloat16_t*>(y)); break;
    case DType::i64: f(static_cast<int64_t*>(y)); break;
    case DType::i32: f(static_cast<int32_t*>(y)); break;
    default: f(static_cast<uint8_t*>(y)); break;
  }
}

/// `value` as an output: rounded once; of integers the lower bits; a uint8_t says whether it is not 0.
template <class To, class Value> CUTE_DEVICE To rounded(Value value) {
  if constexpr (cute::is_same_v<To, uint8_t>)
    return uint8_t(value != Value(0));
  else if constexpr (cute::is_same_v<To, int32_t>)
    return int32_t(int64_t(value));
  else if constexpr (sizeof(To) == 2 && !cute::is_same_v<Value, float>)
    return To(rounded_to_odd(double(value)));
  else
    return To(value);
}

/// An array as a register tensor, one of several elements.
template <class T, int N> CUTE_DEVICE auto in_registers(T const (&x)[N]) {
  return cute::make_tensor(cute::make_rmem_ptr(&x[0]), cute::Shape<cute::Int<N>>{});  // (N)
}

/// Element `i` of a dense register tensor in a type that has arithmetic.
template <DType D, class Registers> CUTE_DEVICE typename Arithmetic<D>::Exact exactly(Registers const& rX, int i) {
  if constexpr (sizeof(typename Arithmetic<D>::T) == 2 && decltype(cute::size(rX))::value > 1)
    return unpacked(rX, i);
  else
    return typename Arithmetic<D>::Exact(rX(i));
}

/// What most monoids have in common: no pivot.
struct WithoutPivot {
  static constexpr bool packed = false, has_levels = false;
  ReduceParams const& p;

  struct Pivot {};
  template <class T> CUTE_DEVICE static Pivot pivot(T) { return {}; }
};

template <ReduceFamily F, DType D> struct Monoid;

/// sum, mean, l1: a tree over what is loaded at a time, and f64 (or i64, which wraps around) beyond.
template <DType D> struct Monoid<ReduceFamily::sum, D> : WithoutPivot {
  using A = Arithmetic<D>;
  using T = typename A::T;
  struct State {
    typename A::Wide sum;
  };
  static constexpr State identity{0};

  CUTE_DEVICE static T filler(Pivot) { return T(0); }
  CUTE_DEVICE State operator()(State x, State y) const { return {x.sum + y.sum}; }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot, Place const&) const {
    using Narrow = typename A::Narrow;
    auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      if constexpr (A::integer)
        return Narrow(x[i]);
      else
        return with_sign_bit(Narrow(x[i]), p.op != ReduceOp::l1);
    };
    return {typename A::Wide(reduce_tree_of<N>(value, [](Narrow a, Narrow b) { return a + b; }))};
  }
  CUTE_DEVICE typename A::Wide result(State state) const {
    return p.op == ReduceOp::mean ? typename A::Wide(double(state.sum) / p.divisor) : state.sum;
  }
};

/// The same of so few 16-bit elements that all of them are one tree in f32.
template <DType D> struct ShortSum : WithoutPivot {
  using T = Element<D>;
  static constexpr int most = 64;  // elements
  struct State {
    float sum;
  };
  static constexpr State identity{0};

  CUTE_DEVICE static T filler(Pivot) { return T(0); }
  CUTE_DEVICE State operator()(State x, State y) const { return {x.sum + y.sum}; }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot, Place const&) const {
    auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return with_sign_bit(float(x[i]), p.op != ReduceOp::l1); };
    return {reduce_tree_of<N>(value, [](float a, float b) { return a + b; })};
  }
  CUTE_DEVICE float result(State state) const {
    return p.op == ReduceOp::mean ? float(double(state.sum) / p.divisor) : state.sum;
  }
};

/// product: f64 (or i64, which wraps around) throughout.
template <DType D> struct Monoid<ReduceFamily::product, D> : WithoutPivot {
  using A = Arithmetic<D>;
  using T = typename A::T;
  struct State {
    typename A::Wide product;
  };
  static constexpr State identity{1};

  CUTE_DEVICE static T filler(Pivot) { return T(1); }
  CUTE_DEVICE State operator()(State x, State y) const { return {x.product * y.product}; }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot, Place const&) const {
    using Wide = typename A::Wide;
    Wide terms[N];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < N; ++i) terms[i] = Wide(typename A::Exact(x[i]));
    return {reduce_tree(terms, [](Wide a, Wide b) { return a * b; })};
  }
  CUTE_DEVICE typename A::Wide result(State state) const { return state.product; }
};

/// Turns the order of elements around for min, all and argmin: what is sought is always the largest.
template <DType D> struct Order {
  using A = Arithmetic<D>;
  using Exact = typename A::Exact;
  bool reversed;

  CUTE_DEVICE explicit Order(ReduceOp op)
      : reversed(op == ReduceOp::min || op == ReduceOp::all || op == ReduceOp::argmin) {}

  /// Its own inverse.
  CUTE_DEVICE Exact operator()(Exact x) const {
    // Of floats the sign: by its bit, for all elements with one mask.
    using Bits = cute::conditional_t<A::integer, Exact, cute::uint_bit_t<cute::sizeof_bits_v<Exact>>>;
    constexpr Bits mask = A::integer ? Bits(-1) : Bits(Bits(1) << (cute::sizeof_bits_v<Exact> - 1));
    return std::bit_cast<Exact>(Bits(std::bit_cast<Bits>(x) ^ (reversed ? mask : Bits(0))));
  }
  CUTE_DEVICE Exact least() const { return (*this)(A::lowest); }

  /// N elements in that order, as a register tensor; those that share a register are turned around together.
  template <int N> CUTE_DEVICE auto operator()(typename A::T const (&x)[N]) const {
    using T = typename A::T;
    cute::Tensor rX = cute::make_tensor<T>(cute::Shape<cute::Int<N>>{});  // (N)
    if constexpr (sizeof(T) == 2 && N > 1) {
      cute::Tensor words = cute::recast<uint32_t>(rX);                    // (N / 2)
      cute::Tensor from = cute::recast<uint32_t const>(in_registers(x));  // (N / 2)
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < N / 2; ++i) words(i) = from(i) ^ (reversed ? 0x80008000u : 0u);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < N; ++i) rX(i) = T((*this)(Exact(x[i])));
    }
    return rX;
  }
};

/// min, max, any, all: exact. A NaN is larger, and smaller, than everything; for any and all it is true, as is what is not zero.
template <DType D> struct Monoid<ReduceFamily::extreme, D> : WithoutPivot {
  using A = Arithmetic<D>;
  using T = typename A::T;
  using Exact = typename A::Exact;
  using Larger = cutlass::maximum<Exact, true>;
  struct State {
    Exact largest;
  };
  static constexpr State identity{A::lowest};

  CUTE_DEVICE T filler(Pivot) const { return logical() ? T(p.op == ReduceOp::all) : T(order().least()); }
  CUTE_DEVICE State operator()(State x, State y) const { return {Larger()(x.largest, y.largest)}; }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot, Place const&) const {
    auto nonzero = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return order()(Exact(Exact(x[i]) != Exact(0))); };
    auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return order()(Exact(x[i])); };
    if (logical()) return {reduce_tree_of<N>(nonzero, Larger())};
    return {reduce_tree_of<N>(value, Larger())};
  }
  CUTE_DEVICE Exact result(State state) const {
    // Of no elements at all, any is false and all is true, whatever the identity would say.
    return p.count == 0 ? Exact(p.op == ReduceOp::all) : order()(state.largest);
  }

 private:
  CUTE_DEVICE bool logical() const { return p.op == ReduceOp::any || p.op == ReduceOp::all; }
  CUTE_DEVICE Order<D> order() const { return Order<D>(p.op); }
};

/// argmin, argmax: the first of equals; the first NaN if there is one. Elements become integers of the same order.
template <DType D> struct Monoid<ReduceFamily::arg, D> : WithoutPivot {
  using A = Arithmetic<D>;
  using T = typename A::T;
  using Exact = typename A::Exact;
  using Key = cute::conditional_t<sizeof(typename A::Exact) == 8, int64_t, int32_t>;
  struct State {
    Key key;
    int64_t place;
  };
  static constexpr bool packed = sizeof(T) == 2;
  static constexpr Key least = sizeof(Key) == 8 ? Key(INT64_MIN) : Key(INT32_MIN);
  static constexpr State identity{least, INT64_MAX};

  CUTE_DEVICE T filler(Pivot) const { return T(Order<D>(p.op).least()); }
  CUTE_DEVICE State operator()(State x, State y) const {
    return y.key > x.key || (y.key == x.key && y.place < x.place) ? y : x;
  }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot, Place const& place) const {
    constexpr int FEW = cute::min(N, sizeof(T) == 8 ? 4 : 8), GROUPS = N / FEW;
    auto rX = Order<D>(p.op)(x);
    cutlass::maximum<Exact, true> larger;
    Exact largest_of[GROUPS];
    CUTLASS_PRAGMA_UNROLL
    for (int g = 0; g < GROUPS; ++g)
      largest_of[g] =
          reduce_tree_of<FEW>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return exactly<D>(rX, g * FEW + i); }, larger);
    Exact largest = reduce_tree(largest_of, larger);
    int at;
    if (largest == largest)
      at = first<FEW>(rX, largest_of, [&](Exact y) CUTLASS_LAMBDA_FUNC_INLINE { return y == largest; });
    else  // a NaN equals nothing
      at = first<FEW>(rX, largest_of, [&](Exact y) CUTLASS_LAMBDA_FUNC_INLINE { return y != y; });
    return {key(largest), place(at)};
  }
  CUTE_DEVICE int64_t result(State state) const { return state.place; }

 private:
  /// The number of the first element that `is` holds for, as for the largest of its group of FEW and for no group's before: the group's
  /// elements are chosen first.
  template <int FEW, class Registers, int GROUPS, class Is>
  CUTE_DEVICE static int first(Registers const& rX, Exact const (&largest_of)[GROUPS], Is const& is) {
    using Word = cute::conditional_t<sizeof(T) == 2 && FEW % 2 == 0, uint32_t, T>;
    constexpr int WORDS = int(sizeof(T)) * FEW / int(sizeof(Word));
    cute::Tensor words = cute::recast<Word const>(rX);                       // (WORDS * GROUPS)
    cute::Tensor few = cute::make_tensor<T>(cute::Shape<cute::Int<FEW>>{});  // (FEW)
    cute::Tensor chosen = cute::recast<Word>(few);                           // (WORDS)
    int group = GROUPS - 1;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < WORDS; ++i) chosen(i) = words(group * WORDS + i);
    CUTLASS_PRAGMA_UNROLL
    for (int g = GROUPS - 2; g >= 0; --g) {
      bool here = is(largest_of[g]);
      group = here ? g : group;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < WORDS; ++i) chosen(i) = here ? words(g * WORDS + i) : chosen(i);
    }
    int at = FEW - 1;
    CUTLASS_PRAGMA_UNROLL
    for (int i = FEW - 2; i >= 0; --i) at = is(exactly<D>(few, i)) ? i : at;
    return group * FEW + at;
  }

  CUTE_DEVICE static Key key(Exact value) {
    if constexpr (A::integer) {
      return value;
    } else {
      // The bits of a float that is not negative order as integers do; those of a negative one the other way. The sum makes zeros
      // equal, and all NaNs of f32 the largest of all; those of f64 keep their bits.
      value += Exact(0);
      if constexpr (sizeof(Key) == 8)
        if (value != value) return Key(~least);
      Key bits = std::bit_cast<Key>(value);
      return bits ^ ((bits >> (8 * sizeof(Key) - 1)) & Key(~least));
    }
  }
};

/// What powers are relative to while they are summed up: those of a number, or near enough (as OnlineSoftmax has it).
template <class Exact> struct PowersRelativeTo {
  Exact number;

  CUTE_DEVICE explicit PowersRelativeTo(Exact x) : number(x) {}
  CUTE_DEVICE Exact operator()(Exact x) const { return exponential(x - number); }
  CUTE_DEVICE Exact of_another(PowersRelativeTo other) const { return (*this)(other.number); }
};

/// 2^exponent, with exponent = number * log2(e), rounded: so each takes one multiply-add and one power of two. Powers below 2^-126 are none
/// beside that of the largest. From 2^30 on numbers lie so far apart that only the largest count, with a power of 2 as with one of e, and the
/// exponent is exact where its rounding errors would be too large for a float's range.
template <> struct PowersRelativeTo<float> {
  float rate, exponent;

  CUTE_DEVICE explicit PowersRelativeTo(float x)
      : rate(fabsf(x) < 0x1p30f ? 1.4426950408889634f : 1.0f), exponent(x * rate) {}
  CUTE_DEVICE float operator()(float x) const { return exp2_approx(fmaf(x, rate, -exponent)); }
  /// The natural logarithm of the number's own power, which is 1 but for the rounding of the exponent.
  CUTE_DEVICE float error(float x) const { return fmaf(x, rate, -exponent) * 0.6931471805599453f; }
  CUTE_DEVICE float of_another(PowersRelativeTo other) const {
    return other.rate == rate ? exp2_approx(other.exponent - exponent) : 0.0f;
  }
};

/// log_sum_exp: the largest element so far, and the sum of powers relative to it (Milakov and Gimelshein, 2018).
template <DType D> struct Monoid<ReduceFamily::lse, D> : WithoutPivot {
  using A = Arithmetic<D>;
  using T = typename A::T;
  using Exact = typename A::Exact;
  using Powers = PowersRelativeTo<Exact>;
  struct State {
    Exact largest;
    double sum;
  };
  static constexpr State identity{A::lowest, 0};
  static constexpr bool packed = sizeof(T) == 2, has_levels = true;

  CUTE_DEVICE static Exact level(State x) { return x.largest; }
  CUTE_DEVICE static Exact higher(Exact x, Exact y) { return cutlass::maximum<Exact, true>()(x, y); }
  CUTE_DEVICE static State at_level(State x, Exact level) { return {level, x.sum * share(x.largest, level)}; }
  CUTE_DEVICE static State plus(State x, State y) { return {x.largest, x.sum + y.sum}; }

  CUTE_DEVICE static T filler(Pivot) { return T(A::lowest); }
  CUTE_DEVICE State operator()(State x, State y) const {
    bool swapped = y.largest > x.largest;
    double share = this->share(swapped ? x.largest : y.largest, swapped ? y.largest : x.largest);
    return {higher(x.largest, y.largest), swapped ? y.sum + x.sum * share : x.sum + y.sum * share};
  }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot pivot, Place const& place) const {
    if constexpr (sizeof(T) == 2 && N > 1) {  // by pairs; without NaNs, which the sum has
      cute::Tensor rX = in_registers(x);      // (N)
      return relative<N>(device::largest(rX), [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return unpacked(rX, i); });
    } else if constexpr (N > 16) {  // more of them at a time would not fit the registers
      using Half = T const(&)[N / 2];
      return (*this)(of(reinterpret_cast<Half>(x[0]), pivot, place),
                     of(reinterpret_cast<Half>(x[N / 2]), pivot, place));
    } else {
      auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Exact(x[i]); };
      return relative<N>(reduce_tree_of<N>(value, cutlass::maximum<Exact, true>()), value);
    }
  }
  CUTE_DEVICE double result(State state) const {
    Exact base = this->base(state.largest);
    if constexpr (cute::is_same_v<Exact, float>) {
      // The logarithm of 1 to 2 in f32; a sum that is 0 or not finite has its own.
      float sum = float(state.sum);
      if (sum > 0 && sum < INFINITY) {
        uint32_t bits = std::bit_cast<uint32_t>(sum);
        int exponent = int(bits >> 23) - 127;
        float part = logf(std::bit_cast<float>((bits & 0x7fffff) | 0x3f800000)) - Powers(base).error(base);
        return double(base) + (exponent * 0.69314718055994531 + double(part));
      }
      return double(base) + double(logf(sum));
    } else {
      return double(base) + log(state.sum);
    }
  }

 private:
  /// The state of N elements of which the largest is known.
  template <int N, class Values> CUTE_DEVICE static State relative(Exact largest, Values const& value) {
    Powers powers(base(largest));
    auto power = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return powers(value(i)); };
    return {largest, double(reduce_tree_of<N>(power, [](Exact a, Exact b) { return a + b; }))};
  }
  /// What a sum relative to `x` is multiplied with to be relative to `y`, which is not below it. An infinity is not subtracted from itself.
  CUTE_DEVICE static double share(Exact x, Exact y) { return x == y ? 1 : double(Powers(y).of_another(Powers(x))); }
  /// Infinities and NaNs are not subtracted: the sum has them.
  CUTE_DEVICE static Exact base(Exact largest) { return largest - largest == Exact(0) ? largest : Exact(0); }
};

/// l2, variance, deviation: sums of distances from a pivot, and of their squares. Of 16-bit elements a tree in f32 over what is loaded at
/// a time; f64 else. The pivot, one of the elements, keeps a large mean from costing digits.
template <DType D> struct Monoid<ReduceFamily::moments, D> {
  using T = typename Arithmetic<D>::T;
  using Narrow = cute::conditional_t<sizeof(T) == 2, float, double>;
  using Pivot = T;
  struct State {
    double first, second;
  };
  static constexpr State identity{0, 0};
  static constexpr bool packed = false, has_levels = false;

  ReduceParams const& p;

  CUTE_DEVICE Pivot pivot(T first) const { return p.op != ReduceOp::l2 ? first : T(0); }
  CUTE_DEVICE static T filler(Pivot pivot) { return pivot; }
  CUTE_DEVICE State operator()(State x, State y) const { return {x.first + y.first, x.second + y.second}; }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot pivot, Place const&) const {
    struct Sums {
      Narrow first, second;
    };
    auto distance = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Narrow(x[i]) - Narrow(pivot); };
    auto sums = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {  // of two elements, or of the only one
      Narrow a = distance(i * 2), b = N > 1 ? distance(cute::min(i * 2 + 1, N - 1)) : Narrow(0);
      return Sums{a + b, a * a + b * b};
    };
    auto add = [](Sums a, Sums b) { return Sums{a.first + b.first, a.second + b.second}; };
    Sums all = reduce_tree_of<(N + 1) / 2>(sums, add);
    return {double(all.first), double(all.second)};
  }
  CUTE_DEVICE double result(State state) const {
    double value = state.second;
    if (p.op != ReduceOp::l2) {
      value -= quotient(state.first * state.first, p.count);
      value = quotient(value < 0 ? 0 : value, p.divisor);
    }
    return p.op == ReduceOp::variance ? value : sqrt(value);
  }

 private:
  /// As exactly as what is accumulated.
  template <class Number> CUTE_DEVICE static double quotient(double x, Number y) {
    if constexpr (cute::is_same_v<Narrow, float>)
      return x * double(cutlass::reciprocal_approximate<float>()(float(y)));
    else
      return x / double(y);
  }
};

}  // namespace ckl::device
