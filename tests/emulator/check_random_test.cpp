// The checker against a graph: random histories of accesses, barriers, fences, mbarriers and asynchronous operations. Two
// accesses conflict if no path of the graph joins them; the checker must report some conflict if there is one, and no other.
#include "check_fixture.hpp"

#include <algorithm>
#include <bitset>
#include <random>

#include "check/shadow.hpp"

namespace emu::check {
namespace {

constexpr std::size_t max_nodes = 512;
constexpr std::uint32_t none = ~0u;

/// Something that happens, and all that happens before it.
struct Node {
  std::bitset<max_nodes> before;
  bool is_proxy_fence = false;
};

struct Touch {
  std::uint32_t first, last;  // bytes
  std::uint32_t start, end;   // nodes
  bool writes, async, strong;
};

class Graph {
 public:
  std::uint32_t add(std::initializer_list<std::uint32_t> sources) {
    const auto id = static_cast<std::uint32_t>(nodes.size());
    nodes.emplace_back();
    for (std::uint32_t source : sources) connect(source, id);
    return id;
  }
  void connect(std::uint32_t source, std::uint32_t to) {
    if (source == none) return;
    nodes[to].before |= nodes[source].before;
    nodes[to].before.set(source);
  }
  bool is_before(std::uint32_t a, std::uint32_t b) const { return a == b || nodes[b].before[a]; }
  bool is_fenced(std::uint32_t a, std::uint32_t b) const {
    for (std::uint32_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].is_proxy_fence && nodes[b].before[i] && is_before(a, i)) return true;
    }
    return false;
  }
  /// Whether `later`, which was issued after `earlier`, conflicts with it, and how.
  Conflict::Kind conflict(const Touch& earlier, const Touch& later) const {
    if (earlier.last < later.first || later.last < earlier.first) return Conflict::Kind::none;
    if (!earlier.writes && !later.writes) return Conflict::Kind::none;
    if (!is_before(earlier.end, later.start)) {
      return earlier.strong && later.strong ? Conflict::Kind::none : Conflict::Kind::unordered;
    }
    const bool crosses = later.async && !earlier.async;
    return crosses && !is_fenced(earlier.end, later.start) ? Conflict::Kind::unfenced : Conflict::Kind::none;
  }

  std::vector<Node> nodes;
};

class CheckRandom : public CheckFixture {
 protected:
  static constexpr std::uint32_t warp_count = 4, mbarriers = 2, variables = 2;

  std::uint32_t pick(std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); }
  /// A node of `warp` after its last one.
  std::uint32_t step(std::uint32_t warp) { return last[warp] = graph.add({last[warp]}); }

  void begin() {
    reports.clear();
    start();
    graph = {};
    touches.clear();
    for (std::uint32_t w = 0; w < warps; ++w) last[w] = none;
    for (std::uint32_t b = 0; b < mbarriers; ++b) {
      make_barrier(8 * b);
      arriving[b].clear();
      phase[b] = none;
    }
    sync();
    check.write({0, 1}, {0, 1024}, 256);
    check.fence({0, 1}, Fence::proxy_async);
    sync();
    for (std::uint32_t v = 0; v < variables; ++v) released[v] = none;
    for (std::uint32_t w = 0; w < warp_count; ++w) unretired[w].clear();
    wgmmas.clear();
  }

  Touch& touch(std::uint32_t start, std::uint32_t end, bool writes, bool async, bool in_units) {
    std::uint32_t first = pick(64) * 4, bytes = 4u << pick(3);
    if (in_units || pick(3) == 0) {
      first = pick(16) * 16;
      bytes = 16 * (1 + pick(8));
    }
    bytes = std::min(bytes, 256 - first);
    touches.push_back({first, first + bytes - 1, start, end, writes, async, false});
    return touches.back();
  }
  async::Footprint footprint_of(const Touch& t) const { return range(1024 + t.first, t.last - t.first + 1); }

  void event() {
    const std::uint32_t warp = pick(warp_count);
    const Site site{warp, 100 + static_cast<std::uint32_t>(touches.size())};
    switch (pick(14)) {
      case 0:
      case 1:
      case 2: {
        const std::uint32_t node = step(warp);
        Touch& t = touch(node, node, pick(2), false, false);
        t.strong = pick(5) == 0;
        const Strength strength = t.strong ? Strength::strong : Strength::weak;
        const SharedAddress at{0, 1024 + t.first};
        t.writes ? check.write(site, at, t.last - t.first + 1, strength)
                 : check.read(site, at, t.last - t.first + 1, strength);
        break;
      }
      case 3: {  // a barrier of some warps
        std::vector<std::uint32_t> members;
        for (std::uint32_t w = 0; w < warp_count; ++w) {
          if (pick(3)) members.push_back(w);
        }
        const std::uint32_t meeting = graph.add({});
        for (std::uint32_t w : members) graph.connect(last[w], meeting);
        for (std::uint32_t w : members) last[w] = graph.add({last[w], meeting});
        for (std::uint32_t w : members) check.barrier_arrive({w, 1}, 0, 1);
        check.barrier_complete(0, 1);
        for (std::uint32_t w : members) check.barrier_leave({w, 1}, 0, 1);
        break;
      }
      case 4: {
        graph.nodes[step(warp)].is_proxy_fence = true;
        check.fence(site, Fence::proxy_async);
        break;
      }
      case 5: {
        const std::uint32_t v = pick(variables), node = graph.add({released[v], last[warp]});
        released[v] = node;
        step(warp);
        check.strong_write(site, v, Order::release);
        break;
      }
      case 6: {
        const std::uint32_t v = pick(variables);
        last[warp] = graph.add({last[warp], released[v]});
        check.strong_read(site, v, Order::acquire);
        break;
      }
      case 7: {
        const std::uint32_t b = pick(mbarriers);
        arriving[b].push_back(step(warp));
        check.mbarrier_arrive(site, {0, 8 * b}, 1, 1);
        break;
      }
      case 8: {
        const std::uint32_t b = pick(mbarriers);
        const std::uint32_t node = graph.add({phase[b]});
        for (std::uint32_t source : arriving[b]) graph.connect(source, node);
        finish_copies(b, node);
        phase[b] = node;
        arriving[b].clear();
        check.mbarrier_complete({0, 8 * b});
        break;
      }
      case 9: {
        const std::uint32_t b = pick(mbarriers);
        last[warp] = graph.add({last[warp], phase[b]});
        check.mbarrier_wait(site, {0, 8 * b});
        break;
      }
      case 10: {  // a copy: its end is known when its phase completes
        const std::uint32_t b = pick(mbarriers), node = step(warp);
        Touch& t = touch(node, none, true, true, true);
        pending[b].push_back(touches.size() - 1);
        arriving[b].push_back(node);
        check.copy_to_shared(site, 0, footprint_of(t), {0, 8 * b});
        break;
      }
      case 11: {  // a wgmma of warps 0 to 3
        Knowledge issue;
        const std::uint32_t node = graph.add({});
        for (std::uint32_t w = 0; w < 4; ++w) graph.connect(step(w), node);
        for (std::uint32_t w = 0; w < 4; ++w) check.wgmma_issue({w, site.where}, issue);
        const std::uint32_t end = graph.add({});  // to wait for it tells nothing of what the other warps did before
        Touch& t = touch(node, end, false, true, true);
        wgmmas.push_back({check.wgmma({0, site.where}, 0, 0, issue, footprint_of(t)), end});
        break;
      }
      case 12: {  // wait_group of all but the last few
        if (wgmmas.empty()) break;
        const std::size_t n = 1 + pick(static_cast<std::uint32_t>(wgmmas.size()));
        last[warp] = graph.add({last[warp]});
        for (std::size_t i = 0; i < n; ++i) graph.connect(wgmmas[i].second, last[warp]);
        check.completed(site, wgmmas[n - 1].first);
        break;
      }
      case 13: {
        if (!unretired[warp].empty() && pick(2)) {
          last[warp] = graph.add({last[warp]});
          for (const auto& [epoch, end] : unretired[warp]) graph.connect(end, last[warp]);
          check.completed(site, unretired[warp].back().first);
          unretired[warp].clear();
          break;
        }
        const std::uint32_t node = step(warp), end = graph.add({node});
        Touch& t = touch(node, end, false, true, true);
        unretired[warp].push_back({check.bulk_store(site, 0, 0, footprint_of(t)), end});
        break;
      }
    }
  }

  void finish_copies(std::uint32_t b, std::uint32_t node) {
    for (std::size_t index : pending[b]) touches[index].end = node;
    pending[b].clear();
  }

  std::mt19937 random{11};
  Graph graph;
  std::vector<Touch> touches;  // the one at i has the place 100 + i
  std::uint32_t last[warps]{}, released[variables]{}, phase[mbarriers]{};
  std::vector<std::uint32_t> arriving[mbarriers];
  std::vector<std::size_t> pending[mbarriers];
  std::vector<std::pair<Epoch, std::uint32_t>> unretired[warp_count], wgmmas;
};

TEST_F(CheckRandom, AgreesWithTheGraph) {
  int with_conflicts = 0, without = 0;
  for (int round = 0; round < 20000; ++round) {
    begin();
    for (auto& list : pending) list.clear();
    const std::uint32_t events = 4 + pick(60);
    for (std::uint32_t i = 0; i < events; ++i) event();
    for (std::uint32_t b = 0; b < mbarriers; ++b) finish_copies(b, graph.add({}));  // never completes
    ASSERT_LT(graph.nodes.size(), max_nodes);

    bool expected = false;
    for (std::size_t i = 0; i < touches.size() && !expected; ++i) {
      for (std::size_t j = 0; j < i && !expected; ++j)
        expected = graph.conflict(touches[j], touches[i]) != Conflict::Kind::none;
    }
    ASSERT_EQ(!reports.empty(), expected) << "round " << round << "\n" << all();
    for (const Report& report : reports.reports()) {
      ASSERT_GE(report.other_where, 100u) << all();
      const Touch& later = touches[report.where - 100];
      const Touch& earlier = touches[report.other_where - 100];
      const auto kind = graph.conflict(earlier, later);
      ASSERT_NE(kind, Conflict::Kind::none) << "round " << round << ": no conflict: " << report.text;
      ASSERT_EQ(kind == Conflict::Kind::unfenced, report.hazard == Hazard::missing_proxy_fence) << report.text;
    }
    (expected ? with_conflicts : without)++;
  }
  EXPECT_GT(with_conflicts, 500);
  EXPECT_GT(without, 500);
}

}  // namespace
}  // namespace emu::check
