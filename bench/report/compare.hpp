#pragma once

#include <string>
#include <vector>

#include "report/document.hpp"

namespace ckl::bench {

enum class Change {
  same,  ///< Within the spread of either measurement.
  faster,
  slower,   ///< A regression.
  wrong,    ///< It was right before: a regression.
  missing,  ///< It was measured before and is not any more: a regression.
  added,    ///< It was not measured before.
};

const char* name(Change change);
bool is_regression(Change change);

/// What became of one of our rows.
struct RowChange {
  Row row;  ///< The new one; the old one where it is missing.
  Change change = Change::same;
  std::string
      yardstick;  ///< What was compared: the ratio to this opponent, or "time" where both have no opponent in common.
  Spread before, after;
};

/// Compares our rows with those of an older document. Where both were measured against the same opponent, the ratio
/// decides, since it does not depend on the machine's clocks; else the time does. A row has changed only if the two
/// spreads [p10, p90] do not overlap and the medians differ by more than 2 %: less than that differs between machines
/// of one model.
std::vector<RowChange> compare(const Document& before, const Document& after);

/// The verdicts as lines for a terminal; the last one counts them.
std::vector<std::string> comparison_lines(const std::vector<RowChange>& changes);

}  // namespace ckl::bench
