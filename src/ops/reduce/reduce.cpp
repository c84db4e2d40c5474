#include "ckl/reduce.hpp"

#include <vector>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/workspace.hpp"
#include "ops/reduce/check.hpp"
#include "ops/reduce/choice.hpp"
#include "ops/reduce/launcher.hpp"

namespace ckl {

// ---- choose ------------------------------------------------------------------------------------------------------------

std::vector<std::string> reduce_candidates(const ReduceProblem& problem, const DeviceInfo& device) {
  require_valid(problem);
  host::require(problem.op != ReduceOp::custom, "op must not be custom without a module");
  std::vector<std::string> names;
  if (is_empty(problem)) return names;
  for (const ReduceChoice& choice : rank_reduce_choices(problem, ReduceShape::of(problem), device))
    names.push_back(to_string(choice));
  return names;
}

// ---- plan --------------------------------------------------------------------------------------------------------------

class ReducePlan::Implementation {
 public:
  Implementation(const ReduceProblem& problem, int device, std::string_view wanted = {}) : problem_(problem) {
    const DeviceInfo& info = host::require_device(device);
    device_ = info.index;
    config_ = host::chosen(reduce_candidates(problem, info), wanted);
    if (!config_.empty()) {
      const ReduceShape shape = ReduceShape::of(problem);
      host::RelaxedCapture relaxed;
      host::DeviceGuard guard(device_);
      for (const ReduceChoice& choice : rank_reduce_choices(problem, shape, info))
        if (to_string(choice) == config_)
          launcher_ = {problem, shape, choice, host::find_kernel("reduce", entry_of(choice.config)), device_};
    }
    host::log_plan(problem, device_, config_);
  }

  const ReduceProblem& problem() const { return problem_; }
  const std::string& config() const { return config_; }
  int device() const { return device_; }
  const ReduceLauncher& launcher() const { return launcher_; }

 private:
  ReduceProblem problem_;
  int device_;
  std::string config_;
  ReduceLauncher launcher_;
};

ReducePlan::ReducePlan(const ReduceProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  implementation_ = std::make_shared<const Implementation>(problem, device, config);
}

// ---- launch ------------------------------------------------------------------------------------------------------------

void ReducePlan::run(const void* x, void* y, void* workspace, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device());
  require_pointers(plan.problem(), x, y);
  host::require_workspace(workspace, workspace_bytes());
  plan.launcher().run(x, y, workspace, stream);
}

std::size_t ReducePlan::workspace_bytes() const noexcept { return implementation_->launcher().workspace_bytes(); }
const ReduceProblem& ReducePlan::problem() const noexcept { return implementation_->problem(); }
const std::string& ReducePlan::config() const noexcept { return implementation_->config(); }
int ReducePlan::device() const noexcept { return implementation_->device(); }

void reduce(const ReduceArguments& in, Stream stream) {
  static host::PlanCache<ReducePlan::Implementation, ReduceProblem> cache;
  const ReduceProblem problem = reduce_problem(in);
  const int device = host::current_device();
  const auto plan = cache.get(problem, device);
  host::require_stream_of(stream, device);
  const std::size_t bytes = plan->launcher().workspace_bytes();
  host::StreamWorkspace workspace(bytes, bytes, device, stream);
  plan->launcher().run(in.x.data, in.y.data, workspace.data(), stream);
}

}  // namespace ckl
