#include "ops/elementwise/elementwise.hpp"

#include <algorithm>
#include <initializer_list>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "ops/elementwise/check.hpp"

namespace ckl {

namespace {

static_assert(max_elementwise_inputs == std::tuple_size_v<decltype(ElementwiseProblem::in)> &&
              max_elementwise_outputs == std::tuple_size_v<decltype(ElementwiseProblem::out)> &&
              max_elementwise_scalars == std::tuple_size_v<decltype(ElementwiseProblem::scalars)>);

/// The arguments of a call, wherever they are kept: a named call needs no memory for them.
struct Call {
  ElementwiseOp op;
  const Tensor* in[max_elementwise_inputs];
  const Tensor* out[max_elementwise_outputs];
  double scalars[max_elementwise_scalars];
};

/// describe() of the call's op, with the operands that there are where that is custom.
ElementwiseOpInfo operands_of(const Call& call) {
  ElementwiseOpInfo info = describe(call.op);
  if (call.op != ElementwiseOp::custom) return info;
  const auto there = [](const Tensor* tensor) { return tensor != nullptr; };
  info.inputs = int(std::count_if(std::begin(call.in), std::end(call.in), there));
  info.outputs = int(std::count_if(std::begin(call.out), std::end(call.out), there));
  return info;
}

/// `input` broadcast to the shape of `out`.
TensorOperand broadcast(const Tensor& input, const Tensor& out, const char* argument) {
  host::require(input.rank <= out.rank, argument, ".rank must be at most out[0]'s, ", out.rank, ", but is ",
                input.rank);
  TensorOperand operand;
  operand.dtype = input.dtype;
  operand.alignment = host::alignment_of(input.data);
  for (int i = 0; i < input.rank; ++i) {
    const int to = out.rank - input.rank + i;
    host::require(input.sizes[i] == out.sizes[to] || input.sizes[i] == 1, argument, ".sizes[", i,
                  "] must be 1 or out[0].sizes[", to, "], ", out.sizes[to], ", but is ", input.sizes[i]);
    operand.strides[to] = input.sizes[i] == 1 ? 0 : input.strides[i];
  }
  return operand;
}

void require_same_shape(const Tensor& x, const Tensor& first, const char* argument) {
  host::require(x.rank == first.rank, argument, ".rank must be out[0]'s, ", first.rank, ", but is ", x.rank);
  for (int i = 0; i < x.rank; ++i)
    host::require(x.sizes[i] == first.sizes[i], argument, ".sizes[", i, "] must be out[0]'s, ", first.sizes[i],
                  ", but is ", x.sizes[i]);
}

/// The data pointers of a call.
struct Pointers {
  const void* in[max_elementwise_inputs] = {};
  void* out[max_elementwise_outputs] = {};

  explicit Pointers(const Call& call) {
    const ElementwiseOpInfo info = operands_of(call);
    for (int i = 0; i < info.inputs; ++i) in[i] = call.in[i]->data;
    for (int i = 0; i < info.outputs; ++i) out[i] = call.out[i]->data;
  }
};

ElementwiseProblem problem_of(const Call& call) {
  const ElementwiseOpInfo info = operands_of(call);
  for (int i = 0; i < info.inputs; ++i) host::require_well_formed(*call.in[i], in_names[i]);
  for (int i = 0; i < info.outputs; ++i) host::require_well_formed(*call.out[i], out_names[i]);
  const Tensor& shape = *call.out[0];
  ElementwiseProblem p;
  p.op = call.op;
  if (p.op == ElementwiseOp::custom) p.inputs = info.inputs, p.outputs = info.outputs;
  p.rank = shape.rank;
  std::copy_n(shape.sizes.begin(), shape.rank, p.sizes.begin());
  for (int i = 0; i < info.inputs; ++i) p.in[i] = broadcast(*call.in[i], shape, in_names[i]);
  for (int i = 0; i < info.outputs; ++i) {
    require_same_shape(*call.out[i], shape, out_names[i]);
    p.out[i] = host::operand_of(*call.out[i]);
  }
  std::copy_n(call.scalars, info.scalars, p.scalars.begin());
  require_valid(p);
  if (is_empty(p)) return p;
  const Pointers pointers(call);
  require_pointers(p, pointers.in, pointers.out);
  return p;
}

Call call_of(const ElementwiseArguments& arguments) {
  require_op(arguments.op);
  ElementwiseOpInfo info = describe(arguments.op);
  if (arguments.op == ElementwiseOp::custom) {
    info.inputs = std::clamp(int(arguments.in.size()), 1, max_elementwise_inputs);
    info.outputs = std::clamp(int(arguments.out.size()), 1, max_elementwise_outputs);
  }
  auto require_count = [&](std::size_t is, int must_be, const char* argument) {
    host::require(is == std::size_t(must_be), argument, " must have ", must_be, " for ", info.name, ", but has ", is);
  };
  require_count(arguments.in.size(), info.inputs, "in");
  require_count(arguments.out.size(), info.outputs, "out");
  require_count(arguments.scalars.size(), info.scalars, "scalars");
  Call call{arguments.op, {}, {}, {}};
  for (int i = 0; i < info.inputs; ++i) call.in[i] = &arguments.in[std::size_t(i)];
  for (int i = 0; i < info.outputs; ++i) call.out[i] = &arguments.out[std::size_t(i)];
  std::copy(arguments.scalars.begin(), arguments.scalars.end(), call.scalars);
  return call;
}

void require_shipped(ElementwiseOp op) {
  host::require(op != ElementwiseOp::custom,
                "op must be one that the library has; custom is what an ElementwiseModulePlan computes");
}

std::size_t hash_value(const ElementwiseProblem& p) {
  host::Hash hash;
  hash.add(std::int64_t(p.op), std::int64_t(p.rank));
  for (int d = 0; d < p.rank; ++d) hash.add(p.sizes[d], p.in[0].strides[d], p.out[0].strides[d]);
  hash.add(std::int64_t(p.in[0].dtype), std::int64_t(p.out[0].dtype), std::int64_t(p.in[0].alignment));
  return std::size_t(hash.value);
}

/// What the cache knows a problem by.
struct CachedProblem : ElementwiseProblem {
  friend std::size_t hash_value(const CachedProblem& p) {
    return ckl::hash_value(static_cast<const ElementwiseProblem&>(p));
  }
};

void run(const Call& call, Stream stream) {
  static host::PlanCache<ElementwisePlan, CachedProblem> cache;
  const CachedProblem problem{problem_of(call)};
  const Pointers pointers(call);
  cache.get(problem, host::current_device())->run(pointers.in, pointers.out, stream);
}

}  // namespace

std::string ElementwiseProblem::to_string() const {
  const ElementwiseOpInfo info = operands_of(*this);
  std::string text = host::sentence(info.name, " ", host::listed(rank, sizes));
  for (int i = 0; i < info.inputs; ++i) text += std::string(i ? ", " : " ") + name(in[i].dtype);
  text += " ->";
  for (int i = 0; i < info.outputs; ++i) text += std::string(i ? ", " : " ") + name(out[i].dtype);
  return text;
}

bool operator==(const ElementwiseProblem& x, const ElementwiseProblem& y) noexcept {
  return x.op == y.op && x.inputs == y.inputs && x.outputs == y.outputs && x.rank == y.rank && x.sizes == y.sizes &&
         x.in == y.in && x.out == y.out && x.scalars == y.scalars;
}

ElementwiseProblem elementwise_problem(const ElementwiseArguments& arguments) { return problem_of(call_of(arguments)); }

std::vector<std::string> elementwise_candidates(const ElementwiseProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  require_shipped(problem.op);
  std::vector<std::string> names;
  for (const ElementwiseConfig& config : rank_configs(problem, host::shipped_configs("elementwise")))
    names.push_back(to_string(config));
  return names;
}

struct ElementwisePlan::Implementation {
  ElementwiseProblem problem;
  int device;
  ElementwiseLauncher launcher;
};

ElementwisePlan::ElementwisePlan(const ElementwiseProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  require_shipped(problem.op);
  const int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(Implementation{problem, index, {problem, index, config}});
  host::log_plan(problem, index, this->config());
}

void ElementwisePlan::run(const void* const* in, void* const* out, Stream stream) const {
  const ElementwiseProblem& p = implementation_->problem;
  host::require_stream_of(stream, implementation_->device);
  if (is_empty(p)) return;
  host::require(in != nullptr || describe(p.op).inputs == 0, "in must not be null");
  host::require(out != nullptr, "out must not be null");
  require_pointers(p, in, out);
  host::DeviceGuard guard(implementation_->device);
  implementation_->launcher.run(in, out, stream);
}

const ElementwiseProblem& ElementwisePlan::problem() const noexcept { return implementation_->problem; }
const std::string& ElementwisePlan::config() const noexcept { return implementation_->launcher.config(); }
int ElementwisePlan::device() const noexcept { return implementation_->device; }

void elementwise(const ElementwiseArguments& arguments, Stream stream) { run(call_of(arguments), stream); }

void add(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream) {
  run({ElementwiseOp::add, {&x0, &x1}, {&y}, {}}, stream);
}
void sub(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream) {
  run({ElementwiseOp::sub, {&x0, &x1}, {&y}, {}}, stream);
}
void mul(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream) {
  run({ElementwiseOp::mul, {&x0, &x1}, {&y}, {}}, stream);
}
void div(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream) {
  run({ElementwiseOp::div, {&x0, &x1}, {&y}, {}}, stream);
}
void fma(const Tensor& x0, const Tensor& x1, const Tensor& x2, const Tensor& y, Stream stream) {
  run({ElementwiseOp::fma, {&x0, &x1, &x2}, {&y}, {}}, stream);
}
void where(const Tensor& x0, const Tensor& x1, const Tensor& x2, const Tensor& y, Stream stream) {
  run({ElementwiseOp::where, {&x0, &x1, &x2}, {&y}, {}}, stream);
}
void cast(const Tensor& x, const Tensor& y, Stream stream) { run({ElementwiseOp::cast, {&x}, {&y}, {}}, stream); }
void copy(const Tensor& x, const Tensor& y, Stream stream) {
  host::require(x.dtype == y.dtype, "y.dtype must be x's, ", name(x.dtype), ", but is ", name(y.dtype));
  cast(x, y, stream);
}
void permute(const Tensor& x, const std::vector<int>& order, const Tensor& y, Stream stream) {
  host::require_well_formed(x, "x");
  host::require(order.size() == std::size_t(x.rank), "order must have as many values as x has dimensions, ", x.rank,
                ", but has ", order.size());
  Tensor view = x;
  for (int i = 0; i < x.rank; ++i) {
    const int from = order[std::size_t(i)];
    host::require(from >= 0 && from < x.rank && std::count(order.begin(), order.end(), from) == 1, "order[", i,
                  "] must be another dimension of x, 0 to ", x.rank - 1, ", than all others, but is ", from);
    view.sizes[std::size_t(i)] = x.sizes[std::size_t(from)];
    view.strides[std::size_t(i)] = x.strides[std::size_t(from)];
  }
  cast(view, y, stream);
}
void scale(const Tensor& x, double factor, const Tensor& y, Stream stream) {
  run({ElementwiseOp::scale, {&x}, {&y}, {factor}}, stream);
}
void swiglu(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream) {
  run({ElementwiseOp::swiglu, {&x0, &x1}, {&y}, {}}, stream);
}

}  // namespace ckl
