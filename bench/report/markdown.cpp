#include "report/markdown.hpp"

#include <fmt/format.h>

#include "report/problems.hpp"
#include "report/text.hpp"

namespace ckl::bench {
namespace {

std::string text_of(const Json& environment, const char* key) {
  if (!environment.contains(key) || environment[key].is_null()) return "";
  return environment[key].is_string() ? environment[key].get<std::string>() : environment[key].dump();
}

std::string environment_line(const Json& environment) {
  std::string line = text_of(environment, "gpu");
  for (const auto& [key, label] : {std::pair{"driver", "driver"},
                                   {"cuda", "CUDA"},
                                   {"cublas", "cuBLAS"},
                                   {"cudnn", "cuDNN"},
                                   {"commit", "commit"},
                                   {"date", "measured"}})
    if (const std::string value = text_of(environment, key); !value.empty())
      line += fmt::format(", {} {}", label, value);
  return line;
}

std::string time_cell(const Row* row) {
  if (!row) return "";
  if (row->time_us) return fmt::format("{:.2f}", row->time_us->median);
  return row->note.empty() ? (row->verified ? "verified" : "") : row->note;
}

std::string line_of(const ProblemRows& one, const std::vector<std::string>& names) {
  const Row& any = one.any();
  std::string line =
      fmt::format("| {} | {} | {} | {} | {} |", problem_text(any), type_text(any), time_cell(one.ours),
                  one.ours ? rate_text(*one.ours) : "",
                  one.ours && one.ours->ceiling_pct ? fmt::format("{:.1f}", *one.ours->ceiling_pct) : "");
  for (const std::string& name : names) {
    const auto other = one.others.find(name);
    const bool compared = one.ours && one.ours->ratio.count(name);
    line += fmt::format(" {} | {} |", time_cell(other == one.others.end() ? nullptr : other->second),
                        compared ? ratio_text(one.ours->ratio.at(name)) : "");
  }
  return line + "\n";
}

}  // namespace

std::string markdown(const Document& document) {
  std::string text = environment_line(document.environment) + "\n";
  for (const auto& [op, regime] : op_regimes(document.rows)) {
    const std::vector<ProblemRows> groups = group(document.rows, op, regime);
    const std::vector<std::string> names = opponents(groups);
    text += fmt::format("\n### {}, {}\n\n| problem | type | ckl, us | rate | % of ceiling |", op, regime);
    for (const std::string& name : names) text += fmt::format(" {0}, us | {0} time / ours [p10, p90] |", name);
    text += "\n|---|---|---:|---:|---:|";
    for (std::size_t i = 0; i < names.size(); ++i) text += "---:|---:|";
    text += "\n";
    for (const ProblemRows& one : groups) text += line_of(one, names);
  }
  text += "\n";
  for (const std::string& line : summary_lines(document.rows)) text += "- " + line + "\n";
  return text;
}

}  // namespace ckl::bench
