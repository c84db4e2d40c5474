#include <algorithm>
#include <bit>
#include <tuple>

#include "ckl/norm_backward.hpp"
#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/rows.hpp"
#include "host/workspace.hpp"
#include "ops/norm/backward/params.hpp"
#include "ops/norm/check.hpp"
#include "ops/norm/sums/params.hpp"

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

bool is_empty(const NormBackwardProblem& p) { return host::has_no_elements(p.rank, p.sizes); }

/// A tensor of the problem that is there.
struct Named {
  const char* argument;
  const TensorOperand* operand;
  enum { full, one_a_row, vector } shape;
  const void* data;
};

/// Those that are read, and those that are written.
std::vector<Named> inputs(const NormBackwardProblem& p, const NormBackwardPointers& data) {
  std::vector<Named> list = {{"x", &p.x, Named::full, data.x},
                             {"dy", &p.dy, Named::full, data.dy},
                             {"rstd", &p.rstd, Named::one_a_row, data.rstd}};
  if (p.kind == NormKind::layer) list.push_back({"mean", &p.mean, Named::one_a_row, data.mean});
  if (p.has_weight) list.push_back({"weight", &p.weight, Named::vector, data.weight});
  return list;
}

std::vector<Named> outputs(const NormBackwardProblem& p, const NormBackwardPointers& data) {
  std::vector<Named> list = {{"dx", &p.dx, Named::full, data.dx}};
  if (p.has_dweight) list.push_back({"dweight", &p.dweight, Named::vector, data.dweight});
  if (p.has_dbias) list.push_back({"dbias", &p.dbias, Named::vector, data.dbias});
  return list;
}

Tensor tensor_of(const NormBackwardProblem& p, const Named& named) {
  if (named.shape != Named::vector)
    return host::tensor_at(named.shape == Named::full ? p.rank : p.rank - 1, p.sizes, *named.operand, named.data);
  Tensor t;
  t.data = const_cast<void*>(named.data);
  t.dtype = named.operand->dtype;
  t.rank = 1;
  t.sizes[0] = p.sizes[p.rank - 1];
  t.strides[0] = named.operand->strides[p.rank - 1];
  return t;
}

void require_valid(const NormBackwardProblem& p) {
  host::require(p.kind == NormKind::layer || p.kind == NormKind::rms,
                "kind must be NormKind::layer or NormKind::rms, but is ", int(p.kind));
  host::require(p.rank >= 1, "x.rank must be 1 or more, but is ", p.rank);
  std::vector<Named> all = inputs(p, {}), out = outputs(p, {});
  all.insert(all.end(), out.begin(), out.end());
  for (const Named& named : all) host::require_operand(p.rank, p.sizes, *named.operand, named.argument);
  host::require_supported(p.x.dtype == DType::f32 || p.x.dtype == DType::f16 || p.x.dtype == DType::bf16,
                          "x.dtype must be f32, f16 or bf16, but is ", name(p.x.dtype));
  for (const Named& named : all) {
    const DType dtype = named.operand->dtype;
    if (named.shape == Named::full)
      host::require_supported(dtype == p.x.dtype, named.argument, ".dtype must be x's, ", name(p.x.dtype), ", but is ",
                              name(dtype));
    if (named.shape == Named::vector) require_vector(p.rank, *named.operand, named.argument, p.x.dtype);
    if (named.shape != Named::one_a_row) continue;
    host::require_supported(dtype == DType::f32, named.argument, ".dtype must be f32, but is ", name(dtype));
    host::require(named.operand->strides[p.rank - 1] == 0, named.argument, ".strides[", p.rank - 1,
                  "] must be 0, but is ", named.operand->strides[p.rank - 1]);
  }
  for (const Named& named : out) host::require_no_self_overlap(tensor_of(p, named), named.argument);
}

void require_pointers(const NormBackwardProblem& p, const NormBackwardPointers& pointers) {
  const std::vector<Named> in = inputs(p, pointers), out = outputs(p, pointers);
  if (is_empty(p)) {  // the sums of no rows are 0
    for (const Named& named : out)
      if (named.shape == Named::vector && p.sizes[p.rank - 1] > 0)
        host::require_pointer(named.data, *named.operand, named.argument);
    return;
  }
  for (const std::vector<Named>* list : {&in, &out})
    for (const Named& named : *list) host::require_pointer(named.data, *named.operand, named.argument);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Tensor output = tensor_of(p, out[i]);
    for (const Named& input : in) {
      if (out[i].shape == Named::full && input.shape == Named::full)
        host::require_no_partial_overlap(output, out[i].argument, tensor_of(p, input), input.argument);
      else
        host::require_no_overlap(output, out[i].argument, tensor_of(p, input), input.argument);
    }
    for (std::size_t j = 0; j < i; ++j)
      host::require_no_overlap(output, out[i].argument, tensor_of(p, out[j]), out[j].argument);
  }
}

NormBackwardPointers pointers_of(const NormBackwardArguments& in) {
  return {in.x.data,      in.dy.data,      in.dx.data,    static_cast<const float*>(in.rstd.data),
          in.weight.data, in.dweight.data, in.dbias.data, static_cast<const float*>(in.mean.data)};
}

}  // namespace

NormBackwardProblem norm_backward_problem(const NormBackwardArguments& in) {
  host::require_well_formed(in.x, "x");
  host::require(in.x.rank >= 1, "x.rank must be 1 or more, but is ", in.x.rank);
  host::require_same_shape(in.dy, "dy", in.x, "x", in.x.rank);
  host::require_same_shape(in.dx, "dx", in.x, "x", in.x.rank);
  NormBackwardProblem p;
  p.kind = in.kind;
  p.rank = in.x.rank;
  std::copy_n(in.x.sizes.begin(), p.rank, p.sizes.begin());
  p.x = host::operand_of(in.x);
  p.dy = host::operand_of(in.dy);
  p.dx = host::operand_of(in.dx);
  const auto statistic = [&](const Tensor& tensor, const char* argument) {
    host::require_same_shape(tensor, argument, in.x, "x", in.x.rank - 1);
    return host::operand_of(tensor);
  };
  p.rstd = statistic(in.rstd, "rstd");
  host::require(
      is_given(in.mean) == (in.kind == NormKind::layer), "mean must be ",
      in.kind == NormKind::layer ? "given for a layernorm, but is not" : "absent for an rmsnorm, but is given");
  if (in.kind == NormKind::layer) p.mean = statistic(in.mean, "mean");
  if ((p.has_weight = is_given(in.weight))) p.weight = vector_operand(in.weight, "weight", in.x);
  if ((p.has_dweight = is_given(in.dweight))) p.dweight = vector_operand(in.dweight, "dweight", in.x);
  if ((p.has_dbias = is_given(in.dbias))) p.dbias = vector_operand(in.dbias, "dbias", in.x);
  require_valid(p);
  require_pointers(p, pointers_of(in));
  return p;
}

std::string NormBackwardProblem::to_string() const {
  std::string text = host::sentence(name(kind), "-backward ", host::listed(rank, sizes), " ", name(x.dtype));
  for (auto [has, word] : {std::pair{has_weight, " weight"}, {has_dweight, " dweight"}, {has_dbias, " dbias"}})
    if (has) text += word;
  return text;
}

bool operator==(const NormBackwardProblem& x, const NormBackwardProblem& y) noexcept {
  auto key = [](const NormBackwardProblem& p) {
    return std::tie(p.kind, p.rank, p.sizes, p.x, p.dy, p.dx, p.mean, p.rstd, p.has_weight, p.has_dweight, p.has_dbias,
                    p.weight, p.dweight, p.dbias);
  };
  return key(x) == key(y);
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

/// The operands that are there, in this order: x, dy, dx, weight, then rstd and mean.
host::RowShape shape_of(const NormBackwardProblem& p) {
  std::vector<TensorOperand> operands = {p.x, p.dy, p.dx}, statistics = {p.rstd};
  if (p.has_weight) operands.push_back(p.weight);
  if (p.kind == NormKind::layer) statistics.push_back(p.mean);
  return host::RowShape::of(p.rank, p.sizes, p.rank - 1, operands, statistics);
}

/// Whether the kernels for rows that begin anywhere serve the problem.
bool is_ragged(const NormBackwardProblem& p, const host::RowShape& shape) {
  return !shape.vectors && shape.grid.dimensions == 1 && (!p.has_weight || p.weight.dtype == p.x.dtype) &&
         host::RowShape::of(p.rank, p.sizes, p.rank - 1, {p.x, p.dy, p.dx}).ragged_vectors;
}

std::vector<std::string> candidates(const NormBackwardProblem& p, const host::RowShape& shape,
                                    const DeviceInfo& device) {
  if (is_empty(p)) return {};
  const bool ragged = is_ragged(p, shape);
  std::vector<std::string> names =
      host::rank_row_configs(p.x.dtype, shape.grid.columns, shape.vectors, host::shipped_configs("norm_backward"),
                             norm_backward_needs, 2, ragged);
  const auto is_dense = [](const std::string& name) {
    const RowConfig config = parse_row_config(name, norm_backward_needs);
    return config.is_ring() && !config.vector;
  };
  std::erase_if(names, [&](const std::string& name) {
    const RowConfig config = parse_row_config(name, norm_backward_needs);
    if (is_dense(name)) return !shape.dense;
    return config.kind == RowKind::team &&
           shape.grid.columns > std::int64_t(config.capacity()) * device.sm_count;  // an SM for each block
  });
  // Of what vectors cannot take, a ring is the faster way from here on, though most of its threads' places are empty (measured on an H200).
  constexpr std::int64_t longest_beside_ring = 512;
  const bool has_vectors = !names.empty() && parse_row_config(names.front(), norm_backward_needs).vector;
  if (has_vectors || shape.grid.columns <= longest_beside_ring) return names;
  std::vector<std::string> ranked;  // std::stable_partition would have the library export its buffer
  for (const bool dense : {true, false})
    for (const std::string& name : names)
      if (is_dense(name) == dense) ranked.push_back(name);
  return ranked;
}

/// As many blocks, or clusters, as there is room for at a time, so that each adds up many rows.
std::int64_t partitions_of(const RowConfig& config, const host::Launch& launch, const DeviceInfo& device) {
  const std::int64_t needed = launch.grid / launch.cluster;
  const std::int64_t resident = device.sm_count * config.blocks_per_sm() / launch.cluster;
  if (config.ragged && resident < needed)
    return std::max(resident / ragged_partitions, std::int64_t(1)) * ragged_partitions;
  return std::clamp<std::int64_t>(resident, 1, needed);
}

}  // namespace

std::vector<std::string> norm_backward_candidates(const NormBackwardProblem& problem, const DeviceInfo& device) {
  require_valid(problem);
  return candidates(problem, shape_of(problem), device);
}

// ---- plan --------------------------------------------------------------------------------------------------------------

class NormBackwardPlan::Implementation {
 public:
  Implementation(const NormBackwardProblem& problem, int device, std::string_view wanted = {})
      : problem_(problem), device_(host::require_device(device).index) {
    const host::RowShape shape = shape_of(problem);
    config_ = host::chosen(candidates(problem, shape, device_info(device_)), wanted);
    if (!config_.empty())
      prepare(shape);
    else if (problem.sizes[problem.rank - 1] > 0)
      prepare_sums(0);  // those of no rows are 0
    host::log_plan(problem, device_, config_);
  }

  const NormBackwardProblem& problem() const { return problem_; }
  const std::string& config() const { return config_; }
  int device() const { return device_; }
  std::size_t workspace_bytes() const { return boxes_at() + box_bytes_; }

  /// Launches, all having been checked.
  void launch(const NormBackwardPointers& pointers, void* workspace, Stream stream) const {
    NormSumsParams last = sums_params_;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      last.sums[i].partials = reinterpret_cast<float*>(static_cast<char*>(workspace) + i * partial_bytes());
      last.sums[i].y = sums_[i] == Gradient::weight ? pointers.dweight : pointers.dbias;
    }
    host::DeviceGuard guard(device_);
    if (!config_.empty()) {
      NormBackwardParams params = params_;
      if (box_bytes_ > 0) {
        params.boxes = reinterpret_cast<std::uint64_t*>(static_cast<char*>(workspace) + boxes_at());
        host::zero(params.boxes, box_bytes_, stream);
      }
      params.x.data = const_cast<void*>(pointers.x);
      params.dy.data = const_cast<void*>(pointers.dy);
      params.dx.data = pointers.dx;
      params.rstd.data = const_cast<float*>(pointers.rstd);
      if (problem_.has_weight) params.weight.data = const_cast<void*>(pointers.weight);
      if (params.centered) params.mean.data = const_cast<float*>(pointers.mean);
      for (std::size_t i = 0; i < sums_.size(); ++i)
        (sums_[i] == Gradient::weight ? params.dweight_partials : params.dbias_partials) =
            const_cast<float*>(last.sums[i].partials);
      host::launch(launch_, &params, stream);
    }
    if (!sums_.empty()) host::launch(sums_launch_, &last, stream);
  }

 private:
  /// Gradients that are sums over rows.
  enum class Gradient { weight, bias };

  /// Of the partial sums of one gradient; those of the next begin after them.
  std::size_t partial_bytes() const {
    const std::size_t bytes = std::size_t(sums_params_.partitions * sums_params_.columns) * sizeof(float);
    return (bytes + 255) / 256 * 256;
  }

  /// Where the boxes of a team's blocks begin in the workspace.
  std::size_t boxes_at() const { return partial_bytes() * sums_.size(); }

  void prepare(const host::RowShape& shape) {
    params_.grid = shape.grid;
    auto operand = shape.operands.begin();
    params_.x = *operand++;
    params_.dy = *operand++;
    params_.dx = *operand++;
    if (problem_.has_weight) params_.weight = *operand++;
    params_.weight_f32 = problem_.has_weight && problem_.weight.dtype == DType::f32;
    params_.rstd = *operand++;
    params_.centered = problem_.kind == NormKind::layer;
    if (params_.centered) params_.mean = *operand++;
    params_.reciprocal_columns = 1.0 / double(shape.grid.columns);
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device_);
    launch_ = host::prepare_rows("norm_backward", config_, params_.grid, device_, norm_backward_needs);
    const RowConfig config = parse_row_config(config_, norm_backward_needs);
    launch_.threads = unsigned(norm_backward_threads(config));
    if (config.kind == RowKind::team) {
      box_bytes_ = std::size_t(norm_backward_box_words(config, launch_.grid)) * sizeof(std::uint64_t);
    } else {
      const std::int64_t partitions = partitions_of(config, launch_, device_info(device_));
      launch_.grid = unsigned(partitions) * launch_.cluster;
      params_.grid.clusters = int(partitions);
    }
    prepare_sums(params_.grid.clusters);
  }

  void prepare_sums(std::int64_t partitions) {
    const int last = problem_.rank - 1;
    const auto add = [&](bool has, Gradient gradient, const TensorOperand& operand) {
      if (!has) return;
      sums_params_.sums[sums_.size()] = {nullptr, nullptr, operand.strides[last], operand.dtype};
      sums_.push_back(gradient);
    };
    add(problem_.has_dweight, Gradient::weight, problem_.dweight);
    add(problem_.has_dbias, Gradient::bias, problem_.dbias);
    if (sums_.empty()) return;
    sums_params_.partitions = partitions;
    sums_params_.columns = problem_.sizes[last];
    const std::int64_t batches = (partitions + norm_sums_batch - 1) / norm_sums_batch;
    sums_params_.warps_each = int(std::bit_ceil(std::uint64_t(std::clamp<std::int64_t>(batches, 1, norm_sums_warps))));
    const std::int64_t columns = norm_sums_columns * (norm_sums_warps / sums_params_.warps_each);  // of a block
    sums_params_.blocks_each = int((sums_params_.columns + columns - 1) / columns);
    sums_launch_.kernel = host::find_kernel("norm_sums", "any");
    sums_launch_.grid = unsigned(sums_.size()) * unsigned(sums_params_.blocks_each);
    sums_launch_.threads = norm_sums_columns * norm_sums_warps;
    sums_launch_.overlaps_preceding = true;
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device_);
    host::prepare(sums_launch_, device_);
  }

  NormBackwardProblem problem_;
  int device_;
  std::string config_;
  NormBackwardParams params_{};
  host::Launch launch_;
  std::vector<Gradient> sums_;  // that are wanted
  NormSumsParams sums_params_{};
  host::Launch sums_launch_;
  std::size_t box_bytes_ = 0;
};

NormBackwardPlan::NormBackwardPlan(const NormBackwardProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  implementation_ = std::make_shared<const Implementation>(problem, device, config);
}

void NormBackwardPlan::run(const NormBackwardPointers& pointers, void* workspace, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device());
  require_pointers(plan.problem(), pointers);
  host::require_workspace(workspace, plan.workspace_bytes());
  plan.launch(pointers, workspace, stream);
}

std::size_t NormBackwardPlan::workspace_bytes() const noexcept { return implementation_->workspace_bytes(); }
const NormBackwardProblem& NormBackwardPlan::problem() const noexcept { return implementation_->problem(); }
const std::string& NormBackwardPlan::config() const noexcept { return implementation_->config(); }
int NormBackwardPlan::device() const noexcept { return implementation_->device(); }

void norm_backward(const NormBackwardArguments& in, Stream stream) {
  static host::PlanCache<NormBackwardPlan::Implementation, NormBackwardProblem> cache;
  const NormBackwardProblem problem = norm_backward_problem(in);
  const int device = host::current_device();
  const auto plan = cache.get(problem, device);
  host::require_stream_of(stream, device);
  host::StreamWorkspace workspace(plan->workspace_bytes(), 0, device, stream);
  plan->launch(pointers_of(in), workspace.data(), stream);
}

}  // namespace ckl
