#pragma once

#include <cstdint>
#include <vector>

#include "ptx/module.hpp"

namespace emu::ptx {

/// What a kernel can run and touch: itself, the functions that it calls, and those that they call.
struct CallGraph {
  std::vector<Index> functions;  // the kernel first. With indirect calls: all functions whose address is taken, too
  std::vector<Index>
      variables;  // of Module::variables: those that the functions name, and those that their values name
  bool has_indirect_call = false;
  bool is_recursive = false;  // a function may call itself, directly or not; indirect calls do not count
};
CallGraph call_graph_of(const Module& module, Index kernel);

/// Where the shared variables that a kernel reaches lie, from the start of the CTA's shared memory.
struct SharedLayout {
  struct Placement {
    Index function;  // of Module::functions; no_index: the variable is the module's
    Index variable;  // of Function::variables or Module::variables
    std::uint64_t offset;
  };
  std::vector<Placement> placements;
  std::uint64_t static_bytes = 0;    // up to the end of the last static variable
  std::uint64_t dynamic_offset = 0;  // of dynamic shared memory, where every extern variable without a size lies
  Index alignment = 16;              // that the start of shared memory needs
  /// The offset of a variable, or ~0 if the kernel does not reach it.
  std::uint64_t offset_of(Index function, Index variable) const;
};
SharedLayout layout_shared(const Module& module, const CallGraph& graph);

}  // namespace emu::ptx
