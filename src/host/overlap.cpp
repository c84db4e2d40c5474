#include "host/overlap.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "host/require.hpp"

namespace ckl::host {

namespace {

using Int = std::int64_t;

/// stride * x for low <= x <= high.
struct Term {
  Int stride, low, high;
};

/// The dimensions of one or two tensors, without memory of their own: the usual checks are part of every one-line call.
class Terms {
 public:
  void push_back(const Term& term) { list_[count_++] = term; }
  std::size_t size() const { return count_; }
  const Term& operator[](std::size_t i) const { return list_[i]; }
  const Term* begin() const { return list_.data(); }
  const Term* end() const { return list_.data() + count_; }

  /// By the magnitude of the stride, the least first. There are few enough for insertion.
  void sort() {
    for (std::size_t i = 1; i < count_; ++i)
      for (std::size_t j = i; j > 0 && std::llabs(list_[j].stride) < std::llabs(list_[j - 1].stride); --j)
        std::swap(list_[j], list_[j - 1]);
  }

 private:
  std::array<Term, 2 * max_rank> list_;
  std::size_t count_ = 0;
};

/// Looks for integers x_i such that offset + sum stride_i * x_i lies in [first, last]. Exact, up to a bound on the work;
/// beyond that the answer is "yes", the careful one.
class WindowSearch {
 public:
  WindowSearch(Terms terms, Int first, Int last) : terms_(terms.begin(), terms.end()), first_(first), last_(last) {
    for (Term& t : terms_)
      if (t.stride < 0) t = {-t.stride, -t.high, -t.low};
    merge_equal_strides();
    rest_low_.assign(terms_.size() + 1, 0);
    rest_high_.assign(terms_.size() + 1, 0);
    for (std::size_t i = terms_.size(); i-- > 0;) {
      rest_low_[i] = rest_low_[i + 1] + terms_[i].stride * terms_[i].low;
      rest_high_[i] = rest_high_[i + 1] + terms_[i].stride * terms_[i].high;
    }
  }

  bool hits(Int offset) { return descend(0, offset); }

 private:
  /// Largest stride first, so that the range of what is left prunes most.
  void merge_equal_strides() {
    std::sort(terms_.begin(), terms_.end(), [](const Term& x, const Term& y) { return x.stride > y.stride; });
    std::vector<Term> merged;
    for (const Term& t : terms_) {
      if (!merged.empty() && merged.back().stride == t.stride) {
        merged.back().low += t.low;
        merged.back().high += t.high;
      } else {
        merged.push_back(t);
      }
    }
    terms_ = merged;
  }

  static Int floor_div(Int x, Int y) { return x / y - (x % y < 0); }

  bool descend(std::size_t i, Int sum) {
    if (++steps_ > max_steps) return true;
    if (sum + rest_high_[i] < first_ || sum + rest_low_[i] > last_) return false;
    if (i == terms_.size()) return true;
    const Term& t = terms_[i];
    if (t.stride == 0) return descend(i + 1, sum);
    Int from = std::max(t.low, -floor_div(-(first_ - sum - rest_high_[i + 1]), t.stride));
    Int to = std::min(t.high, floor_div(last_ - sum - rest_low_[i + 1], t.stride));
    for (Int x = from; x <= to; ++x)
      if (descend(i + 1, sum + t.stride * x)) return true;
    return false;
  }

  static constexpr long max_steps = 200000;
  std::vector<Term> terms_;
  std::vector<Int> rest_low_, rest_high_;
  Int first_, last_;
  long steps_ = 0;
};

Int address(const Tensor& t) { return reinterpret_cast<Int>(t.data); }

bool same_elements(const Tensor& x, const Tensor& y) {
  if (x.data != y.data || x.dtype != y.dtype || x.rank != y.rank) return false;
  for (int i = 0; i < x.rank; ++i)
    if (x.sizes[i] != y.sizes[i] || (x.sizes[i] > 1 && x.strides[i] != y.strides[i])) return false;
  return true;
}

void append_terms(Terms& terms, const Tensor& t, Int sign) {
  for (int i = 0; i < t.rank; ++i)
    if (t.sizes[i] > 1) terms.push_back({sign * t.strides[i] * Int(size_of(t.dtype)), 0, t.sizes[i] - 1});
}

}  // namespace

Span span_of(const Tensor& t) {
  auto bytes = Int(size_of(t.dtype));
  Span span{0, bytes};
  for (int i = 0; i < t.rank; ++i) {
    Int reach = (t.sizes[i] - 1) * t.strides[i] * bytes;
    (reach < 0 ? span.begin : span.end) += reach;
  }
  return span;
}

void require_well_formed(const Tensor& t, const char* argument) {
  require(t.rank >= 0 && t.rank <= max_rank, argument, ".rank must be 0 to ", max_rank, ", but is ", t.rank);
  for (int i = 0; i < t.rank; ++i)
    require(t.sizes[i] >= 0, argument, ".sizes[", i, "] must be 0 or more, but is ", t.sizes[i]);
  require(size_of(t.dtype) != 0, argument, ".dtype must be one of ckl::DType, but is ", int(t.dtype));
  auto bytes = Int(size_of(t.dtype));
  Int count = bytes, reach_up = bytes, reach_down = 0;
  bool fits = true;
  for (int i = 0; i < t.rank; ++i) {
    Int reach = 0;
    fits = fits && !__builtin_mul_overflow(count, std::max<Int>(t.sizes[i], 1), &count);
    fits = fits && !__builtin_mul_overflow(std::max<Int>(t.sizes[i] - 1, 0), t.strides[i], &reach) &&
           !__builtin_mul_overflow(reach, bytes, &reach);
    Int& sum = reach < 0 ? reach_down : reach_up;
    fits = fits && !__builtin_add_overflow(sum, reach, &sum);
  }
  if (!fits)  // only then is there a text to make
    fail(ErrorCode::invalid_argument, argument, " must span fewer than 2^63 bytes, but is ", t.to_string());
}

Int element_count(const Tensor& t) {
  Int count = 1;
  for (int i = 0; i < t.rank; ++i) count *= t.sizes[i];
  return count;
}

int alignment_of(const void* data) {
  auto bits = reinterpret_cast<std::uintptr_t>(data) | 16;
  return int(bits & -bits);
}

void require_no_self_overlap(const Tensor& t, const char* argument) {
  if (element_count(t) == 0) return;
  // The usual case: with strides in ascending order, each step clears all that the smaller ones reach.
  Terms terms;
  append_terms(terms, t, 1);
  auto magnitude = [](const Term& x) { return std::llabs(x.stride); };
  terms.sort();
  Int reach = Int(size_of(t.dtype));
  bool nested = true;
  for (const Term& term : terms) {
    nested = nested && magnitude(term) >= reach;
    reach += magnitude(term) * term.high;
  }
  if (nested) return;
  // Else look for two indices that differ first in dimension i, by a positive number, and meet.
  for (std::size_t i = 0; i < terms.size(); ++i) {
    Terms difference;
    difference.push_back({terms[i].stride, 1, terms[i].high});
    for (std::size_t j = i + 1; j < terms.size(); ++j)
      difference.push_back({terms[j].stride, -terms[j].high, terms[j].high});
    Int touch = Int(size_of(t.dtype)) - 1;
    require(!WindowSearch(difference, -touch, touch).hits(0), argument,
            " is an output, so its elements must not overlap each other, but it is ", t.to_string());
  }
}

namespace {

/// Whether an element of `output` and one of `input` have a byte in common.
bool share_bytes(const Tensor& output, const Tensor& input) {
  if (element_count(output) == 0 || element_count(input) == 0) return false;
  if (apart(output.data, span_of(output), input.data, span_of(input))) return false;
  Terms terms;
  append_terms(terms, output, 1);
  append_terms(terms, input, -1);
  // An output element at byte x and an input element at byte y meet when -size(output) < x - y < size(input).
  WindowSearch search(terms, 1 - Int(size_of(output.dtype)), Int(size_of(input.dtype)) - 1);
  return search.hits(address(output) - address(input));
}

}  // namespace

void require_no_partial_overlap(const Tensor& output, const char* output_name, const Tensor& input,
                                const char* input_name) {
  if (same_elements(output, input)) return;
  require(!share_bytes(output, input), output_name, " must not overlap ", input_name, " partly, but ", output_name,
          " is ", output.to_string(), " at ", output.data, " and ", input_name, " is ", input.to_string(), " at ",
          input.data);
}

void require_no_overlap(const Tensor& output, const char* output_name, const Tensor& other, const char* other_name) {
  require(!share_bytes(output, other), output_name, " must not overlap ", other_name, ", but ", output_name, " is ",
          output.to_string(), " at ", output.data, " and ", other_name, " is ", other.to_string(), " at ", other.data);
}

}  // namespace ckl::host
