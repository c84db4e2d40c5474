#include "ckl/cross_entropy.hpp"

#include <nanobind/nanobind.h>

#include "bindings.hpp"
#include "call.hpp"
#include "ckl/cross_entropy_backward.hpp"

namespace ckl::python {
namespace {

/// The shape of what there is one of for each row.
Sizes rows_of(const Tensor& logits) {
  Sizes sizes = sizes_of(logits);
  if (!sizes.empty()) sizes.pop_back();  // the library refuses logits without a dimension
  return sizes;
}

nb::object cross_entropy(nb::handle logits, nb::handle targets, nb::object out, nb::handle lse,
                         std::int64_t ignore_index, float label_smoothing, nb::handle stream) {
  Call call(stream);
  CrossEntropyArguments arguments;
  arguments.logits = call.input("logits", logits);
  arguments.targets = call.input("targets", targets);
  arguments.lse = call.optional_output("lse", lse);
  arguments.ignore_index = ignore_index;
  arguments.label_smoothing = label_smoothing;
  arguments.loss = call.output_or_new("loss", out, DType::f32, rows_of(arguments.logits));
  call.run([&](Stream on) { ckl::cross_entropy(arguments, on); });
  return out;
}

nb::object cross_entropy_backward(nb::handle logits, nb::handle targets, nb::handle lse, nb::handle dloss,
                                  nb::object out, std::int64_t ignore_index, float label_smoothing, nb::handle stream) {
  Call call(stream);
  CrossEntropyBackwardArguments arguments;
  arguments.logits = call.input("logits", logits);
  arguments.targets = call.input("targets", targets);
  arguments.lse = call.input("lse", lse);
  arguments.dloss = call.input("dloss", dloss);
  arguments.ignore_index = ignore_index;
  arguments.label_smoothing = label_smoothing;
  arguments.dlogits = call.output_or_new("dlogits", out, arguments.logits.dtype, sizes_of(arguments.logits));
  call.run([&](Stream on) { ckl::cross_entropy_backward(arguments, on); });
  return out;
}

}  // namespace

void bind_cross_entropy(nb::module_& module) {
  using namespace nb::literals;
  module.def(
      "cross_entropy", &cross_entropy, "logits"_a, "targets"_a, "out"_a = nb::none(), nb::kw_only(),
      "lse"_a = nb::none(), "ignore_index"_a = -100, "label_smoothing"_a = 0.0f, "stream"_a = nb::none(),
      nb::sig(
          "def cross_entropy(logits: Tensor, targets: Tensor, out: Tensor | None = None, *, lse: Tensor | None = None, "
          "ignore_index: int = -100, label_smoothing: float = 0.0, stream: Stream = None) -> Tensor"),
      "out = the loss of each row: log(sum exp(logits)) - logits[target], smoothed.\n\n"
      "logits: f32, f16 or bf16; the last dimension counts the classes. targets: i32 or i64, of their shape without "
      "it.\n"
      "out: f32, of that shape. lse: f32, of that shape, is written where it is given; the gradient needs it.\n"
      "A row whose target is ignore_index has a loss of 0; one with another target that is no class has NaN.\n"
      "Raises Error for shapes that do not fit, rows without classes, and outputs that overlap.");
  module.def(
      "cross_entropy_backward", &cross_entropy_backward, "logits"_a, "targets"_a, "lse"_a, "dloss"_a,
      "out"_a = nb::none(), nb::kw_only(), "ignore_index"_a = -100, "label_smoothing"_a = 0.0f, "stream"_a = nb::none(),
      nb::sig("def cross_entropy_backward(logits: Tensor, targets: Tensor, lse: Tensor, dloss: Tensor, "
              "out: Tensor | None = None, *, ignore_index: int = -100, label_smoothing: float = 0.0, "
              "stream: Stream = None) -> Tensor"),
      "out = the gradient of cross_entropy's logits, from the gradient of each row's loss.\n\n"
      "logits, targets, ignore_index, label_smoothing: as they were given to cross_entropy. lse: as it has written "
      "it.\n"
      "dloss: f32, of targets' shape; with a stride of 0, one value for all rows.\n"
      "out: of logits' shape and dtype; may be exactly the logits.\n"
      "Raises Error for shapes that do not fit, rows without classes, and an out that partly overlaps the logits.");
}

}  // namespace ckl::python
