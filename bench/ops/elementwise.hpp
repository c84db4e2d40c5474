#pragma once

#include <vector>

#include "ckl/elementwise.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// Device pointers of one set of operands.
struct ElementwiseOperands {
  std::vector<const void*> in;
  std::vector<void*> out;
};

/// One elementwise operation in device memory.
class ElementwiseWorkload final : public Workload {
 public:
  ElementwiseWorkload(const ElementwiseProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const ElementwiseProblem problem;
  const Session& session;
  std::vector<ElementwiseOperands> operands;

 private:
  Buffer memory_;
};

/// One operator for each ElementwiseOp, called as it is.
std::vector<const Operator*> elementwise_operators();

}  // namespace ckl::bench
