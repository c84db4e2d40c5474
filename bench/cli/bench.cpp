#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "cli/interrupt.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/selection.hpp"
#include "cli/verbs.hpp"
#include "judge/environment.hpp"
#include "ops/parse.hpp"
#include "report/csv.hpp"
#include "report/text.hpp"

namespace ckl::bench {
namespace {

struct BenchOptions {
  ProblemOptions problem;
  std::string suite;
  std::string regime = "cold";
  std::vector<std::string> implementations;
  std::string json, csv;
  bool quick = false;
};

void write_results(const BenchOptions& options, const Document& document) {
  if (!options.json.empty()) write_file("--json", options.json, to_json(document).dump(1) + "\n");
  if (!options.csv.empty()) write_file("--csv", options.csv, csv(document));
}

void reject_impossible_device(const ProblemOptions& options) {
  if (options.reference())
    throw UsageError("--device: must be a CUDA index or emulator for bench, got `reference`; `ckl run` takes it");
}

bool is_failure(const Row& row) { return !row.verified && (row.impl == "ckl" || row.error.has_value()); }

int bench(const BenchOptions& options) {
  reject_impossible_device(options.problem);
  const std::vector<SuiteCase> cases = selected_cases(options.problem, options.suite);
  const std::vector<Regime> regimes = parse_regimes(options.regime);
  enter_emulator_if_asked(options.problem);
  Session session(options.problem.emulator() ? 0 : options.problem.index());
  session.config = options.problem.config;

  Judge judge(session, {regimes, options.quick ? Effort::quick : Effort::full});
  Environment environment(session.gpu);
  Document document;
  document.environment = environment.to_json(judge.ceilings());
  write_results(options, document);  // a path that cannot be written is told before the GPU is used
  listen_for_interrupts();
  fmt::print("{}", table_header());

  Progress progress(cases.size());
  for (std::size_t i = 0; i < cases.size() && !interrupted(); ++i) {
    progress.show(i, cases[i].one.to_string());
    session.only = options.implementations.empty() ? cases[i].implementations : options.implementations;
    const std::vector<Row> rows = judge.judge(*cases[i].op, cases[i].one);
    environment.observe();
    progress.clear();
    for (const Row& row : rows) {
      document.rows.push_back(row);
      fmt::print("{}", table_line(row));
    }
    std::fflush(stdout);
    document.environment = environment.to_json(judge.ceilings());
    write_results(options, document);  // after each case, so that an interruption loses none that is finished
  }

  for (const auto& [key, value] : judge.ceilings().items()) fmt::print("ceiling {}: {}\n", key, value.dump());
  for (const std::string& line : summary_lines(document.rows)) fmt::print("{}\n", line);
  if (session.gpu.emulated) fmt::print("Under the emulator nothing is timed: its times mean nothing.\n");
  if (interrupted()) {
    fmt::print(stderr, "ckl: interrupted; the finished rows are kept\n");
    return 130;
  }
  return std::any_of(document.rows.begin(), document.rows.end(), is_failure) ? 1 : 0;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("bench", "Measure a suite or any problems, each result verified");
  auto options = std::make_shared<BenchOptions>();
  options->problem.add_to(*verb);
  verb->add_option("--suite", options->suite,
                   "Name or file of a suite (YAML), e.g. foundation; --dtype and --layout choose among its rows");
  verb->add_option("--regime", options->regime,
                   "cold: operands outside the L2, rests between samples; sustained: back to back, power-limited; both")
      ->capture_default_str();
  verb->add_option("--impl", options->implementations,
                   "Only these, e.g. ckl,cublaslt_top1; also the tutorial's kernels, ladder_1_simt to ladder_5_product")
      ->delimiter(',');
  verb->add_option("--json", options->json, "Write the rows to this file, after each case");
  verb->add_option("--csv", options->csv, "The same as CSV");
  verb->add_flag("--quick", options->quick, "Fewer samples: a third of the time, a wider spread");
  verb->footer(
      "op is an operator, or all. Every result is compared with double precision before it is timed. A row's ratio is "
      "the\n"
      "other's time over ours, taken side by side (A B B A): above 1 we are faster.\n\n"
      "Examples:\n  ckl bench all --suite foundation --json h200.json\n"
      "  ckl bench gemm --problem 4096x4096x4096,8192x8192x8192 --dtype bf16,f16 --layout tn,nn\n"
      "  ckl bench add --problem 67108864 --dtype f32 --regime both\n"
      "  ckl bench gemm --problem 2048x2048x2048 --impl ckl,cublaslt_best --quick");
  verb->callback([options, &exit_code] { exit_code = bench(*options); });
}

}  // namespace ckl::bench
