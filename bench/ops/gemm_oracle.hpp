#pragma once

#include <vector>

#include "ops/gemm.hpp"

namespace ckl::bench {

/// The right answer to one product: on the CPU for small ones, in double precision on the GPU for large ones.
class GemmOracle {
 public:
  GemmOracle(const GemmProblem& problem, const GemmOperands& operands, const Session& session);

  /// Judges `d`, in device memory.
  Verdict judge(const void* d) const;

 private:
  Verdict judge_on_host(const void* d) const;
  Verdict judge_on_gpu(const void* d) const;

  const GemmProblem problem_;
  const Session& session_;
  bool on_gpu_;
  std::vector<double> host_expected_, host_scale_;
  Buffer expected_, scale_;
};

}  // namespace ckl::bench
