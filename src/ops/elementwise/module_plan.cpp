// Elementwise functions from outside of the library: the kernels are the user's, the rest is the library's.

#include <optional>

#include "ckl/elementwise_module.hpp"
#include "host/device.hpp"
#include "host/module.hpp"
#include "host/require.hpp"
#include "ops/elementwise/check.hpp"
#include "ops/elementwise/elementwise.hpp"

namespace ckl {

// A change of what crosses to the kernels: count elementwise_module_version up, then correct this number.
static_assert(elementwise_module_version == 3 && sizeof(ElementwiseParams) == 512,
              "ElementwiseParams has changed: see the line above");

namespace {

/// The configs of the module's entries that can serve the problem, the best first; none where there are no elements.
std::vector<ElementwiseConfig> configs(const ElementwiseProblem& problem, const Module& module) {
  host::require_module(module, elementwise_module_version, max_elementwise_user_params);
  require_valid(problem);
  host::require(problem.op == ElementwiseOp::custom, "op must be custom where a module says what is computed, but is ",
                name(problem.op));
  host::require(problem.inputs == module.inputs, "in must have ", module.inputs, " for module ", module.name,
                ", but has ", problem.inputs);
  host::require(problem.outputs == module.outputs, "out must have ", module.outputs, " for module ", module.name,
                ", but has ", problem.outputs);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < module.entry_count; ++i) {
    const ElementwiseConfig config = parse_elementwise_config(module.entries[i].config);
    host::require(config.inputs > 0 && config.compute == Compute::f32, "module ", module.name, "'s entry ", i,
                  " must name an elementwise config of f32, but names \"", module.entries[i].config, "\"");
    names.push_back(module.entries[i].config);
  }
  if (is_empty(problem)) return {};
  std::vector<ElementwiseConfig> ranked = rank_configs(problem, names);
  host::require_supported(!ranked.empty(), "module ", module.name, " must have an entry that serves ",
                          problem.to_string(), ", but none of its ", module.entry_count, " does");
  return ranked;
}

}  // namespace

std::vector<std::string> elementwise_candidates(const ElementwiseProblem& problem, const Module& module) {
  std::vector<std::string> names;
  for (const ElementwiseConfig& config : configs(problem, module)) names.push_back(to_string(config));
  return names;
}

class ElementwiseModulePlan::Implementation {
 public:
  Implementation(const ElementwiseProblem& p, const Module& module, int device_index, std::string_view wanted)
      : problem(p), module_name(module.name), params_bytes(module.params_bytes) {
    device = host::require_device(device_index).index;
    config = host::chosen(elementwise_candidates(p, module), wanted);
    if (config.empty()) return;
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    launcher.emplace(p, device, parse_elementwise_config(config),
                     host::find_kernel_of(module.image, host::find_entry(module, config)->symbol));
  }

  ElementwiseProblem problem;
  std::string module_name;
  std::size_t params_bytes;
  int device = 0;
  std::string config;
  std::optional<ElementwiseLauncher> launcher;
};

ElementwiseModulePlan::ElementwiseModulePlan(const ElementwiseProblem& problem, const Module& module, int device,
                                             std::string_view config)
    : implementation_(std::make_shared<const Implementation>(problem, module, device, config)) {}

void ElementwiseModulePlan::run_bytes(const void* const* in, void* const* out, const void* params,
                                      std::size_t params_bytes, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_params(params_bytes, plan.params_bytes, plan.module_name);
  host::require_stream_of(stream, plan.device);
  if (!plan.launcher) return;
  host::require(in != nullptr, "in must not be null");
  host::require(out != nullptr, "out must not be null");
  require_pointers(plan.problem, in, out);
  host::DeviceGuard guard(plan.device);
  plan.launcher->run(in, out, stream, params, params_bytes);
}

const std::string& ElementwiseModulePlan::config() const noexcept { return implementation_->config; }

}  // namespace ckl
