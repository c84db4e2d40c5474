#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>

#include <fmt/format.h>

#include "ckl/tuning.hpp"
#include "cli/interrupt.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/selection.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"
#include "timer/statistics.hpp"

namespace ckl::bench {
namespace {

/// How many of the candidates are measured thoroughly, after all have been ranked in short.
constexpr std::size_t finalists = 6;

/// What the tuning of one case has found.
struct Winner {
  std::string config;
  double time_us = 0;
  std::string chosen;  ///< What the library would have taken.
  double chosen_us = 0;
  std::size_t candidates = 0;
};

std::vector<double> median_us(const Workload& workload, const std::vector<std::size_t>& which, Effort effort,
                              const Kernels& kernels) {
  std::vector<Launch> launches;
  for (std::size_t i : which) launches.push_back(workload.implementations[i].launch);
  std::vector<double> medians;
  for (const Samples& samples : time_interleaved(launches, workload.sets, Regime::cold, effort, kernels))
    medians.push_back(quantile(samples.all_us, 0.5));
  return medians;
}

/// Times all candidates of `one` side by side, then the best of them once more, verified.
Winner tune_case(const Operator& op, const Case& one, const Session& session) {
  const std::unique_ptr<Workload> workload = op.prepare(one, session);
  const auto& candidates = workload->implementations;
  if (candidates.empty())
    throw std::runtime_error(workload->absent.empty() ? "there is nothing to choose" : workload->absent.front().reason);
  for (const Implementation& candidate : candidates) candidate.launch(0, nullptr);
  check(cudaDeviceSynchronize(), "the candidates");

  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t(0));
  const std::vector<double> first = median_us(*workload, order, Effort::selection, session.kernels);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return first[x] < first[y]; });
  order.resize(std::min(order.size(), finalists));
  if (std::find(order.begin(), order.end(), std::size_t(0)) == order.end()) order.push_back(0);  // the library's choice
  for (std::size_t i : order) {
    const Verdict verdict = workload->verify(candidates[i]);
    if (!verdict.right) throw std::runtime_error(fmt::format("{} is wrong: {}", candidates[i].config, verdict.what));
  }

  const std::vector<double> last = median_us(*workload, order, Effort::quick, session.kernels);
  const std::size_t best = std::size_t(std::min_element(last.begin(), last.end()) - last.begin());
  const std::size_t chosen = std::size_t(std::find(order.begin(), order.end(), std::size_t(0)) - order.begin());
  return {candidates[order[best]].config, last[best], candidates[0].config, last[chosen], candidates.size()};
}

int tune(const ProblemOptions& options, const std::string& suite, const std::vector<std::string>& to_compile) {
  if (options.emulator() || options.reference())
    throw UsageError(fmt::format(
        "--device: must be a CUDA index for tune, since only a GPU's times mean something, got `{}`", options.device));
  if (!options.config.empty())
    throw UsageError(fmt::format("--config: cannot be forced, all are measured, got `{}`", options.config));
  const std::vector<SuiteCase> cases = selected_cases(options, suite);
  for (const SuiteCase& one : cases)
    if (!one.op->can_be_tuned())
      throw UsageError(fmt::format("op: must be one that has configs to tune, such as gemm, got `{}`", one.op->name()));
  Session session(options.index());
  if (session.gpu.emulated) throw std::runtime_error("tune needs a GPU: the times of the emulator mean nothing");
  check_tuning_database();
  if (!to_compile.empty()) compile_kernels(to_compile, compile_jobs());
  session.config = "all";
  session.only = {"ckl"};
  listen_for_interrupts();
  Progress progress(cases.size());
  bool failed = false;
  for (std::size_t i = 0; i < cases.size() && !interrupted(); ++i) {
    const auto& [op, one, ignored] = cases[i];
    progress.show(i, one.to_string());
    try {
      const Winner winner = tune_case(*op, one, session);
      op->store_tuning(one, session, winner.config, winner.time_us);  // at once, so that an interruption loses nothing
      progress.clear();
      fmt::print("{}: {} {:.2f} us, best of {}; chosen until now {} {:.2f} us, {:.3f} times as long\n", one.to_string(),
                 winner.config, winner.time_us, winner.candidates, winner.chosen, winner.chosen_us,
                 winner.chosen_us / winner.time_us);
    } catch (const std::exception& error) {
      cudaGetLastError();
      check(cudaDeviceSynchronize(), "the GPU");  // if it has failed, so does all that follows
      progress.clear();
      fmt::print("{}: failed: {}\n", one.to_string(), error.what());
      failed = true;
    }
    std::fflush(stdout);
  }
  fmt::print("The tuning database is {}\n", tuning_database_path());
  if (interrupted()) {
    fmt::print(stderr, "ckl: interrupted; what is finished is stored\n");
    return 130;
  }
  return failed ? 1 : 0;
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("tune", "Find the fastest config for your problems on this GPU, and remember it");
  auto options = std::make_shared<ProblemOptions>();
  auto suite = std::make_shared<std::string>();
  auto to_compile = std::make_shared<std::vector<std::string>>();
  options->add_to(*verb);
  verb->get_option("op")->description("The operator: gemm");
  verb->add_option("--suite", *suite, "Name or file of a suite (YAML); --dtype and --layout choose among its rows");
  verb->add_option("--compile", *to_compile, "Configs to compile first, as `ckl compile` does")->delimiter(',');
  verb->footer(
      "All candidates are timed side by side with cold operands, the best of them once more and verified. The winner "
      "is stored in\n"
      "the user's tuning database, which the library reads before it asks its own model: the file that "
      "CKL_TUNING_DATABASE\n"
      "names, else ckl/tuning.json in $XDG_CACHE_HOME or ~/.cache. It holds for this GPU model and this version of the "
      "library.\n"
      "CKL_LOG=plan tells, of any program that uses the library, by what each plan was chosen.\n\n"
      "Examples:\n  ckl tune gemm --problem 4096x2112x7168,8192x8192x8192 --dtype bf16\n"
      "  ckl tune gemm --suite my_model.yaml\n"
      "  ckl tune gemm --problem 4096x2112x7168 --compile bf16_tn_256x192x64_2x1_s3_coopm");
  verb->callback([options, suite, to_compile, &exit_code] { exit_code = tune(*options, *suite, *to_compile); });
}

}  // namespace ckl::bench
