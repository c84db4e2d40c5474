#include "ckl/cross_entropy.hpp"

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

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

/// A value for each row, or logits where `dimensions` is all of them.
Tensor at(const CrossEntropyProblem& p, int dimensions, const TensorOperand& operand, const void* data) {
  return host::tensor_at(dimensions, p.sizes, operand, data);
}

std::vector<NamedOperand> outputs(const CrossEntropyProblem& p) {
  std::vector<NamedOperand> list = {{"loss", &p.loss}};
  if (p.has_lse) list.push_back({"lse", &p.lse});
  return list;
}

void require_valid(const CrossEntropyProblem& p) {
  require_rows_of_logits(p.rank, p.sizes, p.logits, p.targets, outputs(p), p.label_smoothing);
  for (const auto& [argument, operand] : outputs(p))
    host::require_no_self_overlap(at(p, p.rank - 1, *operand, nullptr), argument);
}

void require_pointers(const CrossEntropyProblem& p, const CrossEntropyPointers& pointers) {
  if (has_no_rows(p.rank, p.sizes)) return;
  host::require_pointer(pointers.logits, p.logits, "logits");
  host::require_pointer(pointers.targets, p.targets, "targets");
  const Tensor logits = at(p, p.rank, p.logits, pointers.logits);
  const Tensor targets = at(p, p.rank - 1, p.targets, pointers.targets);
  const auto require_output = [&](float* data, const TensorOperand& operand, const char* argument) {
    host::require_pointer(data, operand, argument);
    const Tensor output = at(p, p.rank - 1, operand, data);
    host::require_no_overlap(output, argument, logits, "logits");
    host::require_no_overlap(output, argument, targets, "targets");
    return output;
  };
  const Tensor loss = require_output(pointers.loss, p.loss, "loss");
  if (p.has_lse) host::require_no_overlap(require_output(pointers.lse, p.lse, "lse"), "lse", loss, "loss");
}

}  // namespace

CrossEntropyProblem cross_entropy_problem(const CrossEntropyArguments& in) {
  host::require_well_formed(in.logits, "logits");
  host::require(in.logits.rank >= 1, "logits.rank must be 1 or more, but is ", in.logits.rank);
  CrossEntropyProblem p;
  p.rank = in.logits.rank;
  std::copy_n(in.logits.sizes.begin(), p.rank, p.sizes.begin());
  p.logits = host::operand_of(in.logits);
  p.targets = one_a_row(in.targets, "targets", in.logits);
  p.loss = one_a_row(in.loss, "loss", in.logits);
  p.has_lse = in.lse.data != nullptr || in.lse.rank != 0;
  if (p.has_lse) p.lse = one_a_row(in.lse, "lse", in.logits);
  p.ignore_index = in.ignore_index;
  p.label_smoothing = in.label_smoothing;
  require_valid(p);
  require_pointers(
      p, {in.logits.data, in.targets.data, static_cast<float*>(in.loss.data), static_cast<float*>(in.lse.data)});
  return p;
}

std::string CrossEntropyProblem::to_string() const {
  std::string text = "cross-entropy " + rows_to_string(rank, sizes, logits, targets) + (has_lse ? " lse" : "");
  return label_smoothing == 0 ? text : text + host::sentence(" smoothing=", label_smoothing);
}

bool operator==(const CrossEntropyProblem& x, const CrossEntropyProblem& y) noexcept {
  auto key = [](const CrossEntropyProblem& p) {
    return std::tie(p.rank, p.sizes, p.logits, p.targets, p.loss, p.has_lse, p.lse, p.ignore_index, p.label_smoothing);
  };
  return key(x) == key(y);
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

/// Its operands are logits, targets, loss and, if it is there, lse.
host::RowShape shape_of(const CrossEntropyProblem& p) {
  std::vector<TensorOperand> of_rows = {p.targets, p.loss};
  if (p.has_lse) of_rows.push_back(p.lse);
  return host::RowShape::of(p.rank, p.sizes, p.rank - 1, {p.logits}, of_rows);
}

std::vector<std::string> candidates(const CrossEntropyProblem& p, const host::RowShape& shape) {
  if (has_no_rows(p.rank, p.sizes)) return {};
  return host::rank_passing_row_configs(p.logits.dtype, shape.grid.columns, shape.ragged_vectors,
                                        host::shipped_configs("cross_entropy"), cross_entropy_needs);
}

}  // namespace

std::vector<std::string> cross_entropy_candidates(const CrossEntropyProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  return candidates(problem, shape_of(problem));
}

// ---- plan --------------------------------------------------------------------------------------------------------------

struct CrossEntropyPlan::Implementation {
  CrossEntropyProblem problem;
  int device;
  std::string config;
  CrossEntropyParams params{};
  host::Launch launch;

  Implementation(const CrossEntropyProblem& p, int index, std::string_view wanted) : problem(p), device(index) {
    host::RowShape shape = shape_of(p);
    config = host::chosen(candidates(p, shape), wanted);
    if (config.empty()) return;
    params.grid = shape.grid;
    params.logits = shape.operands[0];
    params.targets = target_params(shape.operands[1], p.targets, p.ignore_index, p.label_smoothing);
    params.loss = shape.operands[2];
    if (p.has_lse) params.lse = shape.operands[3];
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    launch = host::prepare_rows("cross_entropy", config, params.grid, device, cross_entropy_needs);
    params.waiting_blocks =
        device_info(device).sm_count * parse_row_config(config, cross_entropy_needs).blocks_per_sm();
  }
};

CrossEntropyPlan::CrossEntropyPlan(const CrossEntropyProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(problem, index, config);
  host::log_plan(problem, index, this->config());
}

void CrossEntropyPlan::run(const CrossEntropyPointers& pointers, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device);
  if (plan.config.empty()) return;
  require_pointers(plan.problem, pointers);
  CrossEntropyParams params = plan.params;
  params.logits.data = const_cast<void*>(pointers.logits);
  params.targets.data.data = const_cast<void*>(pointers.targets);
  params.loss.data = pointers.loss;
  if (plan.problem.has_lse) params.lse.data = pointers.lse;
  host::DeviceGuard guard(plan.device);
  host::launch(plan.launch, &params, stream);
}

const CrossEntropyProblem& CrossEntropyPlan::problem() const noexcept { return implementation_->problem; }
const std::string& CrossEntropyPlan::config() const noexcept { return implementation_->config; }
int CrossEntropyPlan::device() const noexcept { return implementation_->device; }

void cross_entropy(const CrossEntropyArguments& in, Stream stream) {
  static host::PlanCache<CrossEntropyPlan, CrossEntropyProblem> cache;
  CrossEntropyProblem problem = cross_entropy_problem(in);
  cache.get(problem, host::current_device())
      ->run({in.logits.data, in.targets.data, static_cast<float*>(in.loss.data), static_cast<float*>(in.lse.data)},
            stream);
}

}  // namespace ckl
