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
  std::size_t best = 0;
  if (workload.session.timing && !workload.session.gpu.emulated && able.size() > 1) {
    std::vector<Launch> launches;
    Stream stream;
    for (const Implementation& one : able) {
      one.launch(0, stream);  // loads the kernel, which must not happen while it is timed
      launches.push_back(one.launch);
    }
    stream.synchronize();
    best = fastest(launches, workload.sets, workload.session.kernels);
  }
  workload.implementations.push_back(able[best]);
}

}  // namespace ckl::bench
