#pragma once

#include <vector>

#include "ckl/norm_backward.hpp"
#include "ops/memory.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// The gradients of one normalization in device memory.
class NormBackwardWorkload final : public Workload {
 public:
  NormBackwardWorkload(const NormBackwardProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const NormBackwardProblem problem;
  const Session& session;
  std::vector<NormBackwardPointers> operands;

 private:
  Buffer memory_;
  HostCopy x_, dy_, weight_, rstd_, mean_;  // of the first set, once they are needed on the host
};

const Operator& norm_backward_operator();

}  // namespace ckl::bench
