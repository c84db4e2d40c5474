#include <algorithm>

#include "runtime/capture.hpp"
#include "runtime/graph.hpp"
#include "runtime/node_params.hpp"

using namespace emu;

namespace {

void add_node_for_api(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                      const cudaGraphEdgeData* edges, std::size_t count, Operation operation) {
  require_value(out, "pGraphNode must not be null");
  CUgraph_st& target = get_graph(graph);
  auto list = read_dependencies(graph, dependencies, edges, count);
  validate(operation);
  *out = add_node(target, std::move(operation), std::move(list));
}

template <class T> T& operation_of(cudaGraphNode_t handle, const char* kind) {
  T* operation = std::get_if<T>(&get_node(handle).operation);
  require_value(operation, "the node must be a {} node", kind);
  return *operation;
}

/// Answers a query for a list: with no array its length, else as many as fit; the rest of the array becomes null.
template <class T> void answer_list(const std::vector<T>& list, T* array, std::size_t* count) {
  require_value(count, "the number must not be null");
  if (array)
    for (std::size_t i = 0; i < *count; ++i) array[i] = i < list.size() ? list[i] : T{};
  *count = array ? std::min(*count, list.size()) : list.size();
}

void answer_edges(cudaGraphEdgeData* edges, std::size_t count) {
  if (edges) std::fill_n(edges, count, cudaGraphEdgeData{});  // all are plain
}

std::vector<CUgraphNode_st*> dependents_of(const CUgraphNode_st& node) {
  std::vector<CUgraphNode_st*> list;
  for (const auto& other : node.graph->nodes)
    if (std::find(other->dependencies.begin(), other->dependencies.end(), &node) != other->dependencies.end())
      list.push_back(other.get());
  return list;
}

}  // namespace

CKL_EMU_API cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return api("cudaGraphCreate", [&] {
    require_value(graph, "pGraph must not be null");
    require_value(flags == 0, "flags must be 0, but are {}", flags);
    *graph = context().graphs.add(std::make_unique<CUgraph_st>());
  });
}

CKL_EMU_API cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api(
      "cudaGraphDestroy",
      [&] {
        for (const auto& capture : context().captures)
          require_value(capture->graph != graph, "a graph cannot be destroyed while it is being captured");
        require_value(!context().child_graphs.contains(graph), "a child graph belongs to its node");
        context().graphs.remove(graph);
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaGraphClone(cudaGraph_t* copy, cudaGraph_t graph) {
  return api("cudaGraphClone", [&] {
    require_value(copy, "pGraphClone must not be null");
    *copy = context().graphs.add(clone(get_graph(graph)));
  });
}

CKL_EMU_API cudaError_t cudaGraphNodeFindInClone(cudaGraphNode_t* found, cudaGraphNode_t original, cudaGraph_t cloned) {
  return api("cudaGraphNodeFindInClone", [&] {
    require_value(found, "pNode must not be null");
    for (const auto& node : get_graph(cloned).nodes)
      if (node->original == original) {
        *found = node.get();
        return;
      }
    fail(cudaErrorInvalidValue, "the graph holds no copy of that node");
  });
}

// Adding nodes, and their parameters.

CKL_EMU_API cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                              const cudaGraphNode_t* dependencies, std::size_t count) {
  return api("cudaGraphAddEmptyNode",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, EmptyOperation{}); });
}

CKL_EMU_API cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                               const cudaGraphNode_t* dependencies, std::size_t count,
                                               const cudaKernelNodeParams* params) {
  return api("cudaGraphAddKernelNode",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                               const cudaGraphNode_t* dependencies, std::size_t count,
                                               const cudaMemcpy3DParms* params) {
  return api("cudaGraphAddMemcpyNode",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* node, cudaGraph_t graph,
                                                 const cudaGraphNode_t* dependencies, std::size_t count, void* dst,
                                                 const void* src, std::size_t bytes, cudaMemcpyKind kind) {
  return api("cudaGraphAddMemcpyNode1D",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, linear_copy(dst, src, bytes, kind)); });
}

CKL_EMU_API cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                               const cudaGraphNode_t* dependencies, std::size_t count,
                                               const cudaMemsetParams* params) {
  return api("cudaGraphAddMemsetNode",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                             const cudaGraphNode_t* dependencies, std::size_t count,
                                             const cudaHostNodeParams* params) {
  return api("cudaGraphAddHostNode",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, read_params(params)); });
}

CKL_EMU_API cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                   const cudaGraphNode_t* dependencies, std::size_t count,
                                                   cudaGraph_t child) {
  return api("cudaGraphAddChildGraphNode", [&] {
    require_value(child != graph, "a graph cannot be its own child");
    add_node_for_api(node, graph, dependencies, nullptr, count, ChildGraphOperation{clone(get_graph(child))});
  });
}

CKL_EMU_API cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                    const cudaGraphNode_t* dependencies, std::size_t count,
                                                    cudaEvent_t event) {
  return api("cudaGraphAddEventRecordNode", [&] {
    add_node_for_api(node, graph, dependencies, nullptr, count, EventRecordOperation{&context().events.get(event)});
  });
}

CKL_EMU_API cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                  const cudaGraphNode_t* dependencies, std::size_t count,
                                                  cudaEvent_t event) {
  return api("cudaGraphAddEventWaitNode", [&] {
    add_node_for_api(node, graph, dependencies, nullptr, count, EventWaitOperation{&context().events.get(event)});
  });
}

namespace {

void* allocate_for_graph(cudaGraph_t graph, std::size_t bytes) {
  CUgraph_st& owner = get_graph(graph);
  std::shared_ptr<void> memory(context().memory.allocate(bytes, MemoryKind::graph), [](void* address) {
    if (const Allocation* allocation = context().memory.find_start(address)) context().memory.release(*allocation);
  });
  owner.allocations.push_back(memory);
  return memory.get();
}

}  // namespace

void* emu::allocate_in_capture(CUstream_st& stream, std::size_t bytes) {
  void* address = allocate_for_graph(stream.capture->graph, bytes);
  capture_node(stream, AllocOperation{address, bytes});
  return address;
}

CKL_EMU_API cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                 const cudaGraphNode_t* dependencies, std::size_t count,
                                                 cudaMemAllocNodeParams* params) {
  return api("cudaGraphAddMemAllocNode", [&] {
    require_value(params && params->bytesize, "nodeParams must ask for one byte or more");
    params->dptr = allocate_for_graph(graph, params->bytesize);
    add_node_for_api(node, graph, dependencies, nullptr, count, AllocOperation{params->dptr, params->bytesize});
  });
}

CKL_EMU_API cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                const cudaGraphNode_t* dependencies, std::size_t count, void* address) {
  return api("cudaGraphAddMemFreeNode",
             [&] { add_node_for_api(node, graph, dependencies, nullptr, count, FreeOperation{address}); });
}

CKL_EMU_API cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                         const cudaGraphEdgeData* edges, std::size_t count,
                                         cudaGraphNodeParams* params) {
  return api("cudaGraphAddNode", [&] {
    require_value(params, "nodeParams must not be null");
    if (params->type == cudaGraphNodeTypeMemAlloc)
      params->alloc.dptr = allocate_for_graph(graph, params->alloc.bytesize);
    add_node_for_api(node, graph, dependencies, edges, count, read_params(*params));
  });
}

CKL_EMU_API cudaError_t cudaGraphNodeSetParams(cudaGraphNode_t handle, cudaGraphNodeParams* params) {
  return api("cudaGraphNodeSetParams", [&] {
    require_value(params, "nodeParams must not be null");
    CUgraphNode_st& node = get_node(handle);
    require_value(node_type(node.operation) == params->type, "a node's type cannot change");
    Operation operation = read_params(*params);
    validate(operation);
    node.operation = std::move(operation);
  });
}

CKL_EMU_API cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* params) {
  return api("cudaGraphKernelNodeGetParams", [&] {
    require_value(params, "pNodeParams must not be null");
    *params = write_params(operation_of<KernelOperation>(node, "kernel"));
  });
}

CKL_EMU_API cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams* params) {
  return api("cudaGraphKernelNodeSetParams", [&] {
    auto& operation = operation_of<KernelOperation>(node, "kernel");
    KernelOperation changed = read_params(params);
    changed.cluster = operation.cluster;  // attributes are not among the parameters
    changed.cooperative = operation.cooperative;
    changed.priority = operation.priority;
    validate(changed);
    operation = std::move(changed);
  });
}

CKL_EMU_API cudaError_t cudaGraphKernelNodeGetAttribute(cudaGraphNode_t handle, cudaLaunchAttributeID id,
                                                        cudaLaunchAttributeValue* value) {
  return api("cudaGraphKernelNodeGetAttribute", [&] {
    require_value(value, "value_out must not be null");
    *value = read_attribute(operation_of<KernelOperation>(handle, "kernel"), id);
  });
}

CKL_EMU_API cudaError_t cudaGraphKernelNodeSetAttribute(cudaGraphNode_t handle, cudaLaunchAttributeID id,
                                                        const cudaLaunchAttributeValue* value) {
  return api("cudaGraphKernelNodeSetAttribute", [&] {
    require_value(value, "value must not be null");
    auto& operation = operation_of<KernelOperation>(handle, "kernel");
    KernelOperation changed = operation;
    apply_attribute(changed, {id, {}, *value});
    validate(changed);
    operation = std::move(changed);
  });
}

CKL_EMU_API cudaError_t cudaGraphKernelNodeCopyAttributes(cudaGraphNode_t dst, cudaGraphNode_t src) {
  return api("cudaGraphKernelNodeCopyAttributes", [&] {
    auto& from = operation_of<KernelOperation>(src, "kernel");
    auto& to = operation_of<KernelOperation>(dst, "kernel");
    KernelOperation changed = to;
    changed.cluster = from.cluster;
    changed.cooperative = from.cooperative;
    changed.priority = from.priority;
    validate(changed);
    to = std::move(changed);
  });
}

CKL_EMU_API cudaError_t cudaGraphMemcpyNodeGetParams(cudaGraphNode_t node, cudaMemcpy3DParms* params) {
  return api("cudaGraphMemcpyNodeGetParams", [&] {
    require_value(params, "pNodeParams must not be null");
    *params = write_params(operation_of<CopyOperation>(node, "memcpy"));
  });
}

CKL_EMU_API cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node, const cudaMemcpy3DParms* params) {
  return api("cudaGraphMemcpyNodeSetParams", [&] {
    auto& operation = operation_of<CopyOperation>(node, "memcpy");
    CopyOperation changed = read_params(params);
    validate(changed);
    operation = changed;
  });
}

CKL_EMU_API cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void* dst, const void* src,
                                                       std::size_t bytes, cudaMemcpyKind kind) {
  return api("cudaGraphMemcpyNodeSetParams1D", [&] {
    auto& operation = operation_of<CopyOperation>(node, "memcpy");
    CopyOperation changed = linear_copy(dst, src, bytes, kind);
    validate(changed);
    operation = changed;
  });
}

CKL_EMU_API cudaError_t cudaGraphMemsetNodeGetParams(cudaGraphNode_t node, cudaMemsetParams* params) {
  return api("cudaGraphMemsetNodeGetParams", [&] {
    require_value(params, "pNodeParams must not be null");
    *params = write_params(operation_of<FillOperation>(node, "memset"));
  });
}

CKL_EMU_API cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams* params) {
  return api("cudaGraphMemsetNodeSetParams", [&] {
    auto& operation = operation_of<FillOperation>(node, "memset");
    FillOperation changed = read_params(params);
    validate(changed);
    operation = changed;
  });
}

CKL_EMU_API cudaError_t cudaGraphHostNodeGetParams(cudaGraphNode_t node, cudaHostNodeParams* params) {
  return api("cudaGraphHostNodeGetParams", [&] {
    require_value(params, "pNodeParams must not be null");
    auto& operation = operation_of<HostOperation>(node, "host");
    *params = {operation.function, operation.data};
  });
}

CKL_EMU_API cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams* params) {
  return api("cudaGraphHostNodeSetParams", [&] {
    auto& operation = operation_of<HostOperation>(node, "host");
    HostOperation changed = read_params(params);
    validate(changed);
    operation = changed;
  });
}

CKL_EMU_API cudaError_t cudaGraphEventRecordNodeGetEvent(cudaGraphNode_t node, cudaEvent_t* event) {
  return api("cudaGraphEventRecordNodeGetEvent", [&] {
    require_value(event, "event_out must not be null");
    *event = operation_of<EventRecordOperation>(node, "event record").event;
  });
}

CKL_EMU_API cudaError_t cudaGraphEventRecordNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event) {
  return api("cudaGraphEventRecordNodeSetEvent",
             [&] { operation_of<EventRecordOperation>(node, "event record").event = &context().events.get(event); });
}

CKL_EMU_API cudaError_t cudaGraphEventWaitNodeGetEvent(cudaGraphNode_t node, cudaEvent_t* event) {
  return api("cudaGraphEventWaitNodeGetEvent", [&] {
    require_value(event, "event_out must not be null");
    *event = operation_of<EventWaitOperation>(node, "event wait").event;
  });
}

CKL_EMU_API cudaError_t cudaGraphEventWaitNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event) {
  return api("cudaGraphEventWaitNodeSetEvent",
             [&] { operation_of<EventWaitOperation>(node, "event wait").event = &context().events.get(event); });
}

CKL_EMU_API cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t node, cudaGraph_t* graph) {
  return api("cudaGraphChildGraphNodeGetGraph", [&] {
    require_value(graph, "pGraph must not be null");
    *graph = operation_of<ChildGraphOperation>(node, "child graph").graph.get();
  });
}

CKL_EMU_API cudaError_t cudaGraphMemAllocNodeGetParams(cudaGraphNode_t node, cudaMemAllocNodeParams* params) {
  return api("cudaGraphMemAllocNodeGetParams", [&] {
    require_value(params, "params_out must not be null");
    auto& operation = operation_of<AllocOperation>(node, "memory allocation");
    *params = {};
    params->dptr = operation.address;
    params->bytesize = operation.bytes;
  });
}

CKL_EMU_API cudaError_t cudaGraphMemFreeNodeGetParams(cudaGraphNode_t node, void* address) {
  return api("cudaGraphMemFreeNodeGetParams", [&] {
    require_value(address, "dptr_out must not be null");
    *static_cast<void**>(address) = operation_of<FreeOperation>(node, "memory free").address;
  });
}

// The shape of a graph.

CKL_EMU_API cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return api("cudaGraphNodeGetType", [&] {
    require_value(type, "pType must not be null");
    *type = node_type(get_node(node).operation);
  });
}

CKL_EMU_API cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return api("cudaGraphGetNodes", [&] {
    std::vector<cudaGraphNode_t> list;
    for (const auto& node : get_graph(graph).nodes) list.push_back(node.get());
    answer_list(list, nodes, count);
  });
}

CKL_EMU_API cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return api("cudaGraphGetRootNodes", [&] {
    std::vector<cudaGraphNode_t> list;
    for (const auto& node : get_graph(graph).nodes)
      if (node->dependencies.empty()) list.push_back(node.get());
    answer_list(list, nodes, count);
  });
}

CKL_EMU_API cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t* from, cudaGraphNode_t* to,
                                          cudaGraphEdgeData* edges, std::size_t* count) {
  return api("cudaGraphGetEdges", [&] {
    require_value(!from == !to, "from and to must both be null, or neither");
    std::vector<cudaGraphNode_t> starts, ends;
    for (const auto& node : get_graph(graph).nodes)
      for (CUgraphNode_st* dependency : node->dependencies) {
        starts.push_back(dependency);
        ends.push_back(node.get());
      }
    require_value(count, "numEdges must not be null");
    std::size_t count_of_ends = *count;
    answer_list(starts, from, count);
    answer_list(ends, to, &count_of_ends);
    if (from) answer_edges(edges, *count);
  });
}

CKL_EMU_API cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t* nodes,
                                                     cudaGraphEdgeData* edges, std::size_t* count) {
  return api("cudaGraphNodeGetDependencies", [&] {
    answer_list(get_node(node).dependencies, nodes, count);
    if (nodes) answer_edges(edges, *count);
  });
}

CKL_EMU_API cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t* nodes,
                                                       cudaGraphEdgeData* edges, std::size_t* count) {
  return api("cudaGraphNodeGetDependentNodes", [&] {
    answer_list(dependents_of(get_node(node)), nodes, count);
    if (nodes) answer_edges(edges, *count);
  });
}

CKL_EMU_API cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                                 const cudaGraphNode_t* to, const cudaGraphEdgeData*,
                                                 std::size_t count) {
  return api("cudaGraphAddDependencies", [&] {
    require_value(!count || (from && to), "from and to must not be null");
    for (std::size_t i = 0; i < count; ++i) {
      CUgraphNode_st &start = get_node(from[i]), &end = get_node(to[i]);
      require_value(start.graph == graph && end.graph == graph, "edge {} joins nodes of another graph", i);
      require_value(&start != &end, "edge {} joins a node with itself", i);
      require_value(std::find(end.dependencies.begin(), end.dependencies.end(), &start) == end.dependencies.end(),
                    "edge {} is there already", i);
      end.dependencies.push_back(&start);
      if (topological_order(*graph).empty()) {
        end.dependencies.pop_back();
        fail(cudaErrorInvalidValue, "edge {} would close a cycle", i);
      }
    }
  });
}

CKL_EMU_API cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                                    const cudaGraphNode_t* to, const cudaGraphEdgeData*,
                                                    std::size_t count) {
  return api("cudaGraphRemoveDependencies", [&] {
    require_value(!count || (from && to), "from and to must not be null");
    for (std::size_t i = 0; i < count; ++i) {
      CUgraphNode_st &start = get_node(from[i]), &end = get_node(to[i]);
      require_value(start.graph == graph && std::erase(end.dependencies, &start) == 1, "edge {} does not exist", i);
    }
  });
}

CKL_EMU_API cudaError_t cudaGraphDestroyNode(cudaGraphNode_t handle) {
  return api("cudaGraphDestroyNode", [&] {
    CUgraphNode_st& node = get_node(handle);
    require(!std::holds_alternative<AllocOperation>(node.operation) &&
                !std::holds_alternative<FreeOperation>(node.operation),
            cudaErrorNotSupported, "memory nodes cannot be destroyed");
    CUgraph_st& graph = *node.graph;
    for (const auto& other : graph.nodes) std::erase(other->dependencies, &node);
    context().nodes.erase(&node);
    if (auto* child = std::get_if<ChildGraphOperation>(&node.operation))
      context().child_graphs.erase(child->graph.get());
    std::erase_if(graph.nodes, [&](const auto& owned) { return owned.get() == &node; });
  });
}
