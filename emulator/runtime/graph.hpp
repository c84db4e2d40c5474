#pragma once

#include "runtime/objects.hpp"

namespace emu {

/// A graph that the program made, or a child graph that it may look at.
CUgraph_st& get_graph(cudaGraph_t handle);
CUgraphNode_st& get_node(cudaGraphNode_t handle);

/// The nodes of an API call's list, checked: they belong to `graph`, no one is there twice, and the edges are plain.
std::vector<CUgraphNode_st*> read_dependencies(cudaGraph_t graph, const cudaGraphNode_t* nodes,
                                               const cudaGraphEdgeData* edges, std::size_t count);

CUgraphNode_st* add_node(CUgraph_st& graph, Operation operation, std::vector<CUgraphNode_st*> dependencies);

/// A copy of `graph` whose nodes know which they copy.
std::unique_ptr<CUgraph_st> clone(const CUgraph_st& graph);

/// The nodes in an order in which each comes after what it depends on; empty if they form a cycle.
std::vector<const CUgraphNode_st*> topological_order(const CUgraph_st& graph);

/// Runs all nodes of `graph`.
void execute(const CUgraph_st& graph);

}  // namespace emu
