#include "report/html.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/problems.hpp"
#include "report/text.hpp"

namespace ckl::bench {
namespace {

std::string escaped(const std::string& text) {
  std::string safe;
  for (char c : text) {
    if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '&')
      safe += "&amp;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  }
  return safe;
}

constexpr const char* style =
    "body{font:14px system-ui,sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.2em .7em;border-bottom:1px solid "
    "#ccc;text-align:right}td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}"
    "svg text{font:11px system-ui,sans-serif}";

constexpr const char* colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};

/// Median and [p10, p90] of our ratio to each opponent, a line a problem; the vertical line is 1.
std::string plot(const std::vector<ProblemRows>& groups, const std::vector<std::string>& names) {
  double largest = 1.2;
  for (const ProblemRows& one : groups)
    if (one.ours)
      for (const auto& [name, spread] : one.ours->ratio) largest = std::max(largest, spread.p90 * 1.05);

  constexpr double left = 260, width = 560, line_height = 22;
  const auto x = [&](double ratio) { return left + width * ratio / largest; };
  const double height = line_height * double(groups.size());
  std::string svg = fmt::format("<svg width='900' height='{:.0f}' role='img'>", height + 50);
  for (double tick = 0; tick <= largest; tick += 0.2)
    svg += fmt::format(
        "<line x1='{0:.1f}' x2='{0:.1f}' y1='0' y2='{1:.0f}' stroke='{2}'/><text x='{0:.1f}' y='{3:.0f}' "
        "text-anchor='middle'>{4:.1f}</text>",
        x(tick), height, std::abs(tick - 1) < 1e-9 ? "#000" : "#ddd", height + 15, tick);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const Row& any = groups[i].any();
    const double y = line_height * (double(i) + 0.5);
    svg += fmt::format("<text x='{:.0f}' y='{:.1f}' text-anchor='end'>{}</text>", left - 8, y + 4,
                       escaped(problem_text(any) + " " + type_text(any)));
    for (std::size_t n = 0; groups[i].ours && n < names.size(); ++n) {
      const auto ratio = groups[i].ours->ratio.find(names[n]);
      if (ratio == groups[i].ours->ratio.end()) continue;
      const Spread& spread = ratio->second;
      const char* color = colors[n % std::size(colors)];
      const double offset = y + 5 * (double(n) - double(names.size() - 1) / 2);
      svg += fmt::format("<line x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}' stroke='{}' stroke-width='2'/>",
                         x(spread.p10), x(spread.p90), offset, offset, color);
      svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3.5' fill='{}'><title>{} {}</title></circle>",
                         x(spread.median), offset, color, escaped(names[n]), ratio_text(spread));
    }
  }
  for (std::size_t n = 0; n < names.size(); ++n)
    svg += fmt::format("<text x='{:.0f}' y='{:.0f}' fill='{}'>&#9679; {} time / ours</text>", left + 190 * double(n),
                       height + 38, colors[n % std::size(colors)], escaped(names[n]));
  return svg + "</svg>\n";
}

std::string cell(const std::string& text) { return "<td>" + escaped(text) + "</td>"; }

std::string table(const std::vector<ProblemRows>& groups, const std::vector<std::string>& names) {
  std::string text =
      "<table><tr><th>problem</th><th>type</th><th>ckl, us</th><th>rate</th><th>% of ceiling</th><th>% of data "
      "sheet</th>"
      "<th>host, us</th><th>error</th>";
  for (const std::string& name : names) text += fmt::format("<th>{0}, us</th><th>{0} / ours</th>", escaped(name));
  text += "<th>config</th></tr>\n";
  const auto number = [](const std::optional<double>& value, const char* format) {
    return cell(value ? fmt::format(fmt::runtime(format), *value) : "");
  };
  const auto time = [&](const Row& row) {
    return row.time_us ? cell(fmt::format("{:.2f}", row.time_us->median)) : cell(row.note);
  };
  for (const ProblemRows& one : groups) {
    const Row nobody, &ours = one.ours ? *one.ours : nobody;
    text += "<tr>" + cell(problem_text(one.any())) + cell(type_text(one.any())) + time(ours) + cell(rate_text(ours)) +
            number(ours.ceiling_pct, "{:.1f}") + number(ours.datasheet_pct, "{:.1f}") + number(ours.host_us, "{:.2f}") +
            number(ours.error, "{:.2e}");
    for (const std::string& name : names) {
      const auto other = one.others.find(name);
      text += other == one.others.end() ? cell("") : time(*other->second);
      text += cell(ours.ratio.count(name) ? ratio_text(ours.ratio.at(name)) : "");
    }
    text += cell(ours.config) + "</tr>\n";
  }
  return text + "</table>\n";
}

}  // namespace

std::string html(const Document& document) {
  std::string text = fmt::format(
      "<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>CuTeKernelLib measurements</title>"
      "<style>{}</style>\n<h1>CuTeKernelLib measurements</h1>\n",
      style);
  for (const auto& [op, regime] : op_regimes(document.rows)) {
    const std::vector<ProblemRows> groups = group(document.rows, op, regime);
    const std::vector<std::string> names = opponents(groups);
    text += fmt::format("<h2>{}, {}</h2>\n", escaped(op), escaped(regime)) + plot(groups, names) + table(groups, names);
  }
  text += "<h2>Summary</h2>\n<ul>\n";
  for (const std::string& line : summary_lines(document.rows)) text += "<li>" + escaped(line) + "</li>\n";
  text += "</ul>\n<h2>Environment</h2>\n<pre>" + escaped(document.environment.dump(2)) + "</pre>\n</html>\n";
  return text;
}

}  // namespace ckl::bench
