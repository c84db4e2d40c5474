#pragma once

#include <string>
#include <vector>

#include "report/document.hpp"

namespace ckl::bench {

/// Rows in columns for a terminal.
std::string table_header();
std::string table_line(const Row& row);

/// "[1.01 .. 1.03]"-like pieces used by every report.
std::string rate_text(const Row& row);         ///< "742.1 TFLOP/s", "2.97 TB/s" or "".
std::string ratio_text(const Spread& spread);  ///< "1.013 [1.008, 1.019]".
std::string problem_text(const Row& row);      ///< "4096x4096x4096".
std::string type_text(const Row& row);         ///< "bf16 tn", "bf16>f32 tn".

/// Geometric mean, minimum and share of rows at the target, one line for each op, regime and opponent.
std::vector<std::string> summary_lines(const std::vector<Row>& rows);

}  // namespace ckl::bench
