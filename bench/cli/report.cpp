#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "cli/verbs.hpp"
#include "ops/parse.hpp"
#include "report/compare.hpp"
#include "report/csv.hpp"
#include "report/html.hpp"
#include "report/markdown.hpp"
#include "report/text.hpp"

namespace ckl::bench {
namespace {

struct ReportOptions {
  std::vector<std::string> files;
  bool markdown = false, csv = false;
  std::string html, against;
};

/// All files as one document. They must be of one GPU: times of different ones do not belong in one table.
Document read_all(const std::vector<std::string>& files) {
  Document all = read_document(files.front());
  for (std::size_t i = 1; i < files.size(); ++i) {
    Document more = read_document(files[i]);
    const std::string gpu = all.environment.value("gpu", ""), other = more.environment.value("gpu", "");
    if (gpu != other)
      throw UsageError(
          fmt::format("files: must all be of one GPU, {} in {}, got {} in {}", gpu, files.front(), other, files[i]));
    all.rows.insert(all.rows.end(), more.rows.begin(), more.rows.end());
  }
  return all;
}

int report(const ReportOptions& options) {
  const Document document = read_all(options.files);
  if (!options.html.empty()) write_file("--html", options.html, html(document));
  if (options.markdown) fmt::print("{}", markdown(document));
  if (options.csv) fmt::print("{}", csv(document));
  if (!options.against.empty()) {
    const std::vector<RowChange> changes = compare(read_document(options.against), document);
    for (const std::string& line : comparison_lines(changes)) fmt::print("{}\n", line);
    return std::any_of(changes.begin(), changes.end(), [](const RowChange& c) { return is_regression(c.change); }) ? 1
                                                                                                                   : 0;
  }
  if (options.html.empty() && !options.markdown && !options.csv) {
    fmt::print("{}", table_header());
    for (const Row& row : document.rows) fmt::print("{}", table_line(row));
    for (const std::string& line : summary_lines(document.rows)) fmt::print("{}\n", line);
  }
  return 0;
}

}  // namespace

void add_report(CLI::App& app, int& exit_code) {
  CLI::App* verb =
      app.add_subcommand("report", "Turn measurements (JSON) into tables and plots, or compare two of them");
  auto options = std::make_shared<ReportOptions>();
  verb->add_option("files", options->files, "JSON files that `ckl bench --json` wrote")->required();
  CLI::Option* const markdown = verb->add_flag("--markdown", options->markdown, "Print Markdown tables");
  verb->add_flag("--csv", options->csv, "Print comma-separated values")->excludes(markdown);
  verb->add_option("--html", options->html, "Write a self-contained page with plots to this file");
  verb->add_option("--against", options->against,
                   "An older JSON file: print a verdict for each row, fail on a regression");
  verb->footer(
      "A verdict says faster or SLOWER only where the spreads [p10, p90] do not overlap and the medians differ by more "
      "than\n"
      "2 %; it compares ratios to the same vendor implementation where both files have them, else times.\n\n"
      "Examples:\n  ckl report h200.json --markdown > table.md\n  ckl report h200.json --html h200.html\n"
      "  ckl report new.json --against bench/results/h200/foundation.json");
  verb->callback([options, &exit_code] { exit_code = report(*options); });
}

}  // namespace ckl::bench
