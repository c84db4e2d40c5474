#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/document.hpp"

namespace ckl::bench {

/// The rows of one problem together.
struct ProblemRows {
  const Row* ours = nullptr;  ///< Null where the library was not measured.
  std::map<std::string, const Row*> others;

  /// Any of them, for what they have in common.
  const Row& any() const { return ours ? *ours : *others.begin()->second; }
};

/// The problems of one operator and regime, in order of appearance.
inline std::vector<ProblemRows> group(const std::vector<Row>& rows, const std::string& op, const std::string& regime) {
  std::vector<ProblemRows> groups;
  std::map<std::string, std::size_t> places;
  for (const Row& row : rows) {
    if (row.op != op || row.regime != regime) continue;
    Row nameless = row;
    nameless.impl.clear();
    const auto [place, fresh] = places.emplace(nameless.suite + nameless.key(), groups.size());
    if (fresh) groups.emplace_back();
    ProblemRows& group = groups[place->second];
    if (row.impl == "ckl")
      group.ours = &row;
    else
      group.others[row.impl] = &row;
  }
  return groups;
}

/// Those who appear beside the library, in alphabetical order.
inline std::vector<std::string> opponents(const std::vector<ProblemRows>& groups) {
  std::map<std::string, bool> names;
  for (const ProblemRows& one : groups)
    for (const auto& [name, row] : one.others) names[name] = true;
  std::vector<std::string> list;
  for (const auto& [name, seen] : names) list.push_back(name);
  return list;
}

}  // namespace ckl::bench
