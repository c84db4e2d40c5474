#pragma once

#include <memory>
#include <vector>

#include "ckl/gemm.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// Device pointers of one set of operands.
struct GemmOperands {
  const void* a;
  const void* b;
  const void* c;
  void* d;
};

class GemmOracle;

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
  std::unique_ptr<GemmOracle> oracle_;
};

const Operator& gemm_operator();

}  // namespace ckl::bench
