// Reductions by a monoid from outside of the library: the kernels are the user's, the rest is the library's.

#include <algorithm>

#include "ckl/reduce_module.hpp"
#include "host/device.hpp"
#include "host/module.hpp"
#include "host/require.hpp"
#include "host/workspace.hpp"
#include "ops/reduce/check.hpp"
#include "ops/reduce/choice.hpp"
#include "ops/reduce/launcher.hpp"

namespace ckl {

// A change of what crosses to the kernels: count reduce_module_version up, then correct this number.
static_assert(reduce_module_version == 4 && sizeof(ReduceParams) == 456,
              "ReduceParams has changed: see the line above");

namespace {

/// The ways to serve a problem that has outputs by the module's kernels, the best first.
std::vector<ReduceChoice> choices(const ReduceProblem& problem, const Module& module, const DeviceInfo& device) {
  host::require_module(module, reduce_module_version, max_monoid_params);
  require_valid(problem);
  host::require(problem.op == ReduceOp::custom, "op must be custom where a module says what is computed, but is ",
                name(problem.op));
  for (std::size_t i = 0; i < module.entry_count; ++i) {
    const ReduceConfig config = parse_reduce_config(module.entries[i].config);
    host::require(config.valid && config.family == ReduceFamily::custom, "module ", module.name, "'s entry ", i,
                  " must name a custom reduction's config, but names \"", module.entries[i].config, "\"");
  }
  if (is_empty(problem)) return {};
  std::vector<ReduceChoice> ranked = rank_reduce_choices(problem, ReduceShape::of(problem), device);
  std::erase_if(ranked, [&](const ReduceChoice& choice) { return !host::find_entry(module, entry_of(choice.config)); });
  host::require_supported(!ranked.empty(), "module ", module.name, " must have an entry that serves ",
                          problem.to_string(), ", but none of its ", module.entry_count, " does");
  return ranked;
}

}  // namespace

std::vector<std::string> reduce_candidates(const ReduceProblem& problem, const Module& module,
                                           const DeviceInfo& device) {
  std::vector<std::string> names;
  for (const ReduceChoice& choice : choices(problem, module, device)) names.push_back(to_string(choice));
  return names;
}

class ReduceModulePlan::Implementation {
 public:
  Implementation(const ReduceProblem& p, const Module& module, int device_index, std::string_view wanted)
      : problem(p), module_name(module.name), params_bytes(module.params_bytes) {
    const DeviceInfo& info = host::require_device(device_index);
    device = info.index;
    config = host::chosen(reduce_candidates(p, module, info), wanted);
    if (config.empty()) return;
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    for (const ReduceChoice& choice : choices(p, module, info)) {
      if (to_string(choice) != config) continue;
      const char* symbol = host::find_entry(module, entry_of(choice.config))->symbol;
      launcher = {p, ReduceShape::of(p), choice, host::find_kernel_of(module.image, symbol), device};
    }
  }

  ReduceProblem problem;
  std::string module_name;
  std::size_t params_bytes;
  int device = 0;
  std::string config;
  ReduceLauncher launcher;
};

ReduceModulePlan::ReduceModulePlan(const ReduceProblem& problem, const Module& module, int device,
                                   std::string_view config)
    : implementation_(std::make_shared<const Implementation>(problem, module, device, config)) {}

void ReduceModulePlan::run_bytes(const void* x, void* y, const void* params, std::size_t params_bytes, void* workspace,
                                 Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_params(params_bytes, plan.params_bytes, plan.module_name);
  host::require_stream_of(stream, plan.device);
  require_pointers(plan.problem, x, y);
  host::require_workspace(workspace, workspace_bytes());
  plan.launcher.run(x, y, workspace, stream, params, params_bytes);
}

std::size_t ReduceModulePlan::workspace_bytes() const noexcept { return implementation_->launcher.workspace_bytes(); }
const std::string& ReduceModulePlan::config() const noexcept { return implementation_->config; }

}  // namespace ckl
