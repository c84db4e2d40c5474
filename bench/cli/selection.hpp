#pragma once

#include <string>
#include <vector>

#include "cli/options.hpp"
#include "ops/suite.hpp"

namespace ckl::bench {

/// The cases that the options describe, or those of `suite` (a name or a file; empty: none) that they choose. Throws UsageError where
/// they contradict each other, or leave nothing.
std::vector<SuiteCase> selected_cases(const ProblemOptions& options, const std::string& suite);

}  // namespace ckl::bench
