#pragma once

#include <vector>

#include "ckl/softmax_backward.hpp"
#include "ops/memory.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// Device pointers of one set of operands.
struct SoftmaxBackwardOperands {
  const void* y;
  const void* dy;
  void* dx;
};

/// The gradient of one softmax in device memory.
class SoftmaxBackwardWorkload final : public Workload {
 public:
  SoftmaxBackwardWorkload(const SoftmaxBackwardProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const SoftmaxBackwardProblem problem;
  const Session& session;
  std::vector<SoftmaxBackwardOperands> operands;

 private:
  std::size_t bytes() const;  // of y, of dy, and of dx

  Buffer memory_;
  HostCopy y_, dy_;  // of the first set, once they are needed on the host
};

const Operator& softmax_backward_operator();

}  // namespace ckl::bench
