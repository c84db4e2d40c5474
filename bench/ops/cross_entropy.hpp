#pragma once

#include <vector>

#include "ckl/cross_entropy.hpp"
#include "ckl/cross_entropy_backward.hpp"
#include "ops/operator.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {

/// One cross-entropy in device memory.
class CrossEntropyWorkload final : public Workload {
 public:
  CrossEntropyWorkload(const CrossEntropyProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;
  CeilingName ceiling_name() const override;

  const CrossEntropyProblem problem;
  const Session& session;
  std::vector<CrossEntropyPointers> operands;

 private:
  Buffer memory_;
  reference::CrossEntropyResult expected_;
};

/// The gradient of one cross-entropy in device memory.
class CrossEntropyBackwardWorkload final : public Workload {
 public:
  CrossEntropyBackwardWorkload(const CrossEntropyBackwardProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const CrossEntropyBackwardProblem problem;
  const Session& session;
  std::vector<CrossEntropyBackwardPointers> operands;

 private:
  Buffer memory_;
};

const Operator& cross_entropy_operator();
const Operator& cross_entropy_backward_operator();

}  // namespace ckl::bench
