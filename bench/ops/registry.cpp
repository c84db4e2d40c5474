#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ops/cross_entropy.hpp"
#include "ops/elementwise.hpp"
#include "ops/gemm.hpp"
#include "ops/memory_ablation.hpp"
#include "ops/norm.hpp"
#include "ops/norm_backward.hpp"
#include "ops/operator.hpp"
#include "ops/parse.hpp"
#include "ops/reduce.hpp"
#include "ops/softmax.hpp"
#include "ops/softmax_backward.hpp"

namespace ckl::bench {

const std::vector<const Operator*>& operators() {
  static const std::vector<const Operator*> all = [] {
    std::vector<const Operator*> list = {
        &gemm_operator(),    &cross_entropy_operator(),    &cross_entropy_backward_operator(),
        &norm_operator(),    &norm_backward_operator(),    &reduce_operator(),
        &softmax_operator(), &softmax_backward_operator(), &memory_ablation_operator()};
    const std::vector<const Operator*> elementwise = elementwise_operators();
    list.insert(list.begin() + 1, elementwise.begin(), elementwise.end());
    return list;
  }();
  return all;
}

std::vector<const Operator*> find_operators(const std::string& name) {
  std::vector<const Operator*> found;
  for (const Operator* op : operators())
    if (name == "all" || name == op->name() || name == op->family()) found.push_back(op);
  if (!found.empty()) return found;
  std::string names;
  for (const Operator* op : operators()) names += op->name() + ", ";
  throw UsageError(fmt::format("op: must be one of {}all, got `{}`", names, name));
}

const Operator& find_operator(const std::string& name) {
  const std::vector<const Operator*> found = find_operators(name);
  if (found.size() == 1) return *found.front();
  throw UsageError(fmt::format("op: must name one operator, got `{}`", name));
}

void attempt(Workload& workload, const Session& session, const std::vector<std::string>& names,
             const std::function<void()>& provide) {
  if (std::none_of(names.begin(), names.end(), [&](const std::string& name) { return session.wants(name); })) return;
  try {
    provide();
  } catch (const std::exception& error) {
    cudaGetLastError();  // an error that was reported must not fail the next call as well
    check(cudaDeviceSynchronize(), "the GPU");
    for (const std::string& name : names) workload.absent.push_back({name, fmt::format("failed: {}", error.what())});
  }
}

std::size_t fastest_of(const std::vector<Implementation>& able, const Workload& workload, const Session& session) {
  if (!session.timing || session.gpu.emulated || able.size() < 2) return 0;
  std::vector<Launch> launches;
  Stream stream;
  for (const Implementation& one : able) {
    one.launch(0, stream);  // loads the kernel, which must not happen while it is timed
    launches.push_back(one.launch);
  }
  stream.synchronize();
  return fastest(launches, workload.sets, session.kernels);
}

std::size_t rotation_sets(const Session& session, double bytes) {
  if (session.gpu.emulated || !session.timing) return 1;
  constexpr double most = 1 << 17;  // 2 KB an operand; graphs of more nodes take longer to make than the row may
  const double needed = std::ceil(4.0 * double(session.gpu.l2_bytes) / std::max(bytes, 1.0));
  if (needed > most)
    throw UsageError(fmt::format(
        "--problem: must move at least {:.0f} bytes to be timed with cold caches, got one that moves {:.0f}",
        std::ceil(4.0 * double(session.gpu.l2_bytes) / most), bytes));
  return std::size_t(std::max(needed, 2.0));
}

}  // namespace ckl::bench
