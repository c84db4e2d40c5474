#include "ckl/reduce.hpp"

#include <array>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "call.hpp"

namespace ckl::python {
namespace {

ReduceOp op_named(std::string_view text) {
  return named("op", text,
               {ReduceOp::sum, ReduceOp::product, ReduceOp::mean, ReduceOp::min, ReduceOp::max, ReduceOp::argmin,
                ReduceOp::argmax, ReduceOp::any, ReduceOp::all, ReduceOp::l1, ReduceOp::l2, ReduceOp::log_sum_exp,
                ReduceOp::variance, ReduceOp::deviation});
}

/// None (all), a number, or a sequence of them.
std::vector<int> axes_of(nb::handle axes) {
  if (axes.is_none()) return {};
  if (nb::isinstance<nb::int_>(axes)) return {nb::cast<int>(axes)};
  auto list = nb::cast<std::vector<int>>(axes);
  if (list.empty())
    throw Error(ErrorCode::invalid_argument, "axes must be None for all or name one or more, but is empty");
  return list;
}

/// The shape that is left of x. Axes that x does not have are the library's to refuse.
Sizes reduced(const Tensor& x, const std::vector<int>& axes, bool keep) {
  std::array<bool, max_rank> gone{};
  if (axes.empty()) gone.fill(true);
  for (int axis : axes)
    if (axis >= -x.rank && axis < x.rank) gone[std::size_t(axis < 0 ? axis + x.rank : axis)] = true;
  Sizes sizes;
  for (std::size_t dim = 0; dim < std::size_t(x.rank); ++dim)
    if (!gone[dim] || keep) sizes.push_back(gone[dim] ? 1 : x.sizes[dim]);
  return sizes;
}

DType result_dtype(ReduceOp op, DType x) {
  if (op == ReduceOp::argmin || op == ReduceOp::argmax) return DType::i64;
  if (op == ReduceOp::any || op == ReduceOp::all) return DType::b8;
  return x;
}

nb::object reduce(std::string_view op, nb::handle x, nb::handle axes, nb::object out, bool keep_dims, double correction,
                  bool batch_invariant, nb::handle dtype, nb::handle stream) {
  Call call(stream);
  ReduceArguments arguments;
  arguments.op = op_named(op);
  arguments.x = call.input("x", x);
  arguments.axes = axes_of(axes);
  arguments.correction = correction;
  arguments.batch_invariant = batch_invariant;
  arguments.y = call.output_or_new("y", out, dtype, result_dtype(arguments.op, arguments.x.dtype),
                                   reduced(arguments.x, arguments.axes, keep_dims));
  call.run([&](Stream on) { ckl::reduce(arguments, on); });
  return out;
}

}  // namespace

void bind_reduce(nb::module_& module) {
  using namespace nb::literals;
  module.def(
      "reduce", &reduce, "op"_a, "x"_a, "axes"_a = nb::none(), "out"_a = nb::none(), nb::kw_only(),
      "keep_dims"_a = false, "correction"_a = 0.0, "batch_invariant"_a = false, "dtype"_a = nb::none(),
      "stream"_a = nb::none(),
      nb::sig(
          "def reduce(op: str, x: Tensor, axes: int | Sequence[int] | None = None, out: Tensor | None = None, *, "
          "keep_dims: bool = False, correction: float = 0.0, batch_invariant: bool = False, dtype: str | None = None, "
          "stream: Stream = None) -> Tensor"),
      "out = x reduced along axes, or to one element.\n\n"
      "op: sum, product, mean, min, max, argmin, argmax, any, all, l1, l2, log_sum_exp, variance or deviation.\n"
      "x: f32, f16, bf16, f64, i32 or i64, of any shape and strides. axes: None for all; negative ones count from the "
      "last.\n"
      "out: x's shape without the axes, or with 1 in their place. None makes one (keep_dims says which), of x's dtype, "
      "i64 for argmin\n"
      "and argmax, b8 for any and all, or of `dtype`.\n"
      "correction: of variance and deviation: taken off the number of elements. batch_invariant: an output's bits do "
      "not depend on how\n"
      "many others there are.\n"
      "Raises Error for axes that x does not have or that are named twice, an out of another shape, and the smallest "
      "of no elements.");
}

}  // namespace ckl::python
