#include "ops/reduce/check.hpp"

#include <algorithm>
#include <cmath>

#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/require.hpp"

namespace ckl {

const char* name(ReduceOp op) noexcept {
  switch (op) {
    case ReduceOp::sum: return "sum";
    case ReduceOp::product: return "product";
    case ReduceOp::mean: return "mean";
    case ReduceOp::min: return "min";
    case ReduceOp::max: return "max";
    case ReduceOp::argmin: return "argmin";
    case ReduceOp::argmax: return "argmax";
    case ReduceOp::any: return "any";
    case ReduceOp::all: return "all";
    case ReduceOp::l1: return "l1";
    case ReduceOp::l2: return "l2";
    case ReduceOp::log_sum_exp: return "log_sum_exp";
    case ReduceOp::variance: return "variance";
    case ReduceOp::deviation: return "deviation";
    case ReduceOp::custom: return "custom";
  }
  return "invalid";
}

namespace {

using Sizes = std::array<std::int64_t, max_rank>;

bool is_float(DType t) { return t == DType::f32 || t == DType::f16 || t == DType::bf16 || t == DType::f64; }
bool is_integer(DType t) { return t == DType::i32 || t == DType::i64; }

/// y's shape, with size 1 in the place of the reduced dimensions.
Sizes kept_sizes(const ReduceProblem& p) {
  Sizes sizes = p.sizes;
  for (int d = 0; d < p.rank; ++d)
    if (p.reduced[d]) sizes[d] = 1;
  return sizes;
}

Tensor x_at(const ReduceProblem& p, const void* data) { return host::tensor_at(p.rank, p.sizes, p.x, data); }
Tensor y_at(const ReduceProblem& p, const void* data) { return host::tensor_at(p.rank, kept_sizes(p), p.y, data); }

void require_dtypes(const ReduceProblem& p) {
  const DType x = p.x.dtype, y = p.y.dtype;
  host::require_supported(is_float(x) || is_integer(x), "x.dtype must be f32, f16, bf16, f64, i32 or i64, but is ",
                          name(x));
  switch (p.op) {
    case ReduceOp::argmin:
    case ReduceOp::argmax:
      host::require_supported(is_integer(y), "y.dtype must be i64 or i32 for ", name(p.op), ", but is ", name(y));
      return;
    case ReduceOp::any:
    case ReduceOp::all:
      host::require_supported(y == DType::b8, "y.dtype must be b8 for ", name(p.op), ", but is ", name(y));
      return;
    case ReduceOp::custom:
      host::require_supported(is_float(y) || is_integer(y) || y == DType::b8,
                              "y.dtype must be f32, f16, bf16, f64, i64, i32 or b8 for custom, but is ", name(y));
      return;
    case ReduceOp::sum:
    case ReduceOp::product:
    case ReduceOp::min:
    case ReduceOp::max: break;
    default:
      host::require_supported(is_float(x), "x.dtype must be f32, f16, bf16 or f64 for ", name(p.op), ", but is ",
                              name(x));
  }
  if (is_float(x))
    host::require_supported(is_float(y), "y.dtype must be f32, f16, bf16 or f64 for an x of ", name(x), ", but is ",
                            name(y));
  else
    host::require_supported(is_integer(y), "y.dtype must be i64 or i32 for an x of ", name(x), ", but is ", name(y));
}

/// Which of x's dimensions `axes` name.
std::array<bool, max_rank> reduced_by(const std::vector<int>& axes, int rank) {
  std::array<bool, max_rank> reduced{};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    host::require(axes[i] >= -rank && axes[i] < rank, "axes[", i, "] must be ", -rank, " to ", rank - 1, ", but is ",
                  axes[i]);
    bool& axis = reduced[axes[i] < 0 ? axes[i] + rank : axes[i]];
    host::require(!axis, "axes[", i, "] must not name a dimension twice, but is ", axes[i]);
    axis = true;
  }
  if (axes.empty()) std::fill_n(reduced.begin(), rank, true);
  return reduced;
}

/// Lays y out over x's dimensions.
void place(const Tensor& y, ReduceProblem& p) {
  const int reduced = int(std::count(p.reduced.begin(), p.reduced.begin() + p.rank, true));
  const bool keeps = y.rank == p.rank;
  host::require(keeps || y.rank == p.rank - reduced, "y.rank must be ", p.rank - reduced, ", or ", p.rank,
                " with size 1 in the place of reduced dimensions, but is ", y.rank);
  for (int d = 0, e = 0; d < p.rank; ++d) {
    if (p.reduced[d] && !keeps) continue;
    const std::int64_t size = p.reduced[d] ? 1 : p.sizes[d];
    host::require(y.sizes[e] == size, "y.sizes[", e, "] must be ", size, ", but is ", y.sizes[e]);
    p.y.strides[d] = p.reduced[d] ? 0 : y.strides[e];
    ++e;
  }
  p.y.dtype = y.dtype;
  // Outputs are stored one by one: any place that an element may have will do, and equal problems have equal plans.
  p.y.alignment = std::min(host::alignment_of(y.data), int(size_of(y.dtype)));
}

}  // namespace

bool is_empty(const ReduceProblem& p) { return host::element_count(y_at(p, nullptr)) == 0; }

void require_valid(const ReduceProblem& p) {
  host::require(std::string_view(name(p.op)) != "invalid", "op must be one of ReduceOp, but is number ", int(p.op));
  host::require_operand(p.rank, p.sizes, p.x, "x");
  host::require_operand(p.rank, kept_sizes(p), p.y, "y");
  require_dtypes(p);
  host::require(std::isfinite(p.correction) && p.correction >= 0, "correction must be finite and 0 or more, but is ",
                p.correction);
  std::int64_t count = 1;
  for (int d = 0; d < p.rank; ++d) {
    if (p.reduced[d]) count *= p.sizes[d];
    host::require(!p.reduced[d] || p.y.strides[d] == 0, "y.strides[", d,
                  "] must be 0, as that of a reduced dimension, but is ", p.y.strides[d]);
  }
  const bool has_identity =
      p.op != ReduceOp::min && p.op != ReduceOp::max && p.op != ReduceOp::argmin && p.op != ReduceOp::argmax;
  host::require(has_identity || count > 0 || is_empty(p), "x must have elements along the reduced dimensions for ",
                name(p.op), ", but has ", count);
  host::require(p.y.dtype != DType::i32 || has_identity || count <= std::int64_t(1) << 31 || is_integer(p.x.dtype),
                "y.dtype must be i64 for places among ", count, " elements, but is i32");
  host::require_no_self_overlap(y_at(p, nullptr), "y");
}

void require_pointers(const ReduceProblem& p, const void* x, const void* y) {
  if (is_empty(p)) return;
  if (host::element_count(x_at(p, nullptr)) > 0) host::require_pointer(x, p.x, "x");
  host::require_pointer(y, p.y, "y");
  host::require_no_overlap(y_at(p, y), "y", x_at(p, x), "x");
}

ReduceProblem reduce_problem(const ReduceArguments& in) {
  host::require_well_formed(in.x, "x");
  host::require_well_formed(in.y, "y");
  ReduceProblem p;
  p.op = in.op;
  p.rank = in.x.rank;
  std::copy_n(in.x.sizes.begin(), p.rank, p.sizes.begin());
  p.reduced = reduced_by(in.axes, p.rank);
  p.x = host::operand_of(in.x);
  place(in.y, p);
  p.correction = in.correction;
  p.batch_invariant = in.batch_invariant;
  require_valid(p);
  require_pointers(p, in.x.data, in.y.data);
  return p;
}

std::string ReduceProblem::to_string() const {
  std::string along;
  for (int i = 0; i < std::clamp(rank, 0, max_rank); ++i)
    if (reduced[i]) along += (along.empty() ? "" : ", ") + std::to_string(i);
  std::string text = host::sentence(name(op), " of ", host::listed(rank, sizes), " along ",
                                    along.empty() ? "nothing" : along, " ", name(x.dtype));
  if (y.dtype != x.dtype) text += host::sentence("->", name(y.dtype));
  if (correction != 0) text += host::sentence(" correction=", correction);
  return batch_invariant ? text + " batch_invariant" : text;
}

bool operator==(const ReduceProblem& x, const ReduceProblem& y) noexcept {
  return x.op == y.op && x.rank == y.rank && x.sizes == y.sizes && x.reduced == y.reduced && x.x == y.x && x.y == y.y &&
         x.correction == y.correction && x.batch_invariant == y.batch_invariant;
}

}  // namespace ckl
