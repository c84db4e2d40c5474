#pragma once

#include <vector>

#include "ckl/reduce.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// Device pointers of one set of operands.
struct ReduceOperands {
  const void* x;
  void* y;
};

/// One reduction in device memory.
class ReduceWorkload final : public Workload {
 public:
  ReduceWorkload(const ReduceProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;
  CeilingName ceiling_name() const override;

  const ReduceProblem problem;
  const Session& session;
  std::vector<ReduceOperands> operands;

 private:
  std::size_t x_bytes() const;
  std::size_t y_bytes() const;

  Buffer memory_;
  std::vector<long double> expected_, slack_;
};

const Operator& reduce_operator();

}  // namespace ckl::bench
