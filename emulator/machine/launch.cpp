#include <algorithm>
#include <list>
#include <thread>
#include <vector>

#include "machine/state.hpp"

// A grid on the threads of the host.
namespace emu::machine {

namespace {

/// Stops the grid; the first fault is the one that is reported.
void stop(Grid& grid, FaultKind kind, const std::string& report) {
  std::lock_guard lock(grid.mutex);
  if (grid.report.empty()) {
    grid.fault = kind;
    grid.report = report;
  }
  grid.stopped = true;
}

/// One thread's share: clusters one after the other. A cluster that still runs after its turn may wait for one that has not
/// started, so the next one is started beside it, up to what the device could hold.
void work(Grid& grid, std::size_t most_at_a_time) {
  std::list<Cluster> running;
  std::list<Cluster> spare;
  const auto start_next = [&] {
    if (grid.stopped.load() || running.size() >= most_at_a_time) return false;
    const std::uint64_t number = grid.next_cluster.fetch_add(1);
    if (number >= grid.clusters()) return false;
    if (spare.empty()) spare.emplace_back();
    running.splice(running.end(), spare, spare.begin());
    start(running.back(), grid, number);
    return true;
  };
  try {
    while (!grid.stopped.load()) {
      if (running.empty() && !start_next()) return;
      for (auto at = running.begin(); at != running.end() && !grid.stopped.load();) {
        switch (run(*at)) {
          case Progress::finished: {
            const auto done = at++;
            spare.splice(spare.end(), running, done);
            break;
          }
          case Progress::ran_out_of_time: ++at; break;
          case Progress::stuck:
            throw Fault(FaultKind::deadlock, fmt::format("{}: deadlock, nothing in the cluster can go on\n{}",
                                                         grid.program->name(), describe_waits(*at)));
        }
      }
      if (!running.empty()) start_next();
    }
  } catch (const Fault& fault) {
    stop(grid, fault.kind, fault.what());
  } catch (const std::exception& error) {
    stop(grid, FaultKind::illegal_instruction, error.what());
  }
}

}  // namespace

void run(Grid& grid) {
  const std::uint64_t clusters = grid.clusters();
  const auto threads = static_cast<std::size_t>(
      std::clamp<std::uint64_t>(clusters, 1, static_cast<std::uint64_t>(std::max(grid.options.threads, 1))));
  const std::uint64_t resident =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(grid.options.sm_count) / grid.cluster.volume());
  const auto each = static_cast<std::size_t>(std::max<std::uint64_t>(1, (resident + threads - 1) / threads));
  std::vector<std::jthread> pool;
  for (std::size_t i = 1; i < threads; ++i) pool.emplace_back([&] { work(grid, each); });
  work(grid, each);
}

}  // namespace emu::machine
