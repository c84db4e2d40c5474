#include <algorithm>
#include <tuple>

#include "ptx/analysis.hpp"

namespace emu::ptx {
namespace {

using Kind = AsyncStep::Kind;

constexpr std::uint8_t unvisited = 255;
constexpr std::uint8_t most_commits = 254;  // a wait for so many pending groups waits for nothing

/// Follows every operation from where it is issued, on all paths, to the waits that retire it for certain.
class AsyncWalk {
 public:
  AsyncWalk(const ControlFlow& flow, std::span<const AsyncStep> steps) : flow_(flow), steps_(steps) {
    const auto& blocks = flow.blocks();
    first_step_.reserve(blocks.size() + 1);
    std::size_t step = 0;
    for (const Block& block : blocks) {
      while (step < steps.size() && steps[step].instruction < block.begin) ++step;
      first_step_.push_back(step);
    }
    first_step_.push_back(steps.size());
    commits_.assign(blocks.size(), unvisited);
  }

  std::vector<ExtendedUse> walk() {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].kind != Kind::issue || steps_[i].registers.empty()) continue;
      waits_.clear();
      follow(i);
      std::sort(waits_.begin(), waits_.end());
      waits_.erase(std::unique(waits_.begin(), waits_.end()), waits_.end());
      for (const Index wait : waits_)
        for (const Index reg : steps_[i].registers) uses_.push_back({wait, reg});
    }
    const auto order = [](const ExtendedUse& use) { return std::tie(use.instruction, use.reg); };
    std::sort(uses_.begin(), uses_.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
    uses_.erase(
        std::unique(uses_.begin(), uses_.end(), [&](const auto& a, const auto& b) { return order(a) == order(b); }),
        uses_.end());
    return std::move(uses_);
  }

 private:
  void follow(std::size_t issue) {
    const Index home = flow_.block_of(steps_[issue].instruction);
    pass(home, issue + 1, 0);
    while (!work_.empty()) {
      const Index block = work_.back();
      work_.pop_back();
      pass(block, first_step_[block], commits_[block]);
    }
    for (const Index block : touched_) commits_[block] = unvisited;
    touched_.clear();
  }

  /// Through the steps of a block from `step` on, with `commits` groups committed since the issue, then to those after it.
  void pass(Index block, std::size_t step, std::uint8_t commits) {
    for (; step < first_step_[block + 1]; ++step) {
      if (steps_[step].kind == Kind::commit) {
        commits = std::min<std::uint8_t>(commits + 1, most_commits);
      } else if (steps_[step].kind == Kind::wait) {
        waits_.push_back(steps_[step].instruction);
        if (commits > steps_[step].pending) return;
      }
    }
    // Fewer commits are retired later, so the least number that reaches a block is what counts.
    for (const Index next : flow_.blocks()[block].successors) {
      if (commits_[next] <= commits) continue;
      if (commits_[next] == unvisited) touched_.push_back(next);
      commits_[next] = commits;
      work_.push_back(next);
    }
  }

  const ControlFlow& flow_;
  std::span<const AsyncStep> steps_;
  std::vector<std::size_t> first_step_;  // by block
  std::vector<std::uint8_t> commits_;    // by block: the least number with which it was reached
  std::vector<Index> touched_, work_, waits_;
  std::vector<ExtendedUse> uses_;
};

}  // namespace

std::vector<ExtendedUse> async_uses(const ControlFlow& flow, std::span<const AsyncStep> steps) {
  return AsyncWalk(flow, steps).walk();
}

}  // namespace emu::ptx
