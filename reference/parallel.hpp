#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace ckl::reference {

/// Calls `body(begin, end)` for consecutive pieces of [0, count), at the same time on all CPU cores.
template <class Body> void parallel_for(std::int64_t count, const Body& body) {
  const std::int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  const std::int64_t pieces = std::min(count, cores);
  std::vector<std::thread> threads;
  for (std::int64_t piece = 1; piece < pieces; ++piece)
    threads.emplace_back([&body, count, pieces, piece] { body(count * piece / pieces, count * (piece + 1) / pieces); });
  if (pieces > 0) body(std::int64_t(0), count / pieces);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace ckl::reference
