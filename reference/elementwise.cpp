#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <sstream>
#include <vector>

#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

using Index = std::array<std::int64_t, max_rank>;

/// The index (i0, i1, ...) of the element that is number `linear` in C order.
Index index_of(const ElementwiseProblem& problem, std::int64_t linear) {
  Index index{};
  for (int dimension = problem.rank - 1; dimension >= 0; --dimension) {
    index[dimension] = linear % problem.sizes[dimension];
    linear /= problem.sizes[dimension];
  }
  return index;
}

/// Elements from element (0, 0, ...) to the one at `index`.
std::int64_t offset_of(const ElementwiseProblem& problem, const TensorOperand& operand, const Index& index) {
  std::int64_t offset = 0;
  for (int dimension = 0; dimension < problem.rank; ++dimension)
    offset += index[dimension] * operand.strides[dimension];
  return offset;
}

/// What an output should be before it is converted to its type: right is what converts from any number within `slack`.
struct Expected {
  double value = 0, slack = 0;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// `units` of f32 in the last place of `value`.
double units(double value, double count) {
  return std::isfinite(value) ? count * ulp(format_of(DType::f32), value) : 0;
}

/// The outputs of one element, in f32's operations where those are exact by IEEE 754, else in double.
void evaluate(ElementwiseOp op, const float* x, const float* s, Expected* y) {
  using enum ElementwiseOp;
  const auto d = [x](int i) { return double(x[i]); };
  const auto within_units = [y](double value, double more = 0) { y[0] = {value, units(value, 4) + more}; };
  switch (op) {
    case cast: y[0] = {x[0]}; break;
    case fill: y[0] = {s[0]}; break;
    case scale: y[0] = {s[0] * x[0]}; break;
    case neg: y[0] = {-x[0]}; break;
    case abs: y[0] = {std::abs(x[0])}; break;
    case sqrt: y[0] = {std::sqrt(x[0])}; break;
    case relu: y[0] = {x[0] < 0 ? 0.0f : x[0]}; break;
    case clamp: y[0] = {x[0] < s[0] ? s[0] : x[0] > s[1] ? s[1] : x[0]}; break;
    case add: y[0] = {x[0] + x[1]}; break;
    case sub: y[0] = {x[0] - x[1]}; break;
    case mul: y[0] = {x[0] * x[1]}; break;
    case div: y[0] = {x[0] / x[1]}; break;
    case min: y[0] = {std::isnan(x[0]) || x[0] < x[1] ? x[0] : x[1]}; break;
    case max: y[0] = {std::isnan(x[0]) || x[0] > x[1] ? x[0] : x[1]}; break;
    case fma: y[0] = {std::fma(x[0], x[1], x[2])}; break;
    case where: y[0] = {x[0] != 0 ? x[1] : x[2]}; break;
    case exp: within_units(std::exp(d(0))); break;
    case log: within_units(std::log(d(0))); break;
    case rsqrt: within_units(1 / std::sqrt(d(0))); break;
    case tanh: within_units(std::tanh(d(0))); break;
    case sigmoid: within_units(reference::sigmoid(d(0)), 0x1p-126); break;
    case gelu: y[0] = {d(0) / 2 * std::erfc(-d(0) / std::sqrt(2.0)), 0x1p-21 * std::abs(d(0))}; break;
    case gelu_tanh: {
      const double u = std::sqrt(2 / 3.14159265358979323846) * (d(0) + 0.044715 * d(0) * d(0) * d(0));
      y[0] = {d(0) * reference::sigmoid(2 * u), 0x1p-21 * std::abs(d(0))};
      break;
    }
    case silu: y[0] = {d(0) * reference::sigmoid(d(0)), 0x1p-21 * std::abs(d(0))}; break;
    case swiglu: y[0] = {d(0) * reference::sigmoid(d(0)) * d(1), 0x1p-21 * std::abs(d(0) * d(1))}; break;
    case swiglu_backward: {
      const double gate = reference::sigmoid(d(1));
      y[0] = {d(0) * d(2) * gate * (1 + d(1) * (1 - gate)), 0x1p-20 * std::abs(d(0) * d(2)) * (1 + std::abs(d(1)))};
      y[1] = {d(0) * d(1) * gate, 0x1p-20 * std::abs(d(0) * d(1))};
      break;
    }
    case rotate:
      y[0] = {d(0) * d(2) - d(1) * d(3), 0x1p-22 * (std::abs(d(0) * d(2)) + std::abs(d(1) * d(3)))};
      y[1] = {d(0) * d(3) + d(1) * d(2), 0x1p-22 * (std::abs(d(0) * d(3)) + std::abs(d(1) * d(2)))};
      break;
    case custom: throw std::invalid_argument("reference: what a custom function computes is not known here");
  }
}

/// The same of integers, modulo 2^64.
std::int64_t evaluate(ElementwiseOp op, const std::int64_t* x, const std::int64_t* s) {
  using enum ElementwiseOp;
  using Bits = std::uint64_t;
  switch (op) {
    case cast: return x[0];
    case fill: return s[0];
    case neg: return std::int64_t(-Bits(x[0]));
    case abs: return x[0] < 0 ? std::int64_t(-Bits(x[0])) : x[0];
    case relu: return std::max<std::int64_t>(x[0], 0);
    case clamp: return x[0] < s[0] ? s[0] : x[0] > s[1] ? s[1] : x[0];
    case add: return std::int64_t(Bits(x[0]) + Bits(x[1]));
    case sub: return std::int64_t(Bits(x[0]) - Bits(x[1]));
    case mul: return std::int64_t(Bits(x[0]) * Bits(x[1]));
    case min: return std::min(x[0], x[1]);
    case max: return std::max(x[0], x[1]);
    case fma: return std::int64_t(Bits(x[0]) * Bits(x[1]) + Bits(x[2]));
    case where: return x[0] != 0 ? x[1] : x[2];
    default: throw std::invalid_argument(std::string("reference: no integer ") + name(op));
  }
}

bool computes_integers(const ElementwiseProblem& p) {
  const ElementwiseOpInfo info = describe(p.op);
  for (int i = 0; i < info.inputs; ++i)
    if (!is_integer(p.in[i].dtype)) return false;
  for (int i = 0; i < info.outputs; ++i)
    if (!is_integer(p.out[i].dtype)) return false;
  return true;
}

/// Everything that is needed to compute single elements.
class Evaluator {
 public:
  Evaluator(const ElementwiseProblem& p, const void* const* in) : p_(p), info_(describe(p.op)), in_(in) {
    for (int i = 0; i < info_.inputs; ++i) numerics_.emplace_back(p.in[i].dtype);
    for (std::size_t i = 0; i < p.scalars.size(); ++i) {
      f32_scalars_[i] = float(p.scalars[i]);
      i64_scalars_[i] = to_integer<std::int64_t>(p.scalars[i]);
    }
  }

  void floats(const Index& index, Expected* y) const {
    float x[4];
    for (int i = 0; i < info_.inputs; ++i) {
      const std::int64_t at = offset_of(p_, p_.in[i], index);
      // From 64-bit integers directly: by way of double they would be rounded twice.
      x[i] = p_.in[i].dtype == DType::i64 ? float(read_integer(DType::i64, in_[i], at))
                                          : float(numerics_[std::size_t(i)].read(in_[i], at));
    }
    evaluate(p_.op, x, f32_scalars_, y);
  }

  std::int64_t integer(const Index& index) const {
    std::int64_t x[4];
    for (int i = 0; i < info_.inputs; ++i) x[i] = read_integer(p_.in[i].dtype, in_[i], offset_of(p_, p_.in[i], index));
    return evaluate(p_.op, x, i64_scalars_);
  }

 private:
  const ElementwiseProblem& p_;
  const ElementwiseOpInfo info_;
  const void* const* in_;
  std::vector<Numeric> numerics_;
  float f32_scalars_[2];
  std::int64_t i64_scalars_[2];
};

/// Collects what is wrong, from several threads.
class Findings {
 public:
  void add(const ElementwiseProblem& p, int output, const Index& index, const std::string& is,
           const std::string& expected, double error) {
    std::lock_guard lock(mutex_);
    found_.error = std::max(found_.error, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
    if (found_.wrong++ > 0) return;
    std::ostringstream text;
    text << "element (";
    for (int dimension = 0; dimension < p.rank; ++dimension) text << (dimension ? ", " : "") << index[dimension];
    text << ")";
    if (describe(p.op).outputs > 1) text << " of out[" << output << "]";
    text << " is " << is << ", expected " << expected;
    found_.first_wrong = text.str();
  }

  Comparison found() const { return found_; }

 private:
  std::mutex mutex_;
  Comparison found_;
};

template <class T> std::string text_of(T value) {
  std::ostringstream text;
  text.precision(9);
  text << value;
  return text.str();
}

/// `value` as the operator converts it to `dtype`.
double converted(const Numeric& numeric, double value) { return numeric.round(round_to(format_of(DType::f32), value)); }

bool acceptable(const Numeric& numeric, double actual, const Expected& y) {
  if (std::isnan(y.value)) return numeric.is_float() ? std::isnan(actual) : actual == converted(numeric, y.value);
  if (y.slack == 0 || !std::isfinite(y.value)) {
    const double right = converted(numeric, y.value);
    return actual == right && (right != 0 || !numeric.is_float() || std::signbit(actual) == std::signbit(right));
  }
  if (numeric.is_boolean() && std::abs(y.value) <= y.slack) return true;  // it may be 0, or not
  return actual >= converted(numeric, y.value - y.slack) && actual <= converted(numeric, y.value + y.slack);
}

}  // namespace

std::int64_t element_count(const ElementwiseProblem& problem) {
  std::int64_t count = 1;
  for (int dimension = 0; dimension < problem.rank; ++dimension) count *= problem.sizes[dimension];
  return count;
}

std::vector<double> elementwise(const ElementwiseProblem& problem, const void* const* in, int output) {
  const Evaluator evaluator(problem, in);
  const bool integers = computes_integers(problem);
  const Numeric numeric(problem.out[output].dtype);
  std::vector<double> y(std::size_t(element_count(problem)));
  parallel_for(element_count(problem), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Expected both[2];
      if (!integers) evaluator.floats(index_of(problem, i), both);
      y[std::size_t(i)] =
          integers ? double(convert_integer(problem.out[output].dtype, evaluator.integer(index_of(problem, i))))
                   : converted(numeric, both[output].value);
    }
  });
  return y;
}

Comparison compare_elementwise(const ElementwiseProblem& problem, const void* const* in, const void* const* out) {
  const Evaluator evaluator(problem, in);
  const bool integers = computes_integers(problem);
  std::vector<Numeric> numerics;
  for (int i = 0; i < describe(problem.op).outputs; ++i) numerics.emplace_back(problem.out[i].dtype);
  Findings findings;
  parallel_for(element_count(problem), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Index index = index_of(problem, i);
      if (integers) {
        const DType dtype = problem.out[0].dtype;
        const std::int64_t actual = read_integer(dtype, out[0], offset_of(problem, problem.out[0], index));
        const std::int64_t expected = convert_integer(dtype, evaluator.integer(index));
        if (actual != expected)
          findings.add(problem, 0, index, text_of(actual), text_of(expected), std::numeric_limits<double>::infinity());
        continue;
      }
      Expected y[2];
      evaluator.floats(index, y);
      for (std::size_t o = 0; o < numerics.size(); ++o) {
        const double actual = numerics[o].read(out[o], offset_of(problem, problem.out[o], index));
        if (!acceptable(numerics[o], actual, y[o]))
          findings.add(problem, int(o), index, text_of(actual), text_of(converted(numerics[o], y[o].value)),
                       std::abs(actual - y[o].value) / std::abs(y[o].value));
      }
    }
  });
  return findings.found();
}

}  // namespace ckl::reference
