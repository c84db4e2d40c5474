#include <algorithm>

#include "ptx/analysis.hpp"

// Basic blocks, and post-dominators after Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm" (2001), on the
// reversed graph.
namespace emu::ptx {
namespace {

bool ends_block(const Instruction& instruction) {
  return instruction.control != Control::none && instruction.control != Control::call;
}

}  // namespace

ControlFlow::ControlFlow(const Function& function) {
  find_blocks(function);
  find_post_dominators();
}

void ControlFlow::find_blocks(const Function& function) {
  const auto& instructions = function.instructions;
  const auto size = static_cast<Index>(instructions.size());
  std::vector<bool> leads(size + 1, false);
  const auto for_targets = [&](const Instruction& instruction, auto&& visit) {
    if (instruction.control == Control::branch) {
      visit(function.operands_of(instruction)[0].index);
    } else if (instruction.control == Control::indexed_branch) {
      for (const Index target : function.branch_tables[function.operands_of(instruction)[1].index].targets)
        visit(target);
    }
  };
  for (Index i = 0; i < size; ++i) {
    if (!ends_block(instructions[i])) continue;
    leads[i + 1] = true;
    for_targets(instructions[i], [&](Index target) { leads[target] = true; });
  }
  block_of_.resize(size);
  for (Index i = 0; i < size; ++i) {
    if (i == 0 || leads[i]) {
      if (i > 0) blocks_.back().end = i;
      blocks_.push_back({i, size, {}, {}, false});
    }
    block_of_[i] = static_cast<Index>(blocks_.size() - 1);
  }
  for (Index b = 0; b < blocks_.size(); ++b) {
    Block& block = blocks_[b];
    const Instruction& last = instructions[block.end - 1];
    const bool leaves = last.control == Control::ret || last.control == Control::exit || last.control == Control::trap;
    const bool goes_on = !ends_block(last) || last.guard != no_index;
    for_targets(last, [&](Index target) { block.successors.push_back(block_of_[target]); });
    if (goes_on && block.end < size) block.successors.push_back(b + 1);
    block.is_exit = leaves || (goes_on && block.end == size);
    std::sort(block.successors.begin(), block.successors.end());
    block.successors.erase(std::unique(block.successors.begin(), block.successors.end()), block.successors.end());
  }
  for (Index b = 0; b < blocks_.size(); ++b)
    for (const Index successor : blocks_[b].successors) blocks_[successor].predecessors.push_back(b);
}

void ControlFlow::find_post_dominators() {
  // The virtual end is one more block, number `end`; every exit leads to it.
  const auto end = static_cast<Index>(blocks_.size());
  std::vector<Index> roots;
  for (Index b = 0; b < end; ++b)
    if (blocks_[b].is_exit) roots.push_back(b);

  // Post-order of the reversed graph from the end. A loop without an exit is reached from none: its last block counts as
  // an exit then.
  std::vector<Index> order;  // post-order
  std::vector<bool> seen(end, false), is_root(end, false);
  std::vector<std::pair<Index, std::size_t>> stack;
  const auto walk = [&](Index root) {
    is_root[root] = true;
    if (seen[root]) return;
    seen[root] = true;
    stack.push_back({root, 0});
    while (!stack.empty()) {
      auto& [block, next] = stack.back();
      if (next == blocks_[block].predecessors.size()) {
        order.push_back(block);
        stack.pop_back();
      } else if (const Index before = blocks_[block].predecessors[next++]; !seen[before]) {
        seen[before] = true;
        stack.push_back({before, 0});
      }
    }
  };
  for (const Index root : roots) walk(root);
  for (Index b = end; b-- > 0;)
    if (!seen[b]) walk(b);

  std::vector<Index> rank(end + 1);  // in post-order; the end comes last
  for (std::size_t i = 0; i < order.size(); ++i) rank[order[i]] = static_cast<Index>(i);
  rank[end] = end;
  std::vector<Index> dominator(end + 1, no_index);
  dominator[end] = end;
  const auto meet = [&](Index a, Index b) {
    while (a != b) {
      while (rank[a] < rank[b]) a = dominator[a];
      while (rank[b] < rank[a]) b = dominator[b];
    }
    return a;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = order.size(); i-- > 0;) {
      const Index block = order[i];
      Index found = is_root[block] ? end : no_index;
      for (const Index successor : blocks_[block].successors) {
        if (dominator[successor] == no_index) continue;
        found = found == no_index ? successor : meet(successor, found);
      }
      if (found != dominator[block]) {
        dominator[block] = found;
        changed = true;
      }
    }
  }
  post_dominators_.resize(end);
  for (Index b = 0; b < end; ++b) post_dominators_[b] = dominator[b] == end ? no_index : dominator[b];
}

Index ControlFlow::reconvergence_of(Index instruction) const {
  const Index block = post_dominators_[block_of_[instruction]];
  return block == no_index ? no_index : blocks_[block].begin;
}

}  // namespace emu::ptx
