#pragma once

#include <cstdint>
#include <vector>

namespace emu::check {

/// Something that proceeds in its own order: a warp, an mbarrier (its phases), the wgmmas of a warpgroup, the bulk
/// stores or the cp.asyncs of a thread.
using Component = std::uint16_t;
using Time = std::uint32_t;

/// A point in a component's order. Times count from 1.
struct Epoch {
  Component component = 0;
  Time time = 0;

  bool operator==(const Epoch&) const = default;
};

/// For each component the latest time that is known to have passed.
class VectorClock {
 public:
  Time operator[](Component component) const { return component < times_.size() ? times_[component] : 0; }
  bool covers(Epoch epoch) const { return (*this)[epoch.component] >= epoch.time; }
  void raise(Epoch epoch) {
    if (epoch.component >= times_.size()) times_.resize((epoch.component / 16u + 1) * 16u);
    if (times_[epoch.component] < epoch.time) times_[epoch.component] = epoch.time;
  }
  void join(const VectorClock& other) {
    if (times_.size() < other.times_.size()) times_.resize(other.times_.size());
    Time* to = times_.data();
    const Time* from = other.times_.data();
    for (std::size_t i = 0, n = other.times_.size(); i < n; ++i) to[i] = to[i] < from[i] ? from[i] : to[i];
  }
  void clear() { times_.clear(); }

 private:
  std::vector<Time> times_;
};

/// What happened before a point of the program: `ordered` by synchronization, and `fenced`, the part of it after which
/// there was a proxy fence on the way, so that the async proxy sees it too.
struct Knowledge {
  VectorClock ordered, fenced;

  void join(const Knowledge& other) {
    ordered.join(other.ordered);
    fenced.join(other.fenced);
  }
  void clear() {
    ordered.clear();
    fenced.clear();
  }
};

}  // namespace emu::check
