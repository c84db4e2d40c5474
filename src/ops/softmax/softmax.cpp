#include "ckl/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/rows.hpp"
#include "ops/softmax/params.hpp"

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

bool is_empty(const SoftmaxProblem& p) { return host::has_no_elements(p.rank, p.sizes); }

Tensor at(const SoftmaxProblem& p, const TensorOperand& operand, const void* data) {
  return host::tensor_at(p.rank, p.sizes, operand, data);
}

void require_valid(const SoftmaxProblem& p) {
  for (auto [operand, argument] : {std::pair{&p.x, "x"}, {&p.y, "y"}, {p.has_mask ? &p.mask : &p.x, "mask"}}) {
    host::require_operand(p.rank, p.sizes, *operand, argument);
    host::require_supported(
        operand->dtype == DType::f32 || operand->dtype == DType::f16 || operand->dtype == DType::bf16, argument,
        ".dtype must be f32, f16 or bf16, but is ", name(operand->dtype));
  }
  for (auto [operand, argument] : {std::pair{&p.y, "y"}, {p.has_mask ? &p.mask : &p.x, "mask"}})
    host::require_supported(operand->dtype == p.x.dtype, argument, ".dtype must be x's, ", name(p.x.dtype), ", but is ",
                            name(operand->dtype));
  host::require(p.rank >= 1, "x.rank must be 1 or more, but is ", p.rank);
  host::require(p.axis >= 0 && p.axis < p.rank, "axis must be 0 to ", p.rank - 1, ", but is ", p.axis);
  host::require(std::isfinite(p.scale), "scale must be finite, but is ", p.scale);
  host::require(!p.causal || (p.rank >= 2 && p.axis == p.rank - 1),
                "causal must be false but along the last of two axes or more, here axis ", p.axis, " of ", p.rank,
                ", but is true");
  host::require_no_self_overlap(at(p, p.y, nullptr), "y");
}

void require_pointers(const SoftmaxProblem& p, const SoftmaxPointers& pointers) {
  if (is_empty(p)) return;
  const Tensor y = at(p, p.y, pointers.y);
  host::require_pointer(pointers.x, p.x, "x");
  host::require_pointer(pointers.y, p.y, "y");
  host::require_no_partial_overlap(y, "y", at(p, p.x, pointers.x), "x");
  if (!p.has_mask) return;
  host::require_pointer(pointers.mask, p.mask, "mask");
  host::require_no_partial_overlap(y, "y", at(p, p.mask, pointers.mask), "mask");
}

/// A mask as an operand of x's shape: where its size is 1, it repeats.
TensorOperand mask_operand(const Tensor& mask, const Tensor& x) {
  host::require_well_formed(mask, "mask");
  host::require(mask.rank == x.rank, "mask.rank must be x's, ", x.rank, ", but is ", mask.rank);
  TensorOperand operand = host::operand_of(mask);
  for (int d = 0; d < x.rank; ++d) {
    host::require(mask.sizes[d] == x.sizes[d] || mask.sizes[d] == 1, "mask.sizes[", d, "] must be x.sizes[", d, "], ",
                  x.sizes[d], ", or 1, but is ", mask.sizes[d]);
    if (mask.sizes[d] == 1) operand.strides[d] = 0;
  }
  return operand;
}

}  // namespace

SoftmaxProblem softmax_problem(const SoftmaxArguments& in) {
  host::require_well_formed(in.x, "x");
  host::require_same_shape(in.y, "y", in.x, "x", in.x.rank);
  host::require(in.x.rank >= 1, "x.rank must be 1 or more, but is ", in.x.rank);
  host::require(in.axis >= -in.x.rank && in.axis < in.x.rank, "axis must be ", -in.x.rank, " to ", in.x.rank - 1,
                ", but is ", in.axis);
  SoftmaxProblem p;
  p.rank = in.x.rank;
  std::copy_n(in.x.sizes.begin(), p.rank, p.sizes.begin());
  p.axis = in.axis < 0 ? in.axis + p.rank : in.axis;
  p.x = host::operand_of(in.x);
  p.y = host::operand_of(in.y);
  p.scale = in.scale;
  p.log = in.log;
  if ((p.has_mask = in.mask.data != nullptr || in.mask.rank != 0)) p.mask = mask_operand(in.mask, in.x);
  p.causal = in.causal;
  p.diagonal = in.causal ? in.diagonal : 0;
  require_valid(p);
  require_pointers(p, {in.x.data, in.y.data, in.mask.data});
  return p;
}

std::string SoftmaxProblem::to_string() const {
  std::string text =
      host::sentence(log ? "log-softmax " : "softmax ", host::listed(rank, sizes), " along ", axis, " ", name(x.dtype));
  if (has_mask) text += " mask";
  if (causal) text += host::sentence(" causal diagonal=", diagonal);
  return scale == 1.0f ? text : text + host::sentence(" scale=", scale);
}

bool operator==(const SoftmaxProblem& x, const SoftmaxProblem& y) noexcept {
  auto key = [](const SoftmaxProblem& p) {
    return std::tie(p.rank, p.sizes, p.axis, p.x, p.y, p.scale, p.log, p.has_mask, p.mask, p.causal, p.diagonal);
  };
  return key(x) == key(y);
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

/// Its operands are x, y and, if it is there, the mask.
host::RowShape shape_of(const SoftmaxProblem& p) {
  std::vector<TensorOperand> operands = {p.x, p.y};
  if (p.has_mask) operands.push_back(p.mask);
  return host::RowShape::of(p.rank, p.sizes, p.axis, operands);
}

std::vector<std::string> candidates(const SoftmaxProblem& p, const host::RowShape& shape) {
  if (is_empty(p)) return {};
  return host::rank_row_configs(p.x.dtype, shape.grid.columns, shape.vectors, host::shipped_configs("softmax"),
                                softmax_needs, 2, shape.ragged_vectors && !shape.vectors);
}

}  // namespace

std::vector<std::string> softmax_candidates(const SoftmaxProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  return candidates(problem, shape_of(problem));
}

// ---- plan --------------------------------------------------------------------------------------------------------------

struct SoftmaxPlan::Implementation {
  SoftmaxProblem problem;
  int device;
  std::string config;
  SoftmaxParams params{};
  host::Launch launch;

  Implementation(const SoftmaxProblem& p, int index, std::string_view wanted) : problem(p), device(index) {
    host::RowShape shape = shape_of(p);
    config = host::chosen(candidates(p, shape), wanted);
    if (config.empty()) return;
    params.grid = shape.grid;
    params.x = shape.operands[0];
    params.y = shape.operands[1];
    if (p.has_mask) params.mask = shape.operands[2];
    params.causal = p.causal;
    if (p.causal) {
      const std::int64_t rows = p.sizes[p.rank - 2], columns = p.sizes[p.rank - 1];
      params.matrix_rows = Divider::of(rows);
      params.diagonal = std::clamp(p.diagonal, -rows, columns);  // beyond these, nothing changes
    }
    params.scale = p.scale;
    params.log = p.log;
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    launch = host::prepare_rows("softmax", config, params.grid, device, softmax_needs);
  }
};

SoftmaxPlan::SoftmaxPlan(const SoftmaxProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(problem, index, config);
  host::log_plan(problem, index, this->config());
}

void SoftmaxPlan::run(const void* x, void* y, Stream stream) const { run({x, y}, stream); }

void SoftmaxPlan::run(const SoftmaxPointers& pointers, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device);
  if (is_empty(plan.problem)) return;
  require_pointers(plan.problem, pointers);
  SoftmaxParams params = plan.params;
  params.x.data = const_cast<void*>(pointers.x);
  params.y.data = pointers.y;
  if (plan.problem.has_mask) params.mask.data = const_cast<void*>(pointers.mask);
  host::DeviceGuard guard(plan.device);
  host::launch(plan.launch, &params, stream);
}

const SoftmaxProblem& SoftmaxPlan::problem() const noexcept { return implementation_->problem; }
const std::string& SoftmaxPlan::config() const noexcept { return implementation_->config; }
int SoftmaxPlan::device() const noexcept { return implementation_->device; }

void softmax(const SoftmaxArguments& arguments, Stream stream) {
  static host::PlanCache<SoftmaxPlan, SoftmaxProblem> cache;
  SoftmaxProblem problem = softmax_problem(arguments);
  cache.get(problem, host::current_device())->run({arguments.x.data, arguments.y.data, arguments.mask.data}, stream);
}

}  // namespace ckl
