#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "ckl/elementwise.hpp"
#include "ckl/gemm.hpp"
#include "ops/cross_entropy.hpp"
#include "ops/elementwise.hpp"
#include "ops/gemm.hpp"
#include "ops/norm.hpp"
#include "ops/norm_backward.hpp"
#include "ops/reduce.hpp"
#include "ops/softmax.hpp"
#include "ops/softmax_backward.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {

namespace {

/// The configs to measure: the library's choice, the one that was asked for, or all that can serve the problem.
std::vector<std::string> wanted_configs(const GemmWorkload& workload) {
  const Session& session = workload.session;
  if (session.config != "all") return {session.config};
  return gemm_candidates(workload.problem, device_info(session.gpu.index));
}

/// A plan's workspace.
std::shared_ptr<const Buffer> zeroed_workspace(std::size_t bytes) {
  const auto workspace = std::make_shared<const Buffer>(bytes);
  if (bytes > 0) check(cudaMemset(workspace->data(), 0, bytes), "cudaMemset");
  return workspace;
}

/// Adds a plan of `problem`, which is the workload's in all but its options.
void add(GemmWorkload& workload, const GemmProblem& problem, const std::string& config, const char* name, bool ours) {
  const auto start = std::chrono::steady_clock::now();
  const auto plan = std::make_shared<const GemmPlan>(problem, workload.session.gpu.index, config);
  const auto workspace = zeroed_workspace(plan->workspace_bytes());
  const auto launch = [plan, workspace, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
    plan->run(operands[set], workspace->data(), stream);
  };
  workload.implementations.push_back({name, plan->config(), launch, ours});
  if (!workload.session.timing || workload.session.gpu.emulated) return;
  launch(0, nullptr);
  check(cudaDeviceSynchronize(), "the first call");
  workload.implementations.back().first_call_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// The arguments of the call without a plan.
GemmArguments arguments_of(const GemmProblem& p, const GemmOperands& operands) {
  const auto tensor = [](const void* data, const GemmOperand& operand, std::int64_t rows, std::int64_t columns) {
    return Tensor::strided(const_cast<void*>(data), operand.dtype, {rows, columns},
                           {operand.row_stride, operand.column_stride});
  };
  GemmArguments arguments;
  arguments.a = tensor(operands.a, p.a, p.m, p.k);
  arguments.b = tensor(operands.b, p.b, p.k, p.n);
  arguments.d = tensor(operands.d, p.d, p.m, p.n);
  if (p.beta != 0) arguments.c = tensor(operands.c, p.c, p.m, p.n);
  arguments.alpha = p.alpha;
  arguments.beta = p.beta;
  return arguments;
}

/// Adds the call without a plan: its host time over ours is what finding the plan costs.
void add_call(GemmWorkload& workload) {
  if (!workload.problem.epilogue.empty() || workload.problem.batch > 1) return;
  std::vector<GemmArguments> arguments;
  for (const GemmOperands& operands : workload.operands) arguments.push_back(arguments_of(workload.problem, operands));
  const auto launch = [arguments](std::size_t set, cudaStream_t stream) { gemm(arguments[set], stream); };
  workload.implementations.push_back({"ckl_call", "", launch, false});
}

/// Adds the plan that the library chooses, the one that was asked for, or one for each of the configs that `candidates` names.
template <class Plan, class Workload>
void add_row_plans(Workload& workload, const std::vector<std::string>& candidates) {
  const Session& session = workload.session;
  for (const std::string& config : session.config == "all" ? candidates : std::vector{session.config}) {
    const auto plan = std::make_shared<const Plan>(workload.problem, session.gpu.index, config);
    const auto launch = [plan, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
      plan->run(operands[set], stream);
    };
    workload.implementations.push_back({"ckl", plan->config(), launch, true});
  }
}

}  // namespace

void provide_ckl(GemmWorkload& workload) {
  const Session& session = workload.session;
  if (session.wants("ckl"))
    for (const std::string& config : wanted_configs(workload)) add(workload, workload.problem, config, "ckl", true);
  if (session.asks_for("ckl_batch_invariant")) {  // its time over ours is what invariance costs
    GemmProblem problem = workload.problem;
    problem.batch_invariant = true;
    add(workload, problem, "", "ckl_batch_invariant", false);
  }
  if (session.asks_for("ckl_call")) add_call(workload);
  if (session.asks_for(without_epilogue))  // its time over ours is what the epilogue leaves of the speed
    add(workload, plain_problem(workload.problem), "", without_epilogue, false);
}

void provide_ckl(CrossEntropyWorkload& workload) {
  const DeviceInfo& device = device_info(workload.session.gpu.index);
  add_row_plans<CrossEntropyPlan>(workload, cross_entropy_candidates(workload.problem, device));
}

void provide_ckl(CrossEntropyBackwardWorkload& workload) {
  const DeviceInfo& device = device_info(workload.session.gpu.index);
  add_row_plans<CrossEntropyBackwardPlan>(workload, cross_entropy_backward_candidates(workload.problem, device));
}

void provide_ckl(ElementwiseWorkload& workload) {
  const Session& session = workload.session;
  const auto plan = std::make_shared<const ElementwisePlan>(workload.problem, session.gpu.index, session.config);
  const auto launch = [plan, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
    plan->run(operands[set].in.data(), operands[set].out.data(), stream);
  };
  workload.implementations.push_back({"ckl", plan->config(), launch, true});
}

void provide_ckl(NormWorkload& workload) {
  add_row_plans<NormPlan>(workload, norm_candidates(workload.problem, device_info(workload.session.gpu.index)));
}

void provide_ckl(NormBackwardWorkload& workload) {
  const Session& session = workload.session;
  std::vector<std::string> configs = {session.config};
  if (session.config == "all") configs = norm_backward_candidates(workload.problem, device_info(session.gpu.index));
  for (const std::string& config : configs) {
    const auto plan = std::make_shared<const NormBackwardPlan>(workload.problem, session.gpu.index, config);
    const auto workspace = zeroed_workspace(plan->workspace_bytes());
    const auto launch = [plan, workspace, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
      plan->run(operands[set], workspace->data(), stream);
    };
    workload.implementations.push_back({"ckl", plan->config(), launch, true});
  }
}

void provide_ckl(ReduceWorkload& workload) {
  const Session& session = workload.session;
  const auto add = [&](const ReduceProblem& problem, const std::string& config, const char* name, bool ours) {
    const auto plan = std::make_shared<const ReducePlan>(problem, session.gpu.index, config);
    const auto workspace = zeroed_workspace(plan->workspace_bytes());
    const auto launch = [plan, workspace, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
      plan->run(operands[set].x, operands[set].y, workspace->data(), stream);
    };
    workload.implementations.push_back({name, plan->config(), launch, ours});
  };
  if (session.wants("ckl")) {
    std::vector<std::string> configs = {session.config};
    if (session.config == "all") configs = reduce_candidates(workload.problem, device_info(session.gpu.index));
    for (const std::string& config : configs) add(workload.problem, config, "ckl", true);
  }
  if (session.asks_for("ckl_batch_invariant")) {  // its time over ours is what invariance costs
    ReduceProblem problem = workload.problem;
    problem.batch_invariant = true;
    add(problem, "", "ckl_batch_invariant", false);
  }
}

void provide_ckl(SoftmaxWorkload& workload) {
  add_row_plans<SoftmaxPlan>(workload, softmax_candidates(workload.problem, device_info(workload.session.gpu.index)));
}

void provide_ckl(SoftmaxBackwardWorkload& workload) {
  const Session& session = workload.session;
  const auto plan = std::make_shared<const SoftmaxBackwardPlan>(workload.problem, session.gpu.index, session.config);
  const auto launch = [plan, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
    plan->run(operands[set].y, operands[set].dy, operands[set].dx, stream);
  };
  workload.implementations.push_back({"ckl", plan->config(), launch, true});
}

}  // namespace ckl::bench
