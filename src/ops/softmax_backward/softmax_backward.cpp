#include "ckl/softmax_backward.hpp"

#include <algorithm>
#include <cmath>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/rows.hpp"
#include "ops/softmax_backward/params.hpp"

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

bool is_empty(const SoftmaxBackwardProblem& p) { return host::has_no_elements(p.rank, p.sizes); }

Tensor at(const SoftmaxBackwardProblem& p, const TensorOperand& operand, const void* data) {
  return host::tensor_at(p.rank, p.sizes, operand, data);
}

void require_valid(const SoftmaxBackwardProblem& p) {
  for (auto [operand, argument] : {std::pair{&p.y, "y"}, {&p.dy, "dy"}, {&p.dx, "dx"}}) {
    host::require_operand(p.rank, p.sizes, *operand, argument);
    host::require_supported(
        operand->dtype == DType::f32 || operand->dtype == DType::f16 || operand->dtype == DType::bf16, argument,
        ".dtype must be f32, f16 or bf16, but is ", name(operand->dtype));
    host::require_supported(operand->dtype == p.y.dtype, argument, ".dtype must be y's, ", name(p.y.dtype), ", but is ",
                            name(operand->dtype));
  }
  host::require(p.rank >= 1, "y.rank must be 1 or more, but is ", p.rank);
  host::require(p.axis >= 0 && p.axis < p.rank, "axis must be 0 to ", p.rank - 1, ", but is ", p.axis);
  host::require(std::isfinite(p.scale), "scale must be finite, but is ", p.scale);
  host::require_no_self_overlap(at(p, p.dx, nullptr), "dx");
}

void require_pointers(const SoftmaxBackwardProblem& p, const void* y, const void* dy, const void* dx) {
  if (is_empty(p)) return;
  host::require_pointer(y, p.y, "y");
  host::require_pointer(dy, p.dy, "dy");
  host::require_pointer(dx, p.dx, "dx");
  host::require_no_partial_overlap(at(p, p.dx, dx), "dx", at(p, p.y, y), "y");
  host::require_no_partial_overlap(at(p, p.dx, dx), "dx", at(p, p.dy, dy), "dy");
}

}  // namespace

SoftmaxBackwardProblem softmax_backward_problem(const SoftmaxBackwardArguments& in) {
  host::require_well_formed(in.y, "y");
  host::require_same_shape(in.dy, "dy", in.y, "y", in.y.rank);
  host::require_same_shape(in.dx, "dx", in.y, "y", in.y.rank);
  host::require(in.y.rank >= 1, "y.rank must be 1 or more, but is ", in.y.rank);
  host::require(in.axis >= -in.y.rank && in.axis < in.y.rank, "axis must be ", -in.y.rank, " to ", in.y.rank - 1,
                ", but is ", in.axis);
  SoftmaxBackwardProblem p;
  p.rank = in.y.rank;
  std::copy_n(in.y.sizes.begin(), p.rank, p.sizes.begin());
  p.axis = in.axis < 0 ? in.axis + p.rank : in.axis;
  p.y = host::operand_of(in.y);
  p.dy = host::operand_of(in.dy);
  p.dx = host::operand_of(in.dx);
  p.scale = in.scale;
  p.log = in.log;
  require_valid(p);
  require_pointers(p, in.y.data, in.dy.data, in.dx.data);
  return p;
}

std::string SoftmaxBackwardProblem::to_string() const {
  std::string text = host::sentence(log ? "log-softmax-backward " : "softmax-backward ", host::listed(rank, sizes),
                                    " along ", axis, " ", name(y.dtype));
  return scale == 1.0f ? text : text + host::sentence(" scale=", scale);
}

bool operator==(const SoftmaxBackwardProblem& x, const SoftmaxBackwardProblem& y) noexcept {
  return x.rank == y.rank && x.sizes == y.sizes && x.axis == y.axis && x.y == y.y && x.dy == y.dy && x.dx == y.dx &&
         x.scale == y.scale && x.log == y.log;
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

std::vector<std::string> candidates(const SoftmaxBackwardProblem& p, const host::RowShape& shape) {
  if (is_empty(p)) return {};
  return host::rank_row_configs(p.y.dtype, shape.grid.columns, shape.vectors, host::shipped_configs("softmax_backward"),
                                softmax_backward_needs, 2, shape.ragged_vectors && !shape.vectors);
}

}  // namespace

std::vector<std::string> softmax_backward_candidates(const SoftmaxBackwardProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  return candidates(problem,
                    host::RowShape::of(problem.rank, problem.sizes, problem.axis, {problem.y, problem.dy, problem.dx}));
}

// ---- plan --------------------------------------------------------------------------------------------------------------

struct SoftmaxBackwardPlan::Implementation {
  SoftmaxBackwardProblem problem;
  int device;
  std::string config;
  SoftmaxBackwardParams params{};
  host::Launch launch;

  Implementation(const SoftmaxBackwardProblem& p, int index, std::string_view wanted) : problem(p), device(index) {
    host::RowShape shape = host::RowShape::of(p.rank, p.sizes, p.axis, {p.y, p.dy, p.dx});
    config = host::chosen(candidates(p, shape), wanted);
    if (config.empty()) return;
    params.grid = shape.grid;
    params.y = shape.operands[0];
    params.dy = shape.operands[1];
    params.dx = shape.operands[2];
    params.scale = p.scale;
    params.log = p.log;
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    launch = host::prepare_rows("softmax_backward", config, params.grid, device, softmax_backward_needs);
  }
};

SoftmaxBackwardPlan::SoftmaxBackwardPlan(const SoftmaxBackwardProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(problem, index, config);
  host::log_plan(problem, index, this->config());
}

void SoftmaxBackwardPlan::run(const void* y, const void* dy, void* dx, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device);
  if (is_empty(plan.problem)) return;
  require_pointers(plan.problem, y, dy, dx);
  SoftmaxBackwardParams params = plan.params;
  params.y.data = const_cast<void*>(y);
  params.dy.data = const_cast<void*>(dy);
  params.dx.data = dx;
  host::DeviceGuard guard(plan.device);
  host::launch(plan.launch, &params, stream);
}

const SoftmaxBackwardProblem& SoftmaxBackwardPlan::problem() const noexcept { return implementation_->problem; }
const std::string& SoftmaxBackwardPlan::config() const noexcept { return implementation_->config; }
int SoftmaxBackwardPlan::device() const noexcept { return implementation_->device; }

void softmax_backward(const SoftmaxBackwardArguments& arguments, Stream stream) {
  static host::PlanCache<SoftmaxBackwardPlan, SoftmaxBackwardProblem> cache;
  SoftmaxBackwardProblem problem = softmax_backward_problem(arguments);
  cache.get(problem, host::current_device())->run(arguments.y.data, arguments.dy.data, arguments.dx.data, stream);
}

}  // namespace ckl
