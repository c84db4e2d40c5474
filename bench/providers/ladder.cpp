#include <memory>

#include <fmt/format.h>

#include "gemm_ladder/host.hpp"
#include "ops/gemm.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

/// Whether the rungs' one kind of product is what `p` asks for: dense bf16 matrices, A by rows, B by columns, D by rows.
bool is_simple(const GemmProblem& p) {
  const auto is = [](const GemmOperand& x, std::int64_t row, std::int64_t column) {
    return x.dtype == DType::bf16 && x.row_stride == row && x.column_stride == column;
  };
  return is(p.a, p.k, 1) && is(p.b, 1, p.k) && is(p.d, p.n, 1) && p.alpha == 1 && p.beta == 0 && p.epilogue.empty();
}

}  // namespace

void provide_ladder(GemmWorkload& workload) {
  const GemmProblem& p = workload.problem;
  for (const ladder::Rung& rung : ladder::rungs) {
    const std::string name = fmt::format("ladder_{}", rung.name);
    if (!workload.session.asks_for(name)) continue;
    if (!is_simple(p)) {
      workload.absent.push_back(
          {name, "multiplies bf16 matrices in layout tn, without alpha, beta and epilogue, only"});
      continue;
    }
    attempt(workload, workload.session, {name}, [&] {
      const auto product = std::make_shared<const ladder::Product>(rung, int(p.m), int(p.n), int(p.k));
      const auto launch = [product, &operands = workload.operands](std::size_t set, cudaStream_t stream) {
        const GemmOperands& x = operands[set];
        product->run(x.a, x.b, x.d, stream);
      };
      const std::string config = fmt::format("{}x{}x{}", rung.tile_m, rung.tile_n, rung.tile_k);
      workload.implementations.push_back({name, config, launch});
    });
  }
}

}  // namespace ckl::bench
