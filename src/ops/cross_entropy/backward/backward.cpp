#include "ckl/cross_entropy_backward.hpp"

#include <algorithm>
#include <tuple>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/rows.hpp"
#include "ops/cross_entropy/check.hpp"
#include "ops/cross_entropy/backward/params.hpp"

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

/// A value for each row, or logits where `dimensions` is all of them.
Tensor at(const CrossEntropyBackwardProblem& p, int dimensions, const TensorOperand& operand, const void* data) {
  return host::tensor_at(dimensions, p.sizes, operand, data);
}

void require_valid(const CrossEntropyBackwardProblem& p) {
  require_rows_of_logits(p.rank, p.sizes, p.logits, p.targets, {{"lse", &p.lse}, {"dloss", &p.dloss}},
                         p.label_smoothing);
  host::require_operand(p.rank, p.sizes, p.dlogits, "dlogits");
  host::require_supported(p.dlogits.dtype == p.logits.dtype, "dlogits.dtype must be logits', ", name(p.logits.dtype),
                          ", but is ", name(p.dlogits.dtype));
  host::require_no_self_overlap(at(p, p.rank, p.dlogits, nullptr), "dlogits");
}

void require_pointers(const CrossEntropyBackwardProblem& p, const CrossEntropyBackwardPointers& pointers) {
  if (has_no_rows(p.rank, p.sizes)) return;
  host::require_pointer(pointers.dlogits, p.dlogits, "dlogits");
  const Tensor dlogits = at(p, p.rank, p.dlogits, pointers.dlogits);
  host::require_pointer(pointers.logits, p.logits, "logits");
  host::require_no_partial_overlap(dlogits, "dlogits", at(p, p.rank, p.logits, pointers.logits), "logits");
  const auto require_input = [&](const void* data, const TensorOperand& operand, const char* argument) {
    host::require_pointer(data, operand, argument);
    host::require_no_overlap(dlogits, "dlogits", at(p, p.rank - 1, operand, data), argument);
  };
  require_input(pointers.targets, p.targets, "targets");
  require_input(pointers.lse, p.lse, "lse");
  require_input(pointers.dloss, p.dloss, "dloss");
}

CrossEntropyBackwardPointers pointers_of(const CrossEntropyBackwardArguments& in) {
  return {in.logits.data, in.targets.data, static_cast<const float*>(in.lse.data),
          static_cast<const float*>(in.dloss.data), in.dlogits.data};
}

}  // namespace

CrossEntropyBackwardProblem cross_entropy_backward_problem(const CrossEntropyBackwardArguments& in) {
  host::require_well_formed(in.logits, "logits");
  host::require(in.logits.rank >= 1, "logits.rank must be 1 or more, but is ", in.logits.rank);
  host::require_same_shape(in.dlogits, "dlogits", in.logits, "logits", in.logits.rank);
  CrossEntropyBackwardProblem p;
  p.rank = in.logits.rank;
  std::copy_n(in.logits.sizes.begin(), p.rank, p.sizes.begin());
  p.logits = host::operand_of(in.logits);
  p.dlogits = host::operand_of(in.dlogits);
  p.targets = one_a_row(in.targets, "targets", in.logits);
  p.lse = one_a_row(in.lse, "lse", in.logits);
  p.dloss = one_a_row(in.dloss, "dloss", in.logits);
  p.ignore_index = in.ignore_index;
  p.label_smoothing = in.label_smoothing;
  require_valid(p);
  require_pointers(p, pointers_of(in));
  return p;
}

std::string CrossEntropyBackwardProblem::to_string() const {
  std::string text = "cross-entropy-backward " + rows_to_string(rank, sizes, logits, targets);
  return label_smoothing == 0 ? text : text + host::sentence(" smoothing=", label_smoothing);
}

bool operator==(const CrossEntropyBackwardProblem& x, const CrossEntropyBackwardProblem& y) noexcept {
  auto key = [](const CrossEntropyBackwardProblem& p) {
    return std::tie(p.rank, p.sizes, p.logits, p.targets, p.lse, p.dloss, p.dlogits, p.ignore_index, p.label_smoothing);
  };
  return key(x) == key(y);
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

/// Its operands are logits, dlogits, targets, lse and dloss.
host::RowShape shape_of(const CrossEntropyBackwardProblem& p) {
  return host::RowShape::of(p.rank, p.sizes, p.rank - 1, {p.logits, p.dlogits}, {p.targets, p.lse, p.dloss});
}

std::vector<std::string> candidates(const CrossEntropyBackwardProblem& p, const host::RowShape& shape) {
  if (has_no_rows(p.rank, p.sizes)) return {};
  return host::rank_passing_row_configs(p.logits.dtype, shape.grid.columns, shape.ragged_vectors,
                                        host::shipped_configs("cross_entropy_backward"), cross_entropy_backward_needs);
}

}  // namespace

std::vector<std::string> cross_entropy_backward_candidates(const CrossEntropyBackwardProblem& problem,
                                                           const DeviceInfo&) {
  require_valid(problem);
  return candidates(problem, shape_of(problem));
}

// ---- plan --------------------------------------------------------------------------------------------------------------

struct CrossEntropyBackwardPlan::Implementation {
  CrossEntropyBackwardProblem problem;
  int device;
  std::string config;
  CrossEntropyBackwardParams params{};
  host::Launch launch;

  Implementation(const CrossEntropyBackwardProblem& p, int index, std::string_view wanted) : problem(p), device(index) {
    host::RowShape shape = shape_of(p);
    config = host::chosen(candidates(p, shape), wanted);
    if (config.empty()) return;
    params.grid = shape.grid;
    params.logits = shape.operands[0];
    params.dlogits = shape.operands[1];
    params.targets = target_params(shape.operands[2], p.targets, p.ignore_index, p.label_smoothing);
    params.lse = shape.operands[3];
    params.dloss = shape.operands[4];
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    launch = host::prepare_rows("cross_entropy_backward", config, params.grid, device, cross_entropy_backward_needs);
  }
};

CrossEntropyBackwardPlan::CrossEntropyBackwardPlan(const CrossEntropyBackwardProblem& problem, int device,
                                                   std::string_view config) {
  require_valid(problem);
  int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(problem, index, config);
  host::log_plan(problem, index, this->config());
}

void CrossEntropyBackwardPlan::run(const CrossEntropyBackwardPointers& pointers, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device);
  if (plan.config.empty()) return;
  require_pointers(plan.problem, pointers);
  CrossEntropyBackwardParams params = plan.params;
  params.logits.data = const_cast<void*>(pointers.logits);
  params.dlogits.data = pointers.dlogits;
  params.targets.data.data = const_cast<void*>(pointers.targets);
  params.lse.data = const_cast<float*>(pointers.lse);
  params.dloss.data = const_cast<float*>(pointers.dloss);
  host::DeviceGuard guard(plan.device);
  host::launch(plan.launch, &params, stream);
}

const CrossEntropyBackwardProblem& CrossEntropyBackwardPlan::problem() const noexcept {
  return implementation_->problem;
}
const std::string& CrossEntropyBackwardPlan::config() const noexcept { return implementation_->config; }
int CrossEntropyBackwardPlan::device() const noexcept { return implementation_->device; }

void cross_entropy_backward(const CrossEntropyBackwardArguments& in, Stream stream) {
  static host::PlanCache<CrossEntropyBackwardPlan, CrossEntropyBackwardProblem> cache;
  CrossEntropyBackwardProblem problem = cross_entropy_backward_problem(in);
  cache.get(problem, host::current_device())->run(pointers_of(in), stream);
}

}  // namespace ckl
