#pragma once

#include <vector>

#include "ckl/softmax.hpp"
#include "ops/memory.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// One softmax in device memory.
class SoftmaxWorkload final : public Workload {
 public:
  SoftmaxWorkload(const SoftmaxProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const SoftmaxProblem problem;
  const Session& session;
  std::vector<SoftmaxPointers> operands;

 private:
  std::size_t bytes() const;       // of x, and of y
  std::size_t mask_bytes() const;  // 0 without

  Buffer memory_;
  HostCopy x_, mask_;  // of the first set, once they are needed on the host
};

const Operator& softmax_operator();

}  // namespace ckl::bench
