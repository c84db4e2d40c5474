#include "report/compare.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "report/text.hpp"

namespace ckl::bench {
namespace {

constexpr double least_change = 0.02;

std::map<std::string, const Row*> our_rows(const Document& document) {
  std::map<std::string, const Row*> rows;
  for (const Row& row : document.rows)
    if (row.impl == "ckl") rows[row.key()] = &row;
  return rows;
}

/// Opponents in the order of trust: the vendor's first choice varies least.
std::string common_opponent(const Row& before, const Row& after) {
  for (const char* preferred : {"cublaslt_top1", "cudnn_first", "cub", "memcpy"})
    if (before.ratio.count(preferred) && after.ratio.count(preferred)) return preferred;
  for (const auto& [name, spread] : after.ratio)
    if (before.ratio.count(name)) return name;
  return "";
}

/// `more_is_better`: for ratios; times are better when smaller.
Change judge(const Spread& before, const Spread& after, bool more_is_better) {
  const bool apart = after.p10 > before.p90 || after.p90 < before.p10;
  if (!apart || std::abs(after.median / before.median - 1) <= least_change) return Change::same;
  return (after.median > before.median) == more_is_better ? Change::faster : Change::slower;
}

RowChange compare(const Row& before, const Row& after) {
  RowChange result{after, Change::same, "", {}, {}};
  if (before.verified && !after.verified) {
    result.change = Change::wrong;
    return result;
  }
  result.yardstick = common_opponent(before, after);
  if (!result.yardstick.empty()) {
    result.before = before.ratio.at(result.yardstick);
    result.after = after.ratio.at(result.yardstick);
    result.change = judge(result.before, result.after, true);
  } else if (before.time_us && after.time_us) {
    result.yardstick = "time";
    result.before = *before.time_us;
    result.after = *after.time_us;
    result.change = judge(result.before, result.after, false);
  } else if (before.time_us) {
    result.change = Change::missing;
  }
  return result;
}

}  // namespace

const char* name(Change change) {
  switch (change) {
    case Change::same: return "same";
    case Change::faster: return "faster";
    case Change::slower: return "SLOWER";
    case Change::wrong: return "WRONG";
    case Change::missing: return "MISSING";
    case Change::added: return "new";
  }
  return "invalid";
}

bool is_regression(Change change) {
  return change == Change::slower || change == Change::wrong || change == Change::missing;
}

std::vector<RowChange> compare(const Document& before, const Document& after) {
  const auto old_rows = our_rows(before), new_rows = our_rows(after);
  std::vector<RowChange> changes;
  for (const Row& row : after.rows) {
    if (row.impl != "ckl") continue;
    const auto old = old_rows.find(row.key());
    if (old != old_rows.end())
      changes.push_back(compare(*old->second, row));
    else
      changes.push_back({row, row.verified ? Change::added : Change::wrong, "", {}, {}});
  }
  for (const Row& row : before.rows)
    if (row.impl == "ckl" && !new_rows.count(row.key())) changes.push_back({row, Change::missing, "", {}, {}});
  return changes;
}

std::vector<std::string> comparison_lines(const std::vector<RowChange>& changes) {
  std::vector<std::string> lines;
  std::map<Change, int> counts;
  for (const RowChange& change : changes) {
    ++counts[change.change];
    std::string line = fmt::format("{:<8}{:<5} {:<22} {:<14} {:<10}", name(change.change), change.row.op,
                                   problem_text(change.row), type_text(change.row), change.row.regime);
    if (!change.yardstick.empty())
      line += fmt::format("{}: {} -> {}", change.yardstick, ratio_text(change.before), ratio_text(change.after));
    else if (!change.row.note.empty())
      line += change.row.note;
    lines.push_back(line);
  }
  std::string total = fmt::format("{} rows:", changes.size());
  for (const auto& [change, count] : counts) total += fmt::format(" {} {},", count, name(change));
  total.pop_back();
  lines.push_back(total);
  return lines;
}

}  // namespace ckl::bench
