#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "cli/options.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"
#include "report/text.hpp"

namespace ckl::bench {
namespace {

struct RunOptions {
  ProblemOptions problem;
  std::string regime = "cold";
  std::vector<std::string> implementations;
  bool timing = true;
};

int run_on_reference(const Operator& op, const ProblemOptions& options) {
  const Case one = options.only_case(op, true);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> lines = op.run_reference(one);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{}\n  computed on the CPU in double precision, in {:.3f} s\n", one.to_string(), seconds);
  for (const std::string& line : lines) fmt::print("  {}\n", line);
  return 0;
}

void print(const Row& row) {
  fmt::print("  {:<14} ", row.impl);
  if (row.error)
    fmt::print("{}, error {:.2e} (allowed {:.2e})", row.verified ? "right" : "WRONG", *row.error,
               row.error_bound.value_or(0));
  if (row.time_us)
    fmt::print(", {:.2f} us [{:.2f}, {:.2f}] {}, {}", row.time_us->median, row.time_us->p10, row.time_us->p90,
               row.regime, rate_text(row));
  if (row.ceiling_pct) fmt::print(", {:.1f} % of the measured ceiling", *row.ceiling_pct);
  if (row.host_us) fmt::print(", host {:.2f} us", *row.host_us);
  if (row.bare_host_us) fmt::print(" (bare launch {:.2f} us)", *row.bare_host_us);
  if (row.first_call_ms) fmt::print(", first call {:.1f} ms", *row.first_call_ms);
  if (!row.note.empty()) fmt::print("{}{}", row.error ? ": " : "", row.note);
  fmt::print("\n");
  if (!row.config.empty()) fmt::print("  {:<15}config {}\n", "", row.config);
  for (const auto& [name, spread] : row.ratio) fmt::print("  {:<15}{} time / ours {}\n", "", name, ratio_text(spread));
}

int run(const RunOptions& options) {
  const Operator& op = find_operator(options.problem.op);
  if (options.problem.reference()) return run_on_reference(op, options.problem);
  enter_emulator_if_asked(options.problem);

  const Case one = options.problem.only_case(op, options.problem.emulator() || !options.timing);
  const std::vector<Regime> regimes = parse_regimes(options.regime);
  Session session(options.problem.emulator() ? 0 : options.problem.index());
  session.config = options.problem.config;
  session.timing = options.timing;
  session.only = options.implementations;

  fmt::print("{} on {}\n", one.to_string(), session.gpu.name);
  std::fflush(stdout);
  Judge judge(session, {regimes, Effort::full});
  bool wrong = false;
  for (const Row& row : judge.judge(op, one)) {
    print(row);
    wrong |= !row.verified && (row.impl == "ckl" || row.error);
  }
  if (session.gpu.emulated) fmt::print("  Under the emulator nothing is timed: its times mean nothing.\n");
  return wrong ? 1 : 0;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("run", "Run one problem: verify it, time it, compare it with the vendor");
  auto options = std::make_shared<RunOptions>();
  options->problem.add_to(*verb);
  verb->add_option("--regime", options->regime, "cold, sustained or both")->capture_default_str();
  verb->add_option("--impl", options->implementations, "Only these, e.g. ckl,cublaslt_top1")->delimiter(',');
  verb->add_flag("!--no-timing", options->timing,
                 "Verify only: each implementation runs once (on a small default problem)");
  verb->footer(
      "Examples:\n  ckl run gemm --problem 4096x2112x7168 --dtype bf16 --layout tn\n"
      "  ckl run add --problem 268435456 --dtype f32\n  ckl run gemm --device emulator\n"
      "  ckl run gemm --device reference --problem 300x200x100");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace ckl::bench
