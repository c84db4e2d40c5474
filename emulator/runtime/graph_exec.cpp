#include <algorithm>
#include <unordered_map>

#include "runtime/graph.hpp"
#include "runtime/node_params.hpp"
#include "runtime/capture.hpp"
#include "runtime/stream.hpp"

namespace emu {

namespace {

using Step = CUgraphExec_st::Step;

/// An executable graph does not change with the graph that it was made of, so child graphs are copied too.
Operation snapshot(const Operation& operation) {
  Operation copy = operation;
  if (auto* child = std::get_if<ChildGraphOperation>(&copy)) child->graph = clone(*child->graph);
  return copy;
}

std::unique_ptr<CUgraphExec_st> instantiate(const CUgraph_st& graph, unsigned long long flags) {
  constexpr unsigned long long known = cudaGraphInstantiateFlagAutoFreeOnLaunch | cudaGraphInstantiateFlagUpload |
                                       cudaGraphInstantiateFlagUseNodePriority | cudaGraphInstantiateFlagDeviceLaunch;
  require_value(!(flags & ~known), "flags {:#x} are not those of cudaGraphInstantiate", flags);
  if (flags & cudaGraphInstantiateFlagDeviceLaunch) fail_not_supported("launching a graph from the device");
  auto order = topological_order(graph);
  require_value(order.size() == graph.nodes.size(), "the graph has a cycle");

  auto exec = std::make_unique<CUgraphExec_st>();
  exec->flags = flags;
  exec->allocations = graph.allocations;
  exec->user_references.add(graph.user_references);
  std::unordered_map<const CUgraphNode_st*, std::size_t> index;
  for (const CUgraphNode_st* node : order) {
    validate(node->operation);
    index[node] = exec->steps.size();
    Step step{node, snapshot(node->operation), {}, true};
    for (const CUgraphNode_st* dependency : node->dependencies) step.dependencies.push_back(index[dependency]);
    exec->steps.push_back(std::move(step));
  }
  return exec;
}

Step& get_step(cudaGraphExec_t handle, cudaGraphNode_t node) {
  CUgraphExec_st& exec = context().graph_execs.get(handle);
  auto at = std::find_if(exec.steps.begin(), exec.steps.end(), [&](const Step& step) { return step.node == node; });
  require_value(at != exec.steps.end(), "the node is not one of the graph that was instantiated");
  return *at;
}

template <class T> T& operation_of(cudaGraphExec_t exec, cudaGraphNode_t node, const char* kind) {
  T* operation = std::get_if<T>(&get_step(exec, node).operation);
  require_value(operation, "the node must be a {} node", kind);
  return *operation;
}

template <class T> void replace(T& operation, T changed) {
  validate(changed);
  operation = std::move(changed);
}

bool same_shape(const CUgraphExec_st& exec, const std::vector<const CUgraphNode_st*>& order) {
  std::unordered_map<const CUgraphNode_st*, std::size_t> index;
  for (std::size_t i = 0; i < order.size(); ++i) index[order[i]] = i;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::vector<std::size_t> dependencies;
    for (const CUgraphNode_st* dependency : order[i]->dependencies) dependencies.push_back(index[dependency]);
    std::vector<std::size_t> before = exec.steps[i].dependencies;
    std::sort(dependencies.begin(), dependencies.end());
    std::sort(before.begin(), before.end());
    if (dependencies != before) return false;
  }
  return true;
}

/// Nodes are paired by their place in the order, which is the same for graphs that were built or captured alike.
cudaGraphExecUpdateResultInfo update(CUgraphExec_st& exec, const CUgraph_st& graph) {
  cudaGraphExecUpdateResultInfo info{};
  auto order = topological_order(graph);
  if (graph.nodes.size() != exec.steps.size() || order.size() != exec.steps.size() || !same_shape(exec, order)) {
    info.result = cudaGraphExecUpdateErrorTopologyChanged;
    return info;
  }
  auto refuse = [&](cudaGraphExecUpdateResult result, const CUgraphNode_st* node) {
    info.result = result;
    info.errorNode = const_cast<cudaGraphNode_t>(node);
    return info;
  };
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Operation& before = exec.steps[i].operation;
    const Operation& after = order[i]->operation;
    if (node_type(before) != node_type(after)) return refuse(cudaGraphExecUpdateErrorNodeTypeChanged, order[i]);
    if (auto* kernel = std::get_if<KernelOperation>(&before)) {
      auto& changed = std::get<KernelOperation>(after);
      const bool same_cluster = kernel->cluster.x == changed.cluster.x && kernel->cluster.y == changed.cluster.y &&
                                kernel->cluster.z == changed.cluster.z;
      if (!same_cluster || kernel->cooperative != changed.cooperative)
        return refuse(cudaGraphExecUpdateErrorAttributesChanged, order[i]);
    }
    if (std::holds_alternative<AllocOperation>(before) || std::holds_alternative<FreeOperation>(before))
      return refuse(cudaGraphExecUpdateErrorNotSupported, order[i]);
    if (auto* child = std::get_if<ChildGraphOperation>(&after)) {
      auto inner = instantiate(*std::get<ChildGraphOperation>(before).graph, 0);
      if (update(*inner, *child->graph).result != cudaGraphExecUpdateSuccess)
        return refuse(cudaGraphExecUpdateErrorTopologyChanged, order[i]);
    }
  }
  // Only now, so that a refused update leaves the executable graph as it was. Its nodes keep their identity.
  for (std::size_t i = 0; i < order.size(); ++i) exec.steps[i].operation = snapshot(order[i]->operation);
  exec.user_references.replace(graph.user_references);
  return info;
}

void launch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  CUgraphExec_st& exec = context().graph_execs.get(handle);
  CUstream_st& stream = resolve_stream(stream_handle);
  if (stream.capture) {
    // A launch that is captured becomes a child graph: what is launched is what the executable graph holds now.
    auto child = std::make_shared<CUgraph_st>();
    std::vector<CUgraphNode_st*> nodes;
    for (const Step& step : exec.steps) {
      std::vector<CUgraphNode_st*> dependencies;
      for (std::size_t i : step.dependencies) dependencies.push_back(nodes[i]);
      nodes.push_back(add_node(*child, step.enabled ? snapshot(step.operation) : Operation(EmptyOperation{}),
                               std::move(dependencies)));
    }
    child->allocations = exec.allocations;
    child->user_references.add(exec.user_references);
    capture_node(stream, ChildGraphOperation{std::move(child)});
    return;
  }
  forbid_legacy_stream_during_capture(stream);
  for (const Step& step : exec.steps)
    if (step.enabled) execute(step.operation);
}

}  // namespace

}  // namespace emu

using namespace emu;

CKL_EMU_API cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags) {
  return api("cudaGraphInstantiate", [&] {
    require_value(exec, "pGraphExec must not be null");
    *exec = context().graph_execs.add(instantiate(get_graph(graph), flags));
  });
}

CKL_EMU_API cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                                      unsigned long long flags) {
  return cudaGraphInstantiate(exec, graph, flags);
}

CKL_EMU_API cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t* exec, cudaGraph_t graph,
                                                       cudaGraphInstantiateParams* params) {
  return api("cudaGraphInstantiateWithParams", [&] {
    require_value(exec && params, "pGraphExec and instantiateParams must not be null");
    params->result_out = cudaGraphInstantiateError;
    params->errNode_out = nullptr;
    *exec = context().graph_execs.add(instantiate(get_graph(graph), params->flags));
    params->result_out = cudaGraphInstantiateSuccess;
  });
}

CKL_EMU_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return api(
      "cudaGraphExecDestroy", [&] { context().graph_execs.remove(exec); }, ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaGraphExecGetFlags(cudaGraphExec_t exec, unsigned long long* flags) {
  return api("cudaGraphExecGetFlags", [&] {
    require_value(flags, "flags must not be null");
    *flags = context().graph_execs.get(exec).flags;
  });
}

CKL_EMU_API cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
  return api("cudaGraphUpload", [&] {  // a promise of speed alone
    context().graph_execs.get(exec);
    resolve_stream(stream);
  });
}

CKL_EMU_API cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return api("cudaGraphLaunch", [&] { launch(exec, stream); });
}

CKL_EMU_API cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                            cudaGraphExecUpdateResultInfo* info) {
  return api("cudaGraphExecUpdate", [&] {
    cudaGraphExecUpdateResultInfo result = update(context().graph_execs.get(exec), get_graph(graph));
    if (info) *info = result;
    require(result.result == cudaGraphExecUpdateSuccess, cudaErrorGraphExecUpdateFailure,
            "the graph differs from the instantiated one in more than parameters (result {})", int(result.result));
  });
}

CKL_EMU_API cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned enabled) {
  return api("cudaGraphNodeSetEnabled", [&] {
    Step& step = get_step(exec, node);
    const cudaGraphNodeType type = node_type(step.operation);
    require_value(type == cudaGraphNodeTypeKernel || type == cudaGraphNodeTypeMemcpy || type == cudaGraphNodeTypeMemset,
                  "only kernel, memcpy and memset nodes can be switched");
    step.enabled = enabled != 0;
  });
}

CKL_EMU_API cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned* enabled) {
  return api("cudaGraphNodeGetEnabled", [&] {
    require_value(enabled, "isEnabled must not be null");
    *enabled = get_step(exec, node).enabled;
  });
}

CKL_EMU_API cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         const cudaKernelNodeParams* params) {
  return api("cudaGraphExecKernelNodeSetParams", [&] {
    auto& operation = operation_of<KernelOperation>(exec, node, "kernel");
    KernelOperation changed = read_params(params);
    changed.cluster = operation.cluster;
    changed.cooperative = operation.cooperative;
    changed.priority = operation.priority;
    replace(operation, std::move(changed));
  });
}

CKL_EMU_API cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         const cudaMemcpy3DParms* params) {
  return api("cudaGraphExecMemcpyNodeSetParams",
             [&] { replace(operation_of<CopyOperation>(exec, node, "memcpy"), read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node, void* dst,
                                                           const void* src, std::size_t bytes, cudaMemcpyKind kind) {
  return api("cudaGraphExecMemcpyNodeSetParams1D",
             [&] { replace(operation_of<CopyOperation>(exec, node, "memcpy"), linear_copy(dst, src, bytes, kind)); });
}

CKL_EMU_API cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         const cudaMemsetParams* params) {
  return api("cudaGraphExecMemsetNodeSetParams",
             [&] { replace(operation_of<FillOperation>(exec, node, "memset"), read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                       const cudaHostNodeParams* params) {
  return api("cudaGraphExecHostNodeSetParams",
             [&] { replace(operation_of<HostOperation>(exec, node, "host"), read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                             cudaEvent_t event) {
  return api("cudaGraphExecEventRecordNodeSetEvent", [&] {
    operation_of<EventRecordOperation>(exec, node, "event record").event = &context().events.get(event);
  });
}

CKL_EMU_API cudaError_t cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                           cudaEvent_t event) {
  return api("cudaGraphExecEventWaitNodeSetEvent",
             [&] { operation_of<EventWaitOperation>(exec, node, "event wait").event = &context().events.get(event); });
}

CKL_EMU_API cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                             cudaGraph_t child) {
  return api("cudaGraphExecChildGraphNodeSetParams", [&] {
    auto& operation = operation_of<ChildGraphOperation>(exec, node, "child graph");
    auto inner = instantiate(*operation.graph, 0);
    require_value(update(*inner, get_graph(child)).result == cudaGraphExecUpdateSuccess,
                  "the child graph differs from the instantiated one in more than parameters");
    operation.graph = clone(get_graph(child));
  });
}

CKL_EMU_API cudaError_t cudaGraphExecNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                   cudaGraphNodeParams* params) {
  return api("cudaGraphExecNodeSetParams", [&] {
    require_value(params, "nodeParams must not be null");
    Step& step = get_step(exec, node);
    require_value(node_type(step.operation) == params->type, "a node's type cannot change");
    Operation changed = read_params(*params);
    validate(changed);
    step.operation = std::move(changed);
  });
}
