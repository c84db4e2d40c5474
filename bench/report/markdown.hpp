#pragma once

#include <string>

#include "report/document.hpp"

namespace ckl::bench {

/// Tables for a README: one for each operator and regime, a line a problem, then the summaries.
std::string markdown(const Document& document);

}  // namespace ckl::bench
