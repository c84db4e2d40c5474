#pragma once

#include <memory>
#include <vector>

#include "ckl/gemm.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// Device pointers of one set of operands.
using GemmOperands = GemmPointers;

class GemmOracle;

/// The name of the library's product without the epilogue, which shows what the epilogue costs. It is judged by its own oracle.
inline constexpr const char* without_epilogue = "ckl_without_epilogue";

/// One product in device memory. The providers add themselves to `implementations`.
class GemmWorkload final : public Workload {
 public:
  GemmWorkload(const GemmProblem& problem, const Session& session);
  ~GemmWorkload() override;

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;

  const GemmProblem problem;
  const Session& session;
  std::vector<GemmOperands> operands;

 private:
  Buffer memory_;
  std::unique_ptr<GemmOracle> oracle_, plain_oracle_;
};

/// The same product without the epilogue.
GemmProblem plain_problem(const GemmProblem& problem);

const Operator& gemm_operator();

}  // namespace ckl::bench
