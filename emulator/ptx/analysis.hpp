#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ptx/module.hpp"

// What a function's registers and control flow look like, from the roles of operands that isa/ knows: basic blocks,
// points of reconvergence, liveness, and a small set of slots in which all registers fit.
namespace emu::ptx {

/// Which registers each instruction reads and writes, filled in the order of the instructions:
///   for each instruction: read(...), write(...), then next()
/// The guard is read too: say so. A write under a guard, or of a part of the register, does not end its old value: `kills`
/// is false then.
class RegisterRoles {
 public:
  void read(Index reg) { items_.push_back({reg, Role::read}); }
  void write(Index reg, bool kills = true) { items_.push_back({reg, kills ? Role::kill : Role::write}); }
  void next() { ends_.push_back(static_cast<Index>(items_.size())); }

  enum class Role : std::uint8_t { read, write, kill };
  struct Item {
    Index reg;
    Role role;
  };
  std::size_t size() const { return ends_.size(); }
  std::span<const Item> of(std::size_t instruction) const {
    const Index begin = instruction ? ends_[instruction - 1] : 0;
    return {items_.data() + begin, ends_[instruction] - begin};
  }
  /// Of the instruction that next() has not ended yet.
  std::span<const Item> of_last() const {
    const Index begin = ends_.empty() ? 0 : ends_.back();
    return {items_.data() + begin, items_.size() - begin};
  }

 private:
  std::vector<Item> items_;
  std::vector<Index> ends_;
};

/// `reg` counts as read at `instruction` too: it stays in its slot until there.
struct ExtendedUse {
  Index instruction;
  Index reg;
};

/// Part of an asynchronous operation that works on registers (wgmma): it is issued, its group is committed, and a wait
/// for at most `pending` younger groups retires it.
struct AsyncStep {
  enum class Kind : std::uint8_t { issue, commit, wait };
  Index instruction;
  Kind kind;
  Index pending = 0;             // of a wait
  std::vector<Index> registers;  // of an issue: accumulators and operands in registers
};

struct Block {
  Index begin = 0, end = 0;                     // instructions [begin, end)
  std::vector<Index> successors, predecessors;  // blocks
  bool is_exit = false;                         // ret, exit, trap without a guard, or the end
};

class ControlFlow {
 public:
  /// Blocks, and immediate post-dominators. A guarded ret, exit or trap goes on too.
  explicit ControlFlow(const Function& function);

  const std::vector<Block>& blocks() const { return blocks_; }
  Index block_of(Index instruction) const { return block_of_[instruction]; }
  /// The block on every path from `block` to the end that comes first; no_index: only the end itself.
  Index post_dominator_of(Index block) const { return post_dominators_[block]; }
  /// The instruction where the lanes that a branch parts meet again; no_index: where the last of them ends.
  Index reconvergence_of(Index instruction) const;

 private:
  void find_blocks(const Function& function);
  void find_post_dominators();
  std::vector<Block> blocks_;
  std::vector<Index> block_of_;  // by instruction
  std::vector<Index> post_dominators_;
};

/// The registers that asynchronous operations may still work on, as uses at each wait that may retire them.
/// `steps` is in the order of the instructions.
std::vector<ExtendedUse> async_uses(const ControlFlow& flow, std::span<const AsyncStep> steps);

/// How many bits of each lane a slot holds. 16-bit registers take a slot of 32 bits.
enum class SlotClass : std::uint8_t { predicate, word, double_word, quad_word, count };
SlotClass slot_class_of(Type type);

/// From the first to the last position at which a register is live, in the order of the instructions: 2 * i where
/// instruction i reads, 2 * i + 1 where it writes.
struct LiveInterval {
  Index begin = no_index, end = 0;
  bool is_empty() const { return begin == no_index; }
};

/// One interval a register, empty if no instruction names it.
std::vector<LiveInterval> live_intervals(const ControlFlow& flow, const RegisterRoles& roles,
                                         std::span<const ExtendedUse> extended, std::size_t register_count);

/// A slot of its class for each register, such that no two that are live at once share one. Results of an instruction
/// never share a slot with its operands.
struct Slots {
  std::vector<Index> slot;            // by register, in its class; no_index if it is never named
  std::vector<SlotClass> slot_class;  // by register
  Index count[static_cast<int>(SlotClass::count)] = {};
  /// Bytes that a warp of 32 lanes needs; a predicate takes 4 bytes.
  std::size_t warp_bytes() const;
};
Slots allocate_slots(const Function& function, std::span<const LiveInterval> intervals);

/// All of the above for one function.
struct Analysis {
  ControlFlow flow;
  Slots slots;
};
Analysis analyze(const Function& function, const RegisterRoles& roles, std::span<const AsyncStep> steps = {});

}  // namespace emu::ptx
