#include "runtime/graph.hpp"

#include <algorithm>
#include <unordered_map>

using namespace emu;

CUgraph_st::~CUgraph_st() {
  for (const auto& node : nodes) {
    context().nodes.erase(node.get());
    if (auto* child = std::get_if<ChildGraphOperation>(&node->operation))
      context().child_graphs.erase(child->graph.get());
  }
}

namespace emu {

CUgraph_st& get_graph(cudaGraph_t handle) {
  if (context().child_graphs.contains(handle)) return *handle;
  return context().graphs.get(handle);
}

CUgraphNode_st& get_node(cudaGraphNode_t handle) {
  require(context().nodes.contains(handle), cudaErrorInvalidResourceHandle, "{} is not a living graph node",
          static_cast<const void*>(handle));
  return *handle;
}

std::vector<CUgraphNode_st*> read_dependencies(cudaGraph_t graph, const cudaGraphNode_t* nodes,
                                               const cudaGraphEdgeData* edges, std::size_t count) {
  require_value(count == 0 || nodes, "the list of dependencies must not be null where its length is {}", count);
  std::vector<CUgraphNode_st*> list;
  for (std::size_t i = 0; i < count; ++i) {
    CUgraphNode_st& node = get_node(nodes[i]);
    require_value(node.graph == graph, "dependency {} belongs to another graph", i);
    require_value(std::find(list.begin(), list.end(), &node) == list.end(), "dependency {} is listed twice", i);
    // A programmatic edge lets the second kernel start early; running it later is within its contract.
    if (edges)
      require_value(
          edges[i].type == cudaGraphDependencyTypeDefault || edges[i].type == cudaGraphDependencyTypeProgrammatic,
          "edge {} has an unknown type, {}", i, int(edges[i].type));
    list.push_back(&node);
  }
  return list;
}

CUgraphNode_st* add_node(CUgraph_st& graph, Operation operation, std::vector<CUgraphNode_st*> dependencies) {
  auto node = std::make_unique<CUgraphNode_st>();
  node->graph = &graph;
  node->operation = std::move(operation);
  node->dependencies = std::move(dependencies);
  context().nodes.insert(node.get());
  if (auto* child = std::get_if<ChildGraphOperation>(&node->operation))
    context().child_graphs.insert(child->graph.get());
  graph.nodes.push_back(std::move(node));
  return graph.nodes.back().get();
}

std::unique_ptr<CUgraph_st> clone(const CUgraph_st& graph) {
  auto copy = std::make_unique<CUgraph_st>();
  copy->original = &graph;
  copy->user_references.add(graph.user_references);
  std::unordered_map<const CUgraphNode_st*, CUgraphNode_st*> copies;
  // Captured graphs may list a node before what it was later made to depend on, so the edges come second.
  for (const auto& node : graph.nodes) {
    require(!std::holds_alternative<AllocOperation>(node->operation) &&
                !std::holds_alternative<FreeOperation>(node->operation),
            cudaErrorNotSupported, "a graph with memory nodes cannot be cloned");
    Operation operation = node->operation;
    if (auto* child = std::get_if<ChildGraphOperation>(&operation)) child->graph = clone(*child->graph);
    CUgraphNode_st* added = add_node(*copy, std::move(operation), {});
    added->original = node.get();
    copies[node.get()] = added;
  }
  for (const auto& node : graph.nodes)
    for (CUgraphNode_st* dependency : node->dependencies)
      copies[node.get()]->dependencies.push_back(copies[dependency]);
  return copy;
}

std::vector<const CUgraphNode_st*> topological_order(const CUgraph_st& graph) {
  std::unordered_map<const CUgraphNode_st*, std::size_t> open;  // how many dependencies are not yet in the order
  std::unordered_map<const CUgraphNode_st*, std::vector<const CUgraphNode_st*>> dependents;
  std::vector<const CUgraphNode_st*> order;
  for (const auto& node : graph.nodes) {
    open[node.get()] = node->dependencies.size();
    for (const CUgraphNode_st* dependency : node->dependencies) dependents[dependency].push_back(node.get());
    if (node->dependencies.empty()) order.push_back(node.get());
  }
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const CUgraphNode_st* next : dependents[order[i]])
      if (--open[next] == 0) order.push_back(next);
  if (order.size() != graph.nodes.size()) order.clear();
  return order;
}

void execute(const CUgraph_st& graph) {
  for (const CUgraphNode_st* node : topological_order(graph)) execute(node->operation);
}

}  // namespace emu
