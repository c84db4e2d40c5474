#include <algorithm>

#include "ptx/analysis.hpp"

namespace emu::ptx {
namespace {

using Role = RegisterRoles::Role;

constexpr Index read_position(Index instruction) { return 2 * instruction; }
constexpr Index write_position(Index instruction) { return 2 * instruction + 1; }

void extend(LiveInterval& interval, Index from, Index to) {
  interval.begin = std::min(interval.begin, from);
  interval.end = std::max(interval.end, to);
}

/// Grows intervals register by register: each use that its own block does not define is followed backwards to the
/// definitions. That takes memory for one register at a time, and time as its live range is long.
class IntervalBuilder {
 public:
  IntervalBuilder(const ControlFlow& flow, const RegisterRoles& roles, std::span<const ExtendedUse> extended,
                  std::size_t register_count)
      : flow_(flow), roles_(roles), extended_(extended.begin(), extended.end()), intervals_(register_count) {
    std::sort(extended_.begin(), extended_.end(),
              [](const ExtendedUse& a, const ExtendedUse& b) { return a.instruction < b.instruction; });
  }

  std::vector<LiveInterval> build() {
    scan_blocks();
    group(kills_, kill_ends_);
    group(exposed_, exposed_ends_);
    visited_.assign(flow_.blocks().size(), 0);
    killed_.assign(flow_.blocks().size(), 0);
    for (Index reg = 0; reg < intervals_.size(); ++reg) follow(reg);
    return std::move(intervals_);
  }

 private:
  struct InBlock {
    Index reg, block;
  };

  /// What happens within each block, and what is left to follow.
  void scan_blocks() {
    const auto& blocks = flow_.blocks();
    std::vector<Index> killed_in(intervals_.size(), no_index), exposed_in(intervals_.size(), no_index);
    std::size_t next_extended = 0;
    for (Index b = 0; b < blocks.size(); ++b) {
      const auto read = [&](Index reg, Index instruction) {
        extend(intervals_[reg], read_position(instruction), read_position(instruction));
        if (killed_in[reg] == b || exposed_in[reg] == b) return;
        exposed_in[reg] = b;
        exposed_.push_back({reg, b});
      };
      for (Index i = blocks[b].begin; i < blocks[b].end; ++i) {
        for (; next_extended < extended_.size() && extended_[next_extended].instruction <= i; ++next_extended)
          read(extended_[next_extended].reg, i);
        for (const auto& item : roles_.of(i))
          if (item.role == Role::read) read(item.reg, i);
        for (const auto& item : roles_.of(i)) {
          if (item.role == Role::read) continue;
          extend(intervals_[item.reg], write_position(i), write_position(i));
          if (item.role == Role::kill && killed_in[item.reg] != b) {
            killed_in[item.reg] = b;
            kills_.push_back({item.reg, b});
          }
        }
      }
    }
  }

  /// Sorts by register; ends[r] is the end of those of register r.
  void group(std::vector<InBlock>& list, std::vector<Index>& ends) const {
    ends.assign(intervals_.size() + 1, 0);
    for (const InBlock& item : list) ++ends[item.reg + 1];
    for (std::size_t r = 0; r < intervals_.size(); ++r) ends[r + 1] += ends[r];
    std::vector<InBlock> sorted(list.size());
    std::vector<Index> next(ends.begin(), ends.end() - 1);
    for (const InBlock& item : list) sorted[next[item.reg]++] = item;
    list.swap(sorted);
  }

  void follow(Index reg) {
    if (exposed_ends_[reg] == exposed_ends_[reg + 1]) return;
    const Index stamp = reg + 1;
    for (Index k = kill_ends_[reg]; k < kill_ends_[reg + 1]; ++k) killed_[kills_[k].block] = stamp;
    const auto& blocks = flow_.blocks();
    std::vector<Index>& work = work_;
    work.clear();
    const auto visit = [&](Index block) {
      if (visited_[block] == stamp) return;
      visited_[block] = stamp;
      work.push_back(block);
    };
    LiveInterval& interval = intervals_[reg];
    // Blocks on whose entry the register is live.
    for (Index e = exposed_ends_[reg]; e < exposed_ends_[reg + 1]; ++e) visit(exposed_[e].block);
    while (!work.empty()) {
      const Index block = work.back();
      work.pop_back();
      extend(interval, read_position(blocks[block].begin), read_position(blocks[block].begin));
      for (const Index before : blocks[block].predecessors) {
        const Index last = blocks[before].end - 1;
        extend(interval, write_position(last), write_position(last));
        if (killed_[before] != stamp) visit(before);
      }
    }
  }

  const ControlFlow& flow_;
  const RegisterRoles& roles_;
  std::vector<ExtendedUse> extended_;
  std::vector<LiveInterval> intervals_;
  std::vector<InBlock> kills_, exposed_;  // a register that a block kills, or reads before it does
  std::vector<Index> kill_ends_, exposed_ends_;
  std::vector<Index> visited_, killed_;  // by block: for the register that is followed
  std::vector<Index> work_;
};

}  // namespace

std::vector<LiveInterval> live_intervals(const ControlFlow& flow, const RegisterRoles& roles,
                                         std::span<const ExtendedUse> extended, std::size_t register_count) {
  return IntervalBuilder(flow, roles, extended, register_count).build();
}

}  // namespace emu::ptx
