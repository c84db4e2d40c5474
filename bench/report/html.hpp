#pragma once

#include <string>

#include "report/document.hpp"

namespace ckl::bench {

/// A page that needs nothing else: tables, and for each operator and regime a plot of our ratio to each opponent.
std::string html(const Document& document);

}  // namespace ckl::bench
