#pragma once

#include <string>

namespace ckl::host {

/// Whether the environment says CKL_LOG=plan: then each new plan tells on standard error what was chosen and why.
bool log_plans();

/// Writes one line to standard error.
void log_line(const std::string& line);

}  // namespace ckl::host
