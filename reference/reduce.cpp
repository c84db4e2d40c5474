#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <vector>

#include "compare.hpp"
#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

using Real = long double;  // which holds all 64-bit integers
constexpr Real nan = std::numeric_limits<Real>::quiet_NaN(), infinity = std::numeric_limits<Real>::infinity();

bool is_integer(DType t) { return t == DType::i32 || t == DType::i64; }

template <class T> Real as(const void* base, std::int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(base) + index * std::int64_t(sizeof(T)), sizeof(T));
  return Real(value);
}

/// Calls use(read) where read(base, index) is an element of type `dtype`, exactly.
template <class Use> void with_reader(DType dtype, const Use& use) {
  switch (dtype) {
    case DType::f64: return use(as<double>);
    case DType::i64: return use(as<std::int64_t>);
    case DType::i32: return use(as<std::int32_t>);
    case DType::b8: return use(as<std::uint8_t>);
    default: {
      const Numeric numeric(dtype);
      return use([&numeric](const void* base, std::int64_t index) { return Real(numeric.read(base, index)); });
    }
  }
}

/// The dimensions of x that are reduced, or the others.
struct Walk {
  std::int64_t count = 1;
  std::vector<std::int64_t> sizes, x, y;

  Walk(const ReduceProblem& p, bool reduced) {
    for (int d = 0; d < p.rank; ++d) {
      if (p.reduced[d] != reduced) continue;
      count *= p.sizes[d];
      sizes.push_back(p.sizes[d]), x.push_back(p.x.strides[d]), y.push_back(p.y.strides[d]);
    }
  }

  /// The offset of index number `i`, in C order.
  std::int64_t offset(const std::vector<std::int64_t>& strides, std::int64_t i) const {
    std::int64_t offset = 0;
    for (int d = int(sizes.size()) - 1; d >= 0; i /= sizes[d--]) offset += i % sizes[d] * strides[d];
    return offset;
  }
};

/// All that any of the operations asks of the elements from one place to another.
struct Facts {
  Real sum = 0, magnitude = 0, product = 1, squares = 0;  // magnitude: of absolute values
  Real first = 0, absolute = 0, second = 0;               // of distances from the pivot, absolute ones, squares
  std::uint64_t wrapped_sum = 0, wrapped_product = 1;     // of integers
  Real smallest = infinity, largest = -infinity;          // a NaN if there is one
  std::int64_t smallest_at = -1, largest_at = -1;
  bool any = false, all = true;

  void add(Real x, std::int64_t place, Real pivot, bool integer) {
    sum += x, magnitude += std::abs(x), product *= x, squares += x * x;
    const Real distance = x - pivot;
    first += distance, absolute += std::abs(distance), second += distance * distance;
    if (integer) wrapped_sum += std::uint64_t(std::int64_t(x)), wrapped_product *= std::uint64_t(std::int64_t(x));
    if (smallest_at < 0 || x < smallest || (std::isnan(x) && !std::isnan(smallest))) smallest = x, smallest_at = place;
    if (largest_at < 0 || x > largest || (std::isnan(x) && !std::isnan(largest))) largest = x, largest_at = place;
    any = any || x != 0, all = all && x != 0;
  }

  /// Adds what comes behind.
  void add(const Facts& next) {
    sum += next.sum, magnitude += next.magnitude, product *= next.product, squares += next.squares;
    first += next.first, absolute += next.absolute, second += next.second;
    wrapped_sum += next.wrapped_sum, wrapped_product *= next.wrapped_product;
    auto replaces = [](std::int64_t at, Real mine, std::int64_t next_at, Real next, bool better) {
      return next_at >= 0 && (at < 0 || better || (std::isnan(next) && !std::isnan(mine)));
    };
    if (replaces(smallest_at, smallest, next.smallest_at, next.smallest, next.smallest < smallest))
      smallest = next.smallest, smallest_at = next.smallest_at;
    if (replaces(largest_at, largest, next.largest_at, next.largest, next.largest > largest))
      largest = next.largest, largest_at = next.largest_at;
    any = any || next.any, all = all && next.all;
  }
};

struct Value {
  Real result, slack;
};

/// The result, and what ReduceProblem grants it before rounding.
Value finish(const ReduceProblem& p, const Facts& f, Real exponentials, std::int64_t count) {
  const bool narrow = p.x.dtype == DType::f16 || p.x.dtype == DType::bf16, wide = p.x.dtype == DType::f64;
  const Real n = Real(count), divisor = std::max(n - Real(p.correction), Real(0));
  const Real of_sum = wide ? 0x1p-42L : 0x1p-21L, of_squares = narrow ? 0x1p-18L : 0x1p-40L;
  const Real variance =
      std::isnan(f.second) || count == 0 ? nan : std::max(f.second - f.first * f.first / n, Real(0)) / divisor;
  const Real variance_slack = of_squares * f.second / divisor;
  auto wrapped = [&](std::uint64_t bits) {
    return p.y.dtype == DType::i32 ? Real(std::int32_t(std::uint32_t(bits))) : Real(std::int64_t(bits));
  };
  switch (p.op) {
    case ReduceOp::sum:
      return is_integer(p.x.dtype) ? Value{wrapped(f.wrapped_sum), 0} : Value{f.sum, of_sum * f.magnitude};
    case ReduceOp::product:
      return is_integer(p.x.dtype) ? Value{wrapped(f.wrapped_product), 0}
                                   : Value{f.product, (n + 1) * (0x1p-52L * std::abs(f.product) + 0x1p-1060L)};
    case ReduceOp::mean: return {f.sum / n, of_sum * f.magnitude / n};
    case ReduceOp::min: return {f.smallest, 0};
    case ReduceOp::max: return {f.largest, 0};
    case ReduceOp::argmin: return {Real(f.smallest_at), 0};
    case ReduceOp::argmax: return {Real(f.largest_at), 0};
    case ReduceOp::any: return {Real(f.any), 0};
    case ReduceOp::all: return {Real(f.all), 0};
    case ReduceOp::l1: return {f.magnitude, of_sum * f.magnitude};
    case ReduceOp::l2: return {std::sqrt(f.squares), of_squares * std::sqrt(f.squares)};
    case ReduceOp::log_sum_exp:
      return {(std::isfinite(f.largest) ? f.largest : 0) + std::log(exponentials), wide ? 0x1p-40L : 0x1p-19L};
    case ReduceOp::variance: return {variance, variance_slack};
    case ReduceOp::deviation: {
      const Real deviation = std::sqrt(variance);
      return {deviation, std::min(variance_slack / deviation, std::sqrt(variance_slack))};
    }
    case ReduceOp::custom: break;  // the user's alone
  }
  return {nan, 0};
}

/// One output, whose elements begin at `from`; its elements are taken in pieces where `pieces` allows it.
template <class Read> Value reduce_one(const ReduceProblem& p, const Read& read, const void* x, std::int64_t from,
                                       const Walk& reduced, bool in_pieces) {
  const Real pivot = reduced.count > 0 ? read(x, from) : 0;
  const bool integer = is_integer(p.x.dtype);
  constexpr std::int64_t piece = 1 << 20;
  const std::int64_t pieces = (reduced.count + piece - 1) / piece;
  // for_each(visit): visit(number of the piece, an element, its place)
  auto for_each = [&](const auto& visit) {
    auto work = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t number = begin; number < end; ++number)
        for (std::int64_t i = number * piece; i < std::min(reduced.count, (number + 1) * piece); ++i)
          visit(number, read(x, from + reduced.offset(reduced.x, i)), i);
    };
    if (in_pieces)
      parallel_for(pieces, work);
    else
      work(0, pieces);
  };
  std::vector<Facts> facts(std::size_t(std::max<std::int64_t>(pieces, 1)));
  for_each([&](std::int64_t number, Real value, std::int64_t i) { facts[number].add(value, i, pivot, integer); });
  for (std::size_t i = 1; i < facts.size(); ++i) facts.front().add(facts[i]);
  std::vector<Real> exponentials(facts.size());
  if (p.op == ReduceOp::log_sum_exp) {
    const Real base = std::isfinite(facts.front().largest) ? facts.front().largest : 0;
    for_each([&](std::int64_t number, Real value, std::int64_t) { exponentials[number] += std::exp(value - base); });
    for (std::size_t i = 1; i < facts.size(); ++i) exponentials.front() += exponentials[i];
  }
  return finish(p, facts.front(), exponentials.front(), reduced.count);
}

}  // namespace

std::int64_t output_count(const ReduceProblem& problem) { return Walk(problem, false).count; }

void reduce(const ReduceProblem& p, const void* x, long double* y, long double* slack) {
  const Walk kept(p, false), reduced(p, true);
  with_reader(p.x.dtype, [&](const auto& read) {
    auto work = [&](std::int64_t begin, std::int64_t end, bool in_pieces) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Value value = reduce_one(p, read, x, kept.offset(kept.x, i), reduced, in_pieces);
        y[i] = value.result;
        slack[i] = std::isfinite(value.slack) ? value.slack : 0;
      }
    };
    if (kept.count < 16)
      work(0, kept.count, true);
    else
      parallel_for(kept.count, [&](std::int64_t begin, std::int64_t end) { work(begin, end, false); });
  });
}

Comparison compare_reduce(const ReduceProblem& p, const void* actual, const long double* y, const long double* slack) {
  const Walk kept(p, false);
  Comparison comparison;
  comparison.bound = 1;
  const DType dtype = p.y.dtype;
  const bool small_float = dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
  with_reader(dtype, [&](const auto& read) {
    for (std::int64_t i = 0; i < kept.count; ++i) {
      const Real value = read(actual, kept.offset(kept.y, i));
      Real granted = slack[i];
      bool right;
      if (small_float) {
        const FloatFormat format = format_of(dtype);
        right = acceptable(format, double(value), double(y[i]), double(granted));
        if (std::isfinite(y[i])) granted += ulp(format, double(y[i])) / 2;
      } else {
        if (dtype == DType::f64) granted += 0x1p-53L * std::abs(y[i]);
        right = std::isnan(y[i]) ? std::isnan(value) : value == y[i] || std::abs(value - y[i]) <= granted;
      }
      if (std::isfinite(value) && std::isfinite(y[i]))
        comparison.error = std::max(comparison.error, value == y[i] ? 0 : double(std::abs(value - y[i]) / granted));
      else if (!right)
        comparison.error = std::numeric_limits<double>::infinity();
      if (right || comparison.wrong++ > 0) continue;
      std::ostringstream text;
      text.precision(18);
      text << "output " << i << " is " << value << ", expected " << y[i] << " before rounding, give or take "
           << slack[i];
      comparison.first_wrong = text.str();
    }
  });
  return comparison;
}

}  // namespace ckl::reference
