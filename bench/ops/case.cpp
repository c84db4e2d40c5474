#include "ops/case.hpp"

#include <algorithm>

namespace ckl::bench {
namespace {

std::vector<Settings> extend(const std::vector<Settings>& rows, const std::string& key,
                             const std::vector<std::string>& values) {
  std::vector<Settings> extended;
  for (const Settings& row : rows)
    for (const std::string& value : values) {
      extended.push_back(row);
      extended.back()[key] = value;
    }
  return extended;
}

}  // namespace

std::vector<Settings> combinations(const Choices& choices) {
  std::vector<Settings> rows(1);
  for (const auto& [key, values] : choices)
    if (key != "problem") rows = extend(rows, key, values);
  const auto problem = choices.find("problem");
  return problem == choices.end() ? rows : extend(rows, "problem", problem->second);
}

std::string sizes_text(const Json& problem) {
  std::string text;
  const auto append = [&](const Json& value) {
    if (!text.empty()) text += "x";
    text += value.is_string() ? value.get<std::string>() : value.dump();
  };
  for (const auto& [key, value] : problem.items()) {
    if (value.is_array())
      std::for_each(value.begin(), value.end(), append);
    else if (key == "alpha" || key == "beta")
      text += " " + key + "=" + value.dump();
    else if (key == "epilogue")
      text += " " + value.get<std::string>();
    else
      append(value);
  }
  return text;
}

std::string Case::to_string() const {
  std::string text = op + " " + sizes_text(problem) + " " + dtype;
  if (dtype_out != dtype) text += "->" + dtype_out;
  return layout.empty() ? text : text + " " + layout;
}

}  // namespace ckl::bench
