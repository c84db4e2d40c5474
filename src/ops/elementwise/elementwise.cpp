#include "ops/elementwise/elementwise.hpp"

#include <algorithm>
#include <initializer_list>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"

namespace ckl {

namespace {

static_assert(max_elementwise_inputs == std::tuple_size_v<decltype(ElementwiseProblem::in)> &&
              max_elementwise_outputs == std::tuple_size_v<decltype(ElementwiseProblem::out)> &&
              max_elementwise_scalars == std::tuple_size_v<decltype(ElementwiseProblem::scalars)>);

// What errors call the operands.
constexpr const char* in_names[] = {"in[0]", "in[1]", "in[2]", "in[3]"};
constexpr const char* out_names[] = {"out[0]", "out[1]"};

/// The arguments of a call, wherever they are kept: a named call needs no memory for them.
struct Call {
  ElementwiseOp op;
  const Tensor* in[max_elementwise_inputs];
  const Tensor* out[max_elementwise_outputs];
  double scalars[max_elementwise_scalars];
};

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::e4m3 ||
         dtype == DType::e5m2;
}

void require_op(ElementwiseOp op) {
  host::require(int(op) < elementwise_op_count, "op must be one of the ", elementwise_op_count,
                " values of ElementwiseOp, but is ", int(op));
}

void require_operand(const ElementwiseProblem& p, const TensorOperand& operand, const char* argument) {
  host::require_operand(p.rank, p.sizes, operand, argument);
  host::require_supported(is_float(operand.dtype) || is_integer(operand.dtype), argument,
                          ".dtype must be f32, f16, bf16, e4m3, e5m2, i64, i32 or b8, but is ", name(operand.dtype));
}

/// `operand` of `problem` as a tensor at `data`.
Tensor as_tensor(const ElementwiseProblem& p, const TensorOperand& operand, const void* data) {
  return host::tensor_at(p.rank, p.sizes, operand, data);
}

void require_valid(const ElementwiseProblem& p) {
  require_op(p.op);
  const ElementwiseOpInfo info = describe(p.op);
  bool integers = true;
  for (int i = 0; i < info.inputs; ++i) {
    require_operand(p, p.in[i], in_names[i]);
    integers = integers && is_integer(p.in[i].dtype);
  }
  for (int i = 0; i < info.outputs; ++i) {
    require_operand(p, p.out[i], out_names[i]);
    host::require_no_self_overlap(as_tensor(p, p.out[i], nullptr), out_names[i]);
    integers = integers && is_integer(p.out[i].dtype);
  }
  host::require_supported(info.integers || !integers,
                          "op must be one that is defined on integers where all operands are, but is ", info.name);
}

bool is_empty(const ElementwiseProblem& p) {
  return std::find(p.sizes.begin(), p.sizes.begin() + p.rank, 0) != p.sizes.begin() + p.rank;
}

/// Throws unless the pointers are as `p` promised, and no output overlaps what it must not.
void require_pointers(const ElementwiseProblem& p, const void* const* in, void* const* out) {
  const ElementwiseOpInfo info = describe(p.op);
  for (int i = 0; i < info.inputs; ++i) host::require_pointer(in[i], p.in[i], in_names[i]);
  for (int i = 0; i < info.outputs; ++i) host::require_pointer(out[i], p.out[i], out_names[i]);
  for (int o = 0; o < info.outputs; ++o) {
    const Tensor written = as_tensor(p, p.out[o], out[o]);
    for (int i = 0; i < info.inputs; ++i)
      host::require_no_partial_overlap(written, out_names[o], as_tensor(p, p.in[i], in[i]), in_names[i]);
    for (int other = 0; other < o; ++other)
      host::require_no_overlap(written, out_names[o], as_tensor(p, p.out[other], out[other]), out_names[other]);
  }
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
    const ElementwiseOpInfo info = describe(call.op);
    for (int i = 0; i < info.inputs; ++i) in[i] = call.in[i]->data;
    for (int i = 0; i < info.outputs; ++i) out[i] = call.out[i]->data;
  }
};

ElementwiseProblem problem_of(const Call& call) {
  const ElementwiseOpInfo info = describe(call.op);
  for (int i = 0; i < info.inputs; ++i) host::require_well_formed(*call.in[i], in_names[i]);
  for (int i = 0; i < info.outputs; ++i) host::require_well_formed(*call.out[i], out_names[i]);
  const Tensor& shape = *call.out[0];
  ElementwiseProblem p;
  p.op = call.op;
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
  const ElementwiseOpInfo info = describe(arguments.op);
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
  const ElementwiseOpInfo info = describe(op);
  std::string text = std::string(info.name) + " (";
  for (int i = 0; i < std::clamp(rank, 0, max_rank); ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  text += ")";
  for (int i = 0; i < info.inputs; ++i) text += std::string(i ? ", " : " ") + name(in[i].dtype);
  text += " ->";
  for (int i = 0; i < info.outputs; ++i) text += std::string(i ? ", " : " ") + name(out[i].dtype);
  return text;
}

bool operator==(const ElementwiseProblem& x, const ElementwiseProblem& y) noexcept {
  return x.op == y.op && x.rank == y.rank && x.sizes == y.sizes && x.in == y.in && x.out == y.out &&
         x.scalars == y.scalars;
}

ElementwiseProblem elementwise_problem(const ElementwiseArguments& arguments) { return problem_of(call_of(arguments)); }

std::vector<std::string> elementwise_candidates(const ElementwiseProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  std::vector<std::string> names;
  for (const ElementwiseConfig& config : rank_configs(problem)) names.push_back(to_string(config));
  return names;
}

struct ElementwisePlan::Implementation {
  ElementwiseProblem problem;
  int device;
  ElementwiseLauncher launcher;
};

ElementwisePlan::ElementwisePlan(const ElementwiseProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  const int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(Implementation{problem, index, {problem, index, config}});
  if (host::log_plans())
    host::log_line(problem.to_string() + " on device " + std::to_string(index) + ": " + this->config());
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
