#pragma once

#include <string>

namespace ckl::host {

/// Whether the environment says CKL_LOG=plan: then each new plan tells on standard error what was chosen and why.
bool log_plans();

/// Writes one line to standard error.
void log_line(const std::string& line);

/// Says what has been chosen for `problem` on `device`, if plans are to be told of.
template <class Problem> void log_plan(const Problem& problem, int device, const std::string& choice) {
  if (log_plans()) log_line(problem.to_string() + " on device " + std::to_string(device) + ": " + choice);
}

}  // namespace ckl::host
