#include <memory>
#include <vector>

#include "ops/reduce.hpp"
#include "peers/cub_reduce.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {

namespace {

/// The dense rows that `p` reduces to an element each; no row where it reduces anything else.
std::pair<std::int64_t, std::int64_t> rows_of(const ReduceProblem& p) {
  std::int64_t rows = 1, columns = 1;
  for (int d = 0; d < p.rank; ++d) {
    if (!p.reduced[d] && columns > 1) return {0, 0};
    (p.reduced[d] ? columns : rows) *= p.sizes[d];
  }
  return {rows, columns};
}

}  // namespace

void provide_cub(ReduceWorkload& workload) {
  const ReduceProblem& p = workload.problem;
  if (workload.session.gpu.emulated) {
    workload.absent.push_back({"cub", not_emulated});
    return;
  }
  const auto [rows, columns] = rows_of(p);
  std::vector<CubOperands> operands;
  for (const ReduceOperands& x : workload.operands) operands.push_back({x.x, x.y});
  const std::shared_ptr<CubReduce> reduce =
      rows == 0 ? nullptr : make_cub_reduce(p.x.dtype, p.op, rows, columns, operands);
  if (!reduce) {
    workload.absent.push_back({"cub", "has no such reduction, or it is not among the bench's instances"});
    return;
  }
  workload.implementations.push_back({"cub", rows == 1 ? "DeviceReduce" : "DeviceSegmentedReduce",
                                      [reduce](std::size_t set, cudaStream_t stream) { reduce->run(set, stream); }});
}

}  // namespace ckl::bench
