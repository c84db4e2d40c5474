#pragma once

#include <vector>

#include "ckl/elementwise.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// Device pointers of one set of operands.
struct AddOperands {
  const void* a;
  const void* b;
  void* d;
};

/// One sum in device memory.
class AddWorkload final : public Workload {
 public:
  AddWorkload(const AddProblem& problem, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;

  const AddProblem problem;
  const Session& session;
  std::vector<AddOperands> operands;

 private:
  Verdict judge_on_host(const AddOperands& set);
  Verdict judge_on_gpu(const AddOperands& set) const;

  Buffer memory_;
  std::vector<double> expected_;
};

const Operator& add_operator();

}  // namespace ckl::bench
