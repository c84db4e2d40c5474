#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "call.hpp"
#include "ckl/elementwise.hpp"

namespace ckl::python {
namespace {

constexpr std::array<const char*, 4> input_names = {"in[0]", "in[1]", "in[2]",
                                                    "in[3]"};  // as the library's messages have them
constexpr std::array<const char*, 2> output_names = {"out[0]", "out[1]"};

ElementwiseOp op_named(std::string_view text) {
  std::string names;
  for (int i = 0; i < elementwise_op_count; ++i) {
    if (text == name(ElementwiseOp(i))) return ElementwiseOp(i);
    names += (i ? ", " : "") + std::string(name(ElementwiseOp(i)));
  }
  throw Error(ErrorCode::invalid_argument, "op must be one of " + names + ", but is \"" + std::string(text) + "\"");
}

/// The shape that the tensors have together, as in NumPy. Where they have none, the library's own check says so.
Sizes broadcast(const std::vector<Tensor>& tensors) {
  Sizes sizes;
  for (const Tensor& x : tensors) {
    sizes.insert(sizes.begin(), std::size_t(std::max(x.rank - int(sizes.size()), 0)), 1);
    for (int dim = 1; dim <= x.rank; ++dim) {
      const std::int64_t size = x.sizes[std::size_t(x.rank - dim)];
      if (size != 1) sizes[sizes.size() - std::size_t(dim)] = size;
    }
  }
  return sizes;
}

/// The dtype of a result that the caller leaves to us: that of the inputs, where they have one.
DType common_dtype(ElementwiseOp op, const std::vector<Tensor>& inputs) {
  const std::size_t first = op == ElementwiseOp::where ? 1 : 0;  // a condition does not count
  for (std::size_t i = first + 1; i < inputs.size(); ++i)
    if (inputs[i].dtype != inputs[first].dtype)
      throw Error(ErrorCode::invalid_argument,
                  std::string("out or dtype must be given where inputs differ in dtype, but ") + input_names[first] +
                      " is " + name(inputs[first].dtype) + " and " + input_names[i] + " is " + name(inputs[i].dtype));
  return first < inputs.size() ? inputs[first].dtype : DType::f32;
}

/// What the caller gives as outputs: a tensor, or a sequence where there are several.
std::vector<nb::object> given_outputs(const ElementwiseOpInfo& info, nb::handle out) {
  const auto count = std::size_t(info.outputs);
  if (out.is_none()) return std::vector<nb::object>(count, nb::none());
  if (count == 1) return {nb::borrow(out)};
  std::vector<nb::object> outputs;
  if (nb::isinstance<nb::tuple>(out) || nb::isinstance<nb::list>(out))
    for (nb::handle each : out) outputs.push_back(nb::borrow(each));
  if (outputs.size() != count)
    throw nb::type_error(
        (std::string("out must be None or a tuple of ") + std::to_string(count) + " tensors for " + info.name).c_str());
  return outputs;
}

nb::object compute(ElementwiseOp op, const std::vector<nb::handle>& inputs, nb::handle out, std::vector<double> scalars,
                   nb::handle dtype, nb::handle stream) {
  const ElementwiseOpInfo info = describe(op);
  if (inputs.size() != std::size_t(info.inputs))
    throw Error(ErrorCode::invalid_argument, std::string(info.name) + " must have " + std::to_string(info.inputs) +
                                                 " inputs, but has " + std::to_string(inputs.size()));
  Call call(stream);
  ElementwiseArguments arguments{op, {}, {}, std::move(scalars)};
  for (std::size_t i = 0; i < inputs.size(); ++i) arguments.in.push_back(call.input(input_names[i], inputs[i]));

  std::vector<nb::object> outputs = given_outputs(info, out);
  const bool made = out.is_none();
  const DType otherwise = made && dtype.is_none() ? common_dtype(op, arguments.in) : DType();
  const Sizes sizes = made ? broadcast(arguments.in) : Sizes();
  for (std::size_t i = 0; i < outputs.size(); ++i)
    arguments.out.push_back(call.output_or_new(output_names[i], outputs[i], dtype, otherwise, sizes));
  call.run([&](Stream on) { ckl::elementwise(arguments, on); });
  return outputs.size() == 1 ? outputs[0] : nb::object(nb::make_tuple(outputs[0], outputs[1]));
}

nb::object elementwise(std::string_view op, const nb::args& inputs, nb::handle out, std::vector<double> scalars,
                       nb::handle dtype, nb::handle stream) {
  return compute(op_named(op), {inputs.begin(), inputs.end()}, out, std::move(scalars), dtype, stream);
}

nb::object copy(nb::handle x, nb::object out, nb::handle stream) {
  Call call(stream);
  const Tensor from = call.input("x", x);
  const Tensor to = call.output_or_new("y", out, from.dtype, sizes_of(from));
  call.run([&](Stream on) { ckl::copy(from, to, on); });
  return out;
}

nb::object permute(nb::handle x, const std::vector<int>& order, nb::object out, nb::handle dtype, nb::handle stream) {
  Call call(stream);
  const Tensor from = call.input("x", x);
  Sizes sizes;
  for (int dim : order)
    sizes.push_back(dim >= 0 && dim < from.rank ? from.sizes[std::size_t(dim)] : 1);  // the library says what is wrong
  const Tensor to = call.output_or_new("y", out, dtype, from.dtype, sizes);
  call.run([&](Stream on) { ckl::permute(from, order, to, on); });
  return out;
}

}  // namespace

void bind_elementwise(nb::module_& module) {
  using namespace nb::literals;

  module.def(
      "elementwise", &elementwise, "op"_a, "inputs"_a, "out"_a = nb::none(), "scalars"_a = std::vector<double>(),
      "dtype"_a = nb::none(), "stream"_a = nb::none(),
      nb::sig("def elementwise(op: str, *inputs: Tensor, out: Tensor | Sequence[Tensor] | None = None, "
              "scalars: Sequence[float] = (), dtype: str | None = None, stream: Stream = None) -> Tensor | "
              "tuple[Tensor, Tensor]"),
      "out = op(inputs), element by element.\n\n"
      "op: a name of ckl::ElementwiseOp, such as \"exp\", \"clamp\" (2 scalars), \"swiglu\" or \"rotate\" (2 "
      "outputs).\n"
      "inputs: f32, f16, bf16, e4m3, e5m2, i64, i32 or b8, mixed at will, of any strides; broadcast as in NumPy.\n"
      "out: of the common shape; may be exactly an input. None makes one, of the inputs' dtype or of `dtype`.\n"
      "Raises Error for shapes that do not broadcast, dtypes that are not listed, and outputs that overlap.");

  const auto unary = [&]<class... Extra>(const char* name, ElementwiseOp op, const Extra&... extra) {
    module.def(
        name,
        [op](nb::handle x, nb::handle out, nb::handle dtype, nb::handle stream) {
          return compute(op, {x}, out, {}, dtype, stream);
        },
        "x"_a, "out"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none(), "stream"_a = nb::none(), extra...);
  };
  const auto binary = [&]<class... Extra>(const char* name, ElementwiseOp op, const Extra&... extra) {
    module.def(
        name,
        [op](nb::handle x0, nb::handle x1, nb::handle out, nb::handle dtype, nb::handle stream) {
          return compute(op, {x0, x1}, out, {}, dtype, stream);
        },
        "x0"_a, "x1"_a, "out"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none(), "stream"_a = nb::none(), extra...);
  };
  const auto ternary = [&]<class... Extra>(const char* name, ElementwiseOp op, const Extra&... extra) {
    module.def(
        name,
        [op](nb::handle x0, nb::handle x1, nb::handle x2, nb::handle out, nb::handle dtype, nb::handle stream) {
          return compute(op, {x0, x1, x2}, out, {}, dtype, stream);
        },
        "x0"_a, "x1"_a, "x2"_a, "out"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none(), "stream"_a = nb::none(),
        extra...);
  };
#define CKL_SIGNATURE(NAME, INPUTS) \
  nb::sig("def " NAME "(" INPUTS    \
          ", out: Tensor | None = None, *, dtype: str | None = None, stream: Stream = None) -> Tensor")
#define CKL_INPUTS_2 "x0: Tensor, x1: Tensor"
#define CKL_INPUTS_3 "x0: Tensor, x1: Tensor, x2: Tensor"
  unary("cast", ElementwiseOp::cast, CKL_SIGNATURE("cast", "x: Tensor"),
        "out = x in out's dtype, or in `dtype`. See elementwise.");
  binary("add", ElementwiseOp::add, CKL_SIGNATURE("add", CKL_INPUTS_2), "out = x0 + x1. See elementwise.");
  binary("sub", ElementwiseOp::sub, CKL_SIGNATURE("sub", CKL_INPUTS_2), "out = x0 - x1. See elementwise.");
  binary("mul", ElementwiseOp::mul, CKL_SIGNATURE("mul", CKL_INPUTS_2), "out = x0 x1. See elementwise.");
  binary("div", ElementwiseOp::div, CKL_SIGNATURE("div", CKL_INPUTS_2), "out = x0 / x1. See elementwise.");
  binary("swiglu", ElementwiseOp::swiglu, CKL_SIGNATURE("swiglu", CKL_INPUTS_2), "out = silu(x0) x1. See elementwise.");
  ternary("fma", ElementwiseOp::fma, CKL_SIGNATURE("fma", CKL_INPUTS_3),
          "out = x0 x1 + x2, rounded once. See elementwise.");
  ternary("where", ElementwiseOp::where, CKL_SIGNATURE("where", CKL_INPUTS_3),
          "out = x1 where x0 is not 0, else x2. See elementwise.");
#undef CKL_INPUTS_3
#undef CKL_INPUTS_2
#undef CKL_SIGNATURE

  module.def(
      "scale",
      [](nb::handle x, double factor, nb::handle out, nb::handle dtype, nb::handle stream) {
        return compute(ElementwiseOp::scale, {x}, out, {factor}, dtype, stream);
      },
      "x"_a, "factor"_a, "out"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none(), "stream"_a = nb::none(),
      nb::sig("def scale(x: Tensor, factor: float, out: Tensor | None = None, *, dtype: str | None = None, stream: "
              "Stream = None) -> Tensor"),
      "out = factor x: the quantization of a tensor, for one. See elementwise.");
  module.def("copy", &copy, "x"_a, "out"_a = nb::none(), nb::kw_only(), "stream"_a = nb::none(),
             nb::sig("def copy(x: Tensor, out: Tensor | None = None, *, stream: Stream = None) -> Tensor"),
             "out = x, of one dtype; their strides may differ in any way. See elementwise.");
  module.def(
      "permute", &permute, "x"_a, "order"_a, "out"_a = nb::none(), nb::kw_only(), "dtype"_a = nb::none(),
      "stream"_a = nb::none(),
      nb::sig("def permute(x: Tensor, order: Sequence[int], out: Tensor | None = None, *, dtype: str | None = None, "
              "stream: Stream = None) -> Tensor"),
      "out = x with its dimensions in another order: dimension i of out is dimension order[i] of x. See "
      "elementwise.\n\n"
      "Raises Error unless order names each dimension of x once.");
}

}  // namespace ckl::python
