#pragma once

#include <vector>

#include "ckl/norm.hpp"
#include "ops/operator.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {

/// One normalization in device memory.
class NormWorkload final : public Workload {
 public:
  NormWorkload(const NormProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const NormProblem problem;
  const Session& session;
  std::vector<NormPointers> operands;

 private:
  std::size_t matrix_bytes() const;  // of x, y, the residual and the sum each
  std::size_t vector_bytes() const;  // of the weight and the bias each

  Buffer memory_;
  reference::NormResult expected_;
};

const Operator& norm_operator();

}  // namespace ckl::bench
