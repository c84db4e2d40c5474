#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "ckl/norm.hpp"
#include "ops/memory.hpp"
#include "ops/operator.hpp"

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
  std::size_t matrix_bytes() const;  // of x, the residual and the sum each
  std::size_t y_bytes() const;
  std::size_t scale_bytes() const;   // 0 without
  std::size_t vector_bytes() const;  // of the weight and the bias each

  Buffer memory_;
  HostCopy x_, weight_, bias_, residual_;  // of the first set, once they are needed on the host
};

/// The case of a normalization or of its gradients, from the words of the command line or of a suite.
/// @throws Error (invalid_argument) for an unknown key, size, dtype or layout.
Case parse_norm(const std::string& op, const Settings& settings, std::initializer_list<const char*> layouts);

/// What is run where nothing is said.
Choices norm_defaults(bool small);

const Operator& norm_operator();

}  // namespace ckl::bench
