#include "ckl/norm.hpp"

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
#include "ops/norm/check.hpp"
#include "ops/norm/params.hpp"

namespace ckl {

const char* name(NormKind kind) noexcept {
  switch (kind) {
    case NormKind::layer: return "layernorm";
    case NormKind::rms: return "rmsnorm";
  }
  return "invalid";
}

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

bool is_empty(const NormProblem& p) { return host::has_no_elements(p.rank, p.sizes); }

/// Whether y is fp8, with a scale a row.
bool is_quantized(const NormProblem& p) { return p.y.dtype == DType::e4m3 || p.y.dtype == DType::e5m2; }

/// A tensor of the problem that is there, by its name.
struct Named {
  const char* argument;
  const TensorOperand* operand;
};

std::vector<Named> inputs(const NormProblem& p) {
  std::vector<Named> list = {{"x", &p.x}};
  if (p.has_weight) list.push_back({"weight", &p.weight});
  if (p.has_bias) list.push_back({"bias", &p.bias});
  if (p.has_residual) list.push_back({"residual", &p.residual});
  return list;
}

std::vector<Named> outputs(const NormProblem& p) {
  std::vector<Named> list = {{"y", &p.y}};
  if (p.has_sum) list.push_back({"sum", &p.sum});
  return list;
}

Tensor at(const NormProblem& p, const TensorOperand& operand, const void* data) {
  return host::tensor_at(p.rank, p.sizes, operand, data);
}

/// A statistic: one value a row, contiguous.
Tensor statistic_at(const NormProblem& p, const void* data) {
  Tensor t;
  t.data = const_cast<void*>(data);
  t.rank = p.rank - 1;
  std::int64_t stride = 1;
  for (int d = t.rank - 1; d >= 0; --d) {
    t.sizes[d] = p.sizes[d];
    t.strides[d] = stride;
    stride *= p.sizes[d];
  }
  return t;
}

void require_valid(const NormProblem& p) {
  host::require(p.kind == NormKind::layer || p.kind == NormKind::rms,
                "kind must be NormKind::layer or NormKind::rms, but is ", int(p.kind));
  std::vector<Named> all = inputs(p), out = outputs(p);
  all.insert(all.end(), out.begin(), out.end());
  for (const Named& named : all) host::require_operand(p.rank, p.sizes, *named.operand, named.argument);
  host::require(p.rank >= 1, "x.rank must be 1 or more, but is ", p.rank);
  host::require_supported(p.x.dtype == DType::f32 || p.x.dtype == DType::f16 || p.x.dtype == DType::bf16,
                          "x.dtype must be f32, f16 or bf16, but is ", name(p.x.dtype));
  host::require_supported(p.y.dtype == p.x.dtype || is_quantized(p), "y.dtype must be x's, ", name(p.x.dtype),
                          ", or e4m3 or e5m2, but is ", name(p.y.dtype));
  host::require(p.has_scale || !is_quantized(p), "scale must be there where y.dtype is ", name(p.y.dtype),
                ", but is absent");
  host::require(!p.has_scale || is_quantized(p), "scale must be absent unless y.dtype is e4m3 or e5m2, but y.dtype is ",
                name(p.y.dtype));
  for (auto [operand, argument] :
       {std::pair{p.has_residual ? &p.residual : &p.x, "residual"}, {p.has_sum ? &p.sum : &p.x, "sum"}})
    host::require_supported(operand->dtype == p.x.dtype, argument, ".dtype must be x's, ", name(p.x.dtype), ", but is ",
                            name(operand->dtype));
  for (auto [operand, has, argument] : {std::tuple{&p.weight, p.has_weight, "weight"}, {&p.bias, p.has_bias, "bias"}}) {
    if (has) require_vector(p.rank, *operand, argument, p.x.dtype);
  }
  if (p.has_weight && p.has_bias)
    host::require_supported(p.bias.dtype == p.weight.dtype, "bias.dtype must be weight's, ", name(p.weight.dtype),
                            ", but is ", name(p.bias.dtype));
  host::require(p.has_residual || !p.has_sum, "sum must be absent without a residual, but is there");
  host::require(std::isfinite(p.epsilon) && p.epsilon >= 0, "epsilon must be finite and 0 or more, but is ", p.epsilon);
  for (const Named& named : outputs(p)) host::require_no_self_overlap(at(p, *named.operand, nullptr), named.argument);
}

/// The pointer of the tensor called `argument`.
const void* pointer(const NormPointers& pointers, std::string_view argument) {
  if (argument == "x") return pointers.x;
  if (argument == "y") return pointers.y;
  if (argument == "weight") return pointers.weight;
  if (argument == "bias") return pointers.bias;
  return argument == "residual" ? pointers.residual : pointers.sum;
}

void require_pointers(const NormProblem& p, const NormPointers& pointers) {
  if (is_empty(p)) return;
  std::vector<std::pair<const char*, Tensor>> in, out;
  for (const Named& named : inputs(p))
    in.emplace_back(named.argument, at(p, *named.operand, pointer(pointers, named.argument)));
  for (const Named& named : outputs(p)) {
    host::require_pointer(pointer(pointers, named.argument), *named.operand, named.argument);
    out.emplace_back(named.argument, at(p, *named.operand, pointer(pointers, named.argument)));
  }
  for (const Named& named : inputs(p))
    host::require_pointer(pointer(pointers, named.argument), *named.operand, named.argument);
  for (auto [has, data, argument] : {std::tuple{p.has_mean, pointers.mean, "mean"},
                                     {p.has_rstd, pointers.rstd, "rstd"},
                                     {p.has_scale, pointers.scale, "scale"}}) {
    if (!has) continue;
    host::require_pointer(data, TensorOperand{DType::f32, {}, 4}, argument);
    out.emplace_back(argument, statistic_at(p, data));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (const auto& [argument, tensor] : in)
      host::require_no_partial_overlap(out[i].second, out[i].first, tensor, argument);
    for (std::size_t j = 0; j < i; ++j)
      host::require_no_overlap(out[i].second, out[i].first, out[j].second, out[j].first);
  }
}

void require_statistic(const Tensor& tensor, const char* argument, const Tensor& x, const NormProblem& p) {
  host::require_same_shape(tensor, argument, x, "x", x.rank - 1);
  host::require_supported(tensor.dtype == DType::f32, argument, ".dtype must be f32, but is ", name(tensor.dtype));
  Tensor contiguous = statistic_at(p, nullptr);
  for (int d = 0; d < tensor.rank; ++d)
    host::require(tensor.sizes[d] == 1 || tensor.strides[d] == contiguous.strides[d], argument, ".strides[", d,
                  "] must be ", contiguous.strides[d], " (contiguous), but is ", tensor.strides[d]);
}

NormPointers pointers_of(const NormArguments& in) {
  return {in.x.data,
          in.y.data,
          in.weight.data,
          in.bias.data,
          in.residual.data,
          in.sum.data,
          static_cast<float*>(in.mean.data),
          static_cast<float*>(in.rstd.data),
          static_cast<float*>(in.scale.data)};
}

}  // namespace

NormProblem norm_problem(const NormArguments& in) {
  host::require_well_formed(in.x, "x");
  host::require(in.x.rank >= 1, "x.rank must be 1 or more, but is ", in.x.rank);
  host::require_same_shape(in.y, "y", in.x, "x", in.x.rank);
  NormProblem p;
  p.kind = in.kind;
  p.rank = in.x.rank;
  std::copy_n(in.x.sizes.begin(), p.rank, p.sizes.begin());
  p.x = host::operand_of(in.x);
  p.y = host::operand_of(in.y);
  p.epsilon = in.epsilon;
  if ((p.has_weight = is_given(in.weight))) p.weight = vector_operand(in.weight, "weight", in.x);
  if ((p.has_bias = is_given(in.bias))) p.bias = vector_operand(in.bias, "bias", in.x);
  if ((p.has_residual = is_given(in.residual))) {
    host::require_same_shape(in.residual, "residual", in.x, "x", in.x.rank);
    p.residual = host::operand_of(in.residual);
  }
  if ((p.has_sum = is_given(in.sum))) {
    host::require_same_shape(in.sum, "sum", in.x, "x", in.x.rank);
    p.sum = host::operand_of(in.sum);
  }
  if ((p.has_mean = is_given(in.mean))) require_statistic(in.mean, "mean", in.x, p);
  if ((p.has_rstd = is_given(in.rstd))) require_statistic(in.rstd, "rstd", in.x, p);
  if ((p.has_scale = is_given(in.scale))) require_statistic(in.scale, "scale", in.x, p);
  require_valid(p);
  require_pointers(p, pointers_of(in));
  return p;
}

std::string NormProblem::to_string() const {
  std::string text = host::sentence(name(kind), " ", host::listed(rank, sizes), " ", name(x.dtype));
  if (y.dtype != x.dtype) text += std::string("->") + name(y.dtype);
  for (auto [has, word] : {std::pair{has_weight, " weight"},
                           {has_bias, " bias"},
                           {has_residual, " residual"},
                           {has_sum, " sum"},
                           {has_mean, " mean"},
                           {has_rstd, " rstd"},
                           {has_scale, " scale"}})
    if (has) text += word;
  return text;
}

bool operator==(const NormProblem& x, const NormProblem& y) noexcept {
  auto key = [](const NormProblem& p) {
    return std::tie(p.kind, p.rank, p.sizes, p.x, p.y, p.has_weight, p.has_bias, p.has_residual, p.has_sum, p.has_mean,
                    p.has_rstd, p.has_scale, p.weight, p.bias, p.residual, p.sum, p.epsilon);
  };
  return key(x) == key(y);
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

/// The operands that have a row each, as far as they are there: x, y, residual, sum.
std::vector<TensorOperand> operands_of_rows(const NormProblem& p) {
  std::vector<TensorOperand> operands = {p.x, p.y};
  for (auto [has, operand] : {std::pair{p.has_residual, &p.residual}, {p.has_sum, &p.sum}})
    if (has) operands.push_back(*operand);
  return operands;
}

/// Those for all rows: weight, bias.
std::vector<TensorOperand> operands_for_all_rows(const NormProblem& p) {
  std::vector<TensorOperand> operands;
  for (auto [has, operand] : {std::pair{p.has_weight, &p.weight}, {p.has_bias, &p.bias}})
    if (has) operands.push_back(*operand);
  return operands;
}

/// All of them, in this order.
host::RowShape shape_of(const NormProblem& p) {
  std::vector<TensorOperand> operands = operands_of_rows(p);
  for (const TensorOperand& operand : operands_for_all_rows(p)) operands.push_back(operand);
  return host::RowShape::of(p.rank, p.sizes, p.rank - 1, operands);
}

/// Whose kernels serve the problem.
const char* operator_of(const NormProblem& p) { return is_quantized(p) ? "norm_quantized" : "norm"; }

/// Whether the kernels for plain rows serve the problem.
bool is_plain(const NormProblem& p, const host::RowShape& shape) {
  return shape.grid.dimensions == 1 && p.has_weight && p.weight.dtype == p.x.dtype && !p.has_residual;
}

/// Whether the kernels for rows that begin anywhere serve the problem. They load units of the weight and the bias, which begin on one.
bool is_ragged(const NormProblem& p, const host::RowShape& shape) {
  if (shape.vectors || shape.grid.dimensions > 1) return false;
  for (const TensorOperand& operand : operands_for_all_rows(p))
    if (operand.dtype != p.x.dtype || operand.strides[p.rank - 1] != 1 || operand.alignment < norm_needs.ragged_tail)
      return false;
  return host::RowShape::of(p.rank, p.sizes, p.rank - 1, operands_of_rows(p)).ragged_vectors;
}

std::vector<std::string> candidates(const NormProblem& p, const host::RowShape& shape) {
  if (is_empty(p)) return {};
  const int passes = is_quantized(p) ? 3 : 2;
  std::vector<std::string> names =
      host::rank_row_configs(p.x.dtype, shape.grid.columns, shape.vectors, host::shipped_configs(operator_of(p)),
                             norm_needs, passes, is_ragged(p, shape));
  if (!is_plain(p, shape))
    std::erase_if(names, [](const std::string& name) { return parse_row_config(name, norm_needs).plain; });
  return names;
}

}  // namespace

std::vector<std::string> norm_candidates(const NormProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  return candidates(problem, shape_of(problem));
}

// ---- plan --------------------------------------------------------------------------------------------------------------

struct NormPlan::Implementation {
  NormProblem problem;
  int device;
  std::string config;
  NormParams params{};
  host::Launch launch;

  Implementation(const NormProblem& p, int index, std::string_view wanted) : problem(p), device(index) {
    host::RowShape shape = shape_of(p);
    config = host::chosen(candidates(p, shape), wanted);
    if (config.empty()) return;
    params.grid = shape.grid;
    auto operand = shape.operands.begin();
    params.x = *operand++;
    params.y = *operand++;
    if (p.has_residual) params.residual = *operand++;
    if (p.has_sum) params.sum = *operand++;
    if (p.has_weight) params.weight = *operand++;
    if (p.has_bias) params.bias = *operand++;
    params.affine_f32 = (p.has_weight ? p.weight : p.bias).dtype == DType::f32;
    params.centered = p.kind == NormKind::layer;
    params.epsilon = p.epsilon;
    params.reciprocal_columns = 1.0 / double(shape.grid.columns);
    params.y_dtype = p.y.dtype;
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    launch = host::prepare_rows(operator_of(p), config, params.grid, device, norm_needs);
  }
};

NormPlan::NormPlan(const NormProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  int index = host::require_device(device).index;
  implementation_ = std::make_shared<const Implementation>(problem, index, config);
  host::log_plan(problem, index, this->config());
}

void NormPlan::run(const NormPointers& pointers, Stream stream) const {
  const Implementation& plan = *implementation_;
  const NormProblem& p = plan.problem;
  host::require_stream_of(stream, plan.device);
  if (is_empty(p)) return;
  require_pointers(p, pointers);
  NormParams params = plan.params;
  params.x.data = const_cast<void*>(pointers.x);
  params.y.data = pointers.y;
  if (p.has_weight) params.weight.data = const_cast<void*>(pointers.weight);
  if (p.has_bias) params.bias.data = const_cast<void*>(pointers.bias);
  if (p.has_residual) params.residual.data = const_cast<void*>(pointers.residual);
  if (p.has_sum) params.sum.data = pointers.sum;
  if (p.has_mean) params.mean = pointers.mean;
  if (p.has_rstd) params.rstd = pointers.rstd;
  if (p.has_scale) params.scale = pointers.scale;
  host::DeviceGuard guard(plan.device);
  host::launch(plan.launch, &params, stream);
}

const NormProblem& NormPlan::problem() const noexcept { return implementation_->problem; }
const std::string& NormPlan::config() const noexcept { return implementation_->config; }
int NormPlan::device() const noexcept { return implementation_->device; }

void norm(const NormArguments& in, Stream stream) {
  static host::PlanCache<NormPlan, NormProblem> cache;
  NormProblem problem = norm_problem(in);
  cache.get(problem, host::current_device())->run(pointers_of(in), stream);
}

}  // namespace ckl
