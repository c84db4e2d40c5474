#include <memory>

#include <fmt/format.h>

#include "cli/options.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

struct SanitizeOptions {
  ProblemOptions problem;
  std::vector<std::string> tools = {"memcheck", "racecheck", "synccheck", "initcheck"};
};

/// The program that is checked: the library on one problem, verified and not timed.
std::vector<std::string> checked_run(const ProblemOptions& options) {
  std::vector<std::string> command = {self_path(), "run"};
  for (const std::string& word : options.arguments()) command.push_back(word);
  command.insert(command.end(), {"--impl", "ckl", "--no-timing"});
  return command;
}

int sanitize(const SanitizeOptions& options) {
  if (options.problem.reference())
    throw UsageError("--device: must be a CUDA index or emulator for sanitize, got `reference`");
  options.problem.only_case(find_operator(options.problem.op), true);
  // The emulator checks every access by itself, and reports what it finds as an error.
  if (options.problem.emulator()) return run_and_show(checked_run(options.problem));

  options.problem.index();
  const std::string sanitizer = find_program("compute-sanitizer");
  if (sanitizer.empty()) throw std::runtime_error("compute-sanitizer was not found; install it or put it on the PATH");
  int worst = 0;
  for (const std::string& tool : options.tools) {
    std::vector<std::string> command = {sanitizer, "--tool", tool, "--error-exitcode", "99"};
    for (const std::string& word : checked_run(options.problem)) command.push_back(word);
    const int status = run_and_show(command);
    fmt::print("{}: {}\n", tool,
               status == 0    ? "nothing found"
               : status == 99 ? "FOUND ERRORS, above"
                              : "FAILED, above");
    worst = status == 0 ? worst : 1;
  }
  return worst;
}

}  // namespace

void add_sanitize(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("sanitize", "Run one problem under compute-sanitizer's tools");
  auto options = std::make_shared<SanitizeOptions>();
  options->problem.add_to(*verb);
  verb->add_option("--tool", options->tools, "Some of memcheck, racecheck, synccheck, initcheck")
      ->delimiter(',')
      ->check(CLI::IsMember({"memcheck", "racecheck", "synccheck", "initcheck"}));
  verb->footer(
      "Without --problem a small one is taken. Under the emulator its own checks take the place of the tools.\n\n"
      "Example:\n  ckl sanitize gemm --problem 300x520x200 --tool memcheck,racecheck");
  verb->callback([options, &exit_code] { exit_code = sanitize(*options); });
}

}  // namespace ckl::bench
