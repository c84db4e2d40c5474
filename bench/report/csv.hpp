#pragma once

#include <string>

#include "report/document.hpp"

namespace ckl::bench {

/// All rows as comma-separated values, with a header line; ratios of each opponent in columns of their own.
std::string csv(const Document& document);

}  // namespace ckl::bench
