// Plans with an epilogue from outside of the library: the kernels are the user's, the rest is the library's.

#include <algorithm>
#include <cstring>
#include <optional>

#include "ckl/gemm_module.hpp"
#include "host/device.hpp"
#include "host/launch.hpp"
#include "host/module.hpp"
#include "host/require.hpp"
#include "host/workspace.hpp"
#include "ops/gemm/fused/params.hpp"
#include "ops/gemm/check.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/problem.hpp"
#include "ops/gemm/product.hpp"

namespace ckl {

// A change of what crosses to the kernels: count gemm_module_version up, then correct this number.
static_assert(gemm_module_version == 2 && sizeof(GemmParams) == 1280, "GemmParams has changed: see the line above");

namespace {

std::vector<GemmConfig> configs_of(const GemmModule& module) {
  std::vector<GemmConfig> configs;
  for (std::size_t i = 0; i < module.entry_count; ++i) {
    const GemmConfig config = parse_gemm_config(module.entries[i].config);
    host::require(config.stages > 0, "module ", module.name, "'s entry ", i, " must name a config, but names \"",
                  module.entries[i].config, "\"");
    host::require(!config.swapped && config.cluster_k == 1, "module ", module.name, "'s entry ", i,
                  " must name a config that is neither swapped nor has clusters along K, but names \"",
                  module.entries[i].config, "\"");
    configs.push_back(config);
  }
  return configs;
}

/// The problem as the module's kernels see it: never transposed, since the functor is told rows and columns.
GemmProblem kernel_problem(const GemmProblem& problem) {
  GemmProblem p = problem;
  if (!multiplies(p)) p.k = 0, p.alpha = 1;  // whatever alpha is, a NaN too: there is nothing to scale
  return canonical(p, false).problem;
}

std::vector<GemmChoice> choices(const GemmProblem& problem, const GemmModule& module, const DeviceInfo& device) {
  host::require_module(module, gemm_module_version, max_epilogue_params);
  require_valid(problem);
  host::require(problem.epilogue.empty(), "epilogue must be empty where a module has one, but is ",
                problem.epilogue.to_string());
  if (is_empty(problem)) return {};
  std::vector<GemmChoice> ranked = rank_choices(kernel_problem(problem), device, configs_of(module));
  // Split-K stores element by element; a functor wants neighbours of a row.
  std::erase_if(ranked, [](const GemmChoice& choice) { return choice.division == Division::split_k; });
  return ranked;
}

}  // namespace

std::vector<std::string> gemm_candidates(const GemmProblem& problem, const GemmModule& module,
                                         const DeviceInfo& device) {
  std::vector<std::string> names;
  for (const GemmChoice& choice : choices(problem, module, device)) names.push_back(to_string(choice));
  return names;
}

/// There is a launcher unless D is empty.
class GemmModulePlan::Implementation {
 public:
  Implementation(const GemmProblem& problem, const GemmModule& module, int device_index, std::string_view wanted);

  GemmProblem problem;
  std::string module_name;
  std::size_t params_bytes;
  int device = 0;
  Spans spans;
  std::optional<ProductLauncher> product;
  std::string config;
};

GemmModulePlan::Implementation::Implementation(const GemmProblem& p, const GemmModule& module, int device_index,
                                               std::string_view wanted)
    : problem(p), module_name(module.name), params_bytes(module.params_bytes) {
  host::require_module(module, gemm_module_version, max_epilogue_params);
  require_valid(p);
  const DeviceInfo& info = host::require_device(device_index);
  device = info.index;
  spans = spans_of(p);
  if (is_empty(p)) return;
  const std::vector<GemmChoice> ranked = choices(p, module, info);
  host::require_supported(!ranked.empty(), "module ", module.name, " must have an entry that serves ", p.to_string(),
                          ", but none of its ", module.entry_count, " does");
  GemmChoice choice = ranked.front();
  if (!wanted.empty()) {
    choice = parse_gemm_choice(wanted);
    host::require(std::find(ranked.begin(), ranked.end(), choice) != ranked.end(), "config must be one of module ",
                  module.name, " that can serve the problem (the best is \"", to_string(ranked.front()),
                  "\"), but is \"", wanted, "\"");
  }
  config = to_string(choice);
  host::RelaxedCapture relaxed;
  host::DeviceGuard guard(device);
  product.emplace(kernel_problem(p), choice,
                  host::find_kernel_of(module.image, host::find_entry(module, to_string(choice.config))->symbol), info);
}

GemmModulePlan::GemmModulePlan(const GemmProblem& problem, const GemmModule& module, int device,
                               std::string_view config)
    : implementation_(std::make_shared<const Implementation>(problem, module, device, config)) {}

void GemmModulePlan::run_bytes(const GemmPointers& pointers, const void* params, std::size_t params_bytes,
                               void* workspace, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_params(params_bytes, plan.params_bytes, plan.module_name);
  host::require_stream_of(stream, plan.device);
  require_pointers(plan.problem, plan.spans, pointers);
  host::require_workspace(workspace, workspace_bytes());
  host::DeviceGuard guard(plan.device);
  if (plan.product) plan.product->run_with(pointers, params, params_bytes, workspace, stream);
}

std::size_t GemmModulePlan::workspace_bytes() const noexcept {
  return implementation_->product ? implementation_->product->workspace_bytes() : 0;
}
const std::string& GemmModulePlan::config() const noexcept { return implementation_->config; }

}  // namespace ckl
