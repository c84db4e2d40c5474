#include <memory>

#include "ops/gemm.hpp"
#include "peers/cutlass_gemm.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {

void provide_cutlass(GemmWorkload& workload) {
  const char* const name = "cutlass_best";
  const std::vector<CutlassKernel> kernels = cutlass_kernels();
  if (kernels.empty()) {  // not a word of what was not asked for
    if (workload.session.asks_for(name)) workload.absent.push_back({name, "built without CUTLASS (CKL_BENCH_CUTLASS)"});
    return;
  }
  if (!workload.problem.epilogue.empty())
    return workload.absent.push_back({name, "its kernels have no epilogue but alpha and beta"});
  std::vector<CutlassOperands> operands;
  for (const GemmOperands& x : workload.operands) operands.push_back({x.a, x.b, x.c, x.d});

  std::vector<Implementation> able;
  for (const CutlassKernel& kernel : kernels) {
    const std::shared_ptr<CutlassGemm> gemm = kernel.make(workload.problem, operands);
    if (!gemm) continue;
    able.push_back({name, kernel.name, [gemm](std::size_t set, cudaStream_t stream) { gemm->run(set, stream); }});
  }
  if (able.empty()) {
    workload.absent.push_back({name, "none of its kernels serves this problem"});
    return;
  }
  workload.implementations.push_back(able[fastest_of(able, workload, workload.session)]);
}

}  // namespace ckl::bench
