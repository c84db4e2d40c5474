#include "report/text.hpp"

#include <fmt/format.h>

#include "ops/case.hpp"

namespace ckl::bench {
namespace {

std::string optional_number(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

constexpr const char* columns = "{:<5} {:<22} {:<13} {:<9} {:<14} {:>10} {:>15} {:>6} {:>6} {:>8} {:>8} {:>9}  {}\n";

/// What stands at the end of a line: the ratios of ours, the config of others, or why there is no time.
std::string remarks(const Row& row) {
  std::string text = row.verified && !row.time_us && row.note.empty() ? "verified" : row.note;
  for (const auto& [name, spread] : row.ratio)
    text += fmt::format("{}{} {}", text.empty() ? "" : "  ", name, ratio_text(spread));
  return row.config.empty() ? text : fmt::format("{}{}({})", text, text.empty() ? "" : "  ", row.config);
}

}  // namespace

std::string rate_text(const Row& row) {
  if (row.tflops) return fmt::format("{:.1f} TFLOP/s", *row.tflops);
  if (row.gbps) return fmt::format("{:.2f} TB/s", *row.gbps * 1e-3);
  return "";
}

std::string ratio_text(const Spread& spread) {
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", spread.median, spread.p10, spread.p90);
}

std::string problem_text(const Row& row) { return sizes_text(row.problem); }

std::string type_text(const Row& row) {
  std::string text = row.dtype;
  if (row.dtype_out != row.dtype) text += ">" + row.dtype_out;
  return row.layout.empty() || row.layout == "contiguous" ? text : text + " " + row.layout;
}

std::string table_header() {
  return fmt::format(fmt::runtime(columns), "op", "problem", "type", "regime", "implementation", "time us", "rate",
                     "ceil%", "sheet%", "host us", "bare us", "error",
                     "vendor time / ours, median [p10, p90] (config)");
}

std::string table_line(const Row& row) {
  return fmt::format(fmt::runtime(columns), row.op, problem_text(row), type_text(row), row.regime, row.impl,
                     row.time_us ? fmt::format("{:.2f}", row.time_us->median) : "-",
                     rate_text(row).empty() ? "-" : rate_text(row), optional_number(row.ceiling_pct, "{:.1f}"),
                     optional_number(row.datasheet_pct, "{:.1f}"), optional_number(row.host_us, "{:.2f}"),
                     optional_number(row.bare_host_us, "{:.2f}"), optional_number(row.error, "{:.2e}"), remarks(row));
}

std::vector<std::string> summary_lines(const std::vector<Row>& rows) {
  std::vector<std::string> lines;
  for (const auto& [op, regime] : op_regimes(rows))
    for (const Summary& s : summarize(rows, op, regime))
      lines.push_back(fmt::format(
          "{} {} against {}: geometric mean {:.3f}, minimum {:.3f}, {:.0f} % of {} rows at {:.2f} or more{}", op,
          regime, s.against, s.geometric_mean, s.minimum, 100 * s.share_at_target, s.rows + s.failed, target,
          s.failed ? fmt::format("; {} of them failed and have no ratio", s.failed) : ""));
  return lines;
}

}  // namespace ckl::bench
