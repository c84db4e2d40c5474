#include "ptx/call_graph.hpp"

#include <algorithm>
#include <utility>

#include "ptx/parse_state.hpp"

namespace emu::ptx {
namespace {

class Walk {
 public:
  explicit Walk(const Module& module)
      : module_(module), has_function_(module.functions.size(), false), has_variable_(module.variables.size(), false) {}

  CallGraph from(Index kernel) {
    add_function(kernel);
    drain();
    if (graph_.has_indirect_call && !graph_.functions.empty()) {
      for (const Function& function : module_.functions)
        for (const Operand& operand : function.operands)
          if (operand.symbol == SymbolKind::function) add_function(operand.index);
      for (const Variable& variable : module_.variables) add_relocated_functions(variable);
      drain();
    }
    graph_.is_recursive = find_cycle();
    return std::move(graph_);
  }

 private:
  void add_function(Index function) {
    if (function == no_index || has_function_[function]) return;
    has_function_[function] = true;
    graph_.functions.push_back(function);
  }

  void add_variable(Index variable) {
    if (has_variable_[variable]) return;
    has_variable_[variable] = true;
    graph_.variables.push_back(variable);
  }

  void add_relocated_functions(const Variable& variable) {
    for (const Relocation& relocation : variable.relocations)
      if (relocation.symbol == SymbolKind::function) add_function(relocation.index);
  }

  /// Follows what was added until nothing new is found.
  void drain() {
    for (; next_function_ < graph_.functions.size(); ++next_function_) {
      const Function& function = module_.functions[graph_.functions[next_function_]];
      for (const Operand& operand : function.operands)
        if (operand.symbol == SymbolKind::variable) add_variable(operand.index);
      for (const Call& call : function.calls) {
        add_function(call.callee);
        graph_.has_indirect_call |= call.callee == no_index;
        for (const Index target : call.targets) add_function(target);
      }
    }
    for (; next_variable_ < graph_.variables.size(); ++next_variable_)
      for (const Relocation& relocation : module_.variables[graph_.variables[next_variable_]].relocations)
        if (relocation.symbol == SymbolKind::variable) add_variable(relocation.index);
  }

  /// Whether the direct calls among the functions found form a cycle.
  bool find_cycle() const {
    enum : std::uint8_t { unseen, open, closed };
    std::vector<std::uint8_t> state(module_.functions.size(), unseen);
    std::vector<std::pair<Index, std::size_t>> stack;
    for (const Index root : graph_.functions) {
      if (state[root] != unseen) continue;
      state[root] = open;
      stack.push_back({root, 0});
      while (!stack.empty()) {
        auto& [function, next] = stack.back();
        const auto& calls = module_.functions[function].calls;
        if (next == calls.size()) {
          state[function] = closed;
          stack.pop_back();
          continue;
        }
        const Index callee = calls[next++].callee;
        if (callee == no_index || state[callee] == closed) continue;
        if (state[callee] == open) return true;
        state[callee] = open;
        stack.push_back({callee, 0});
      }
    }
    return false;
  }

  const Module& module_;
  CallGraph graph_;
  std::vector<bool> has_function_, has_variable_;
  std::size_t next_function_ = 0, next_variable_ = 0;
};

bool is_dynamic(const Variable& variable) { return variable.external && variable.size == 0; }

}  // namespace

CallGraph call_graph_of(const Module& module, Index kernel) { return Walk(module).from(kernel); }

std::uint64_t SharedLayout::offset_of(Index function, Index variable) const {
  for (const Placement& each : placements)
    if (each.function == function && each.variable == variable) return each.offset;
  return ~std::uint64_t{0};
}

SharedLayout layout_shared(const Module& module, const CallGraph& graph) {
  SharedLayout layout;
  Index dynamic_alignment = 16;
  const auto place = [&](Index function, Index index, const Variable& variable) {
    if (variable.space != Space::shared || is_dynamic(variable)) return;
    layout.alignment = std::max(layout.alignment, variable.alignment);
    const std::uint64_t offset = align_up(layout.static_bytes, variable.alignment);
    layout.placements.push_back({function, index, offset});
    layout.static_bytes = offset + variable.size;
  };
  for (const Index variable : graph.variables) place(no_index, variable, module.variables[variable]);
  for (const Index function : graph.functions) {
    const auto& variables = module.functions[function].variables;
    for (Index i = 0; i < variables.size(); ++i) place(function, i, variables[i]);
  }
  // All that is extern begins at the same place: it is one memory.
  for (const Index variable : graph.variables)
    if (module.variables[variable].space == Space::shared && is_dynamic(module.variables[variable]))
      dynamic_alignment = std::max(dynamic_alignment, module.variables[variable].alignment);
  layout.alignment = std::max(layout.alignment, dynamic_alignment);
  layout.dynamic_offset = align_up(layout.static_bytes, dynamic_alignment);
  for (const Index variable : graph.variables)
    if (module.variables[variable].space == Space::shared && is_dynamic(module.variables[variable]))
      layout.placements.push_back({no_index, variable, layout.dynamic_offset});
  return layout;
}

}  // namespace emu::ptx
