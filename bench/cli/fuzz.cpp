#include <cuda_runtime_api.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ckl/device.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "fuzz/fuzz_case.hpp"
#include "fuzz/worker.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

struct FuzzOptions {
  ProblemOptions problem;  // its op and device
  std::int64_t count = 1000;
  std::uint64_t seed = 1;
  double seconds = 0;  // 0: as long as it takes
  double patience = 120;
  std::string text;  // --case
};

constexpr const char* no_device = "no device: ";

/// Case number `number` of a seed, whatever came before it.
FuzzCase drawn(const FuzzTarget& target, const FuzzOptions& options, std::int64_t number) {
  reference::Draw draw(options.seed * 0x9e3779b97f4a7c15 + std::uint64_t(number));
  return target.draw(draw, options.problem.emulator());
}

/// In the child: makes the device ready. Throws with `no_device` where there is nothing to run on.
void enter_device(const FuzzOptions& options) {
  const int index = options.problem.emulator() ? 0 : options.problem.index();
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || index >= count || !supported(index))
    throw std::runtime_error(
        fmt::format("{}--device: must be a Hopper GPU of compute capability 9.0, or emulator, got `{}`", no_device,
                    options.problem.device));
  cudaSetDevice(index);
}

/// What the case leaves to complain about; a fault of the device counts. Runs in a child.
std::string complaint_about(const FuzzTarget& target, const FuzzCase& one, const FuzzOptions& options, bool quiet) {
  std::string complaint;
  const std::string fate = run_in_child(
      options.patience, quiet,
      [&](const auto& send) {
        enter_device(options);
        send(target.run(one));
      },
      [&](const std::string& line) {
        complaint = line;
        return true;
      });
  return complaint.empty() ? fate : complaint;
}

/// The emulator's variables as they are set, "CKL_EMU_MODE=late ": a failure may need them.
std::string emulator_variables() {
  std::vector<std::string> set;
  for (char** variable = environ; *variable; ++variable)
    if (std::string_view(*variable).starts_with("CKL_EMU_")) set.emplace_back(*variable);
  std::sort(set.begin(), set.end());
  return set.empty() ? "" : fmt::format("{} ", fmt::join(set, " "));
}

/// The command that does `what`, "--case m=65", as this one was started.
std::string command(const FuzzOptions& options, const std::string& what) {
  return fmt::format("{}ckl fuzz {}{} {}", options.problem.emulator() ? emulator_variables() : "", options.problem.op,
                     options.problem.device == "0" ? "" : " --device " + options.problem.device, what);
}

std::string command_of(const FuzzOptions& options, const FuzzCase& one) {
  return command(options, "--case " + one.to_string());
}

struct Failure {
  std::int64_t number;
  std::string complaint;
};

/// Runs cases one after the other in a child, until one fails, all are done or the time is over. `done` counts them.
std::optional<Failure> first_failure(const FuzzTarget& target, const FuzzOptions& options, std::int64_t& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.seconds);
  const auto in_time = [&] { return options.seconds <= 0 || std::chrono::steady_clock::now() < deadline; };
  Progress progress(std::size_t(options.count));
  std::string complaint;
  const std::string fate = run_in_child(
      options.patience, false,
      [&](const auto& send) {
        enter_device(options);
        for (std::int64_t i = 0; i < options.count && in_time(); ++i) send(target.run(drawn(target, options, i)));
      },
      [&](const std::string& line) {
        complaint = line;
        if (!complaint.empty()) return false;
        progress.show(std::size_t(++done), options.problem.op);
        return true;
      });
  progress.clear();
  if (complaint.rfind(no_device, 0) == 0) throw UsageError(complaint.substr(std::string(no_device).size()));
  if (complaint.empty() && fate.empty()) return {};
  return Failure{done, complaint.empty() ? fate : complaint};
}

int run_one(const FuzzTarget& target, const FuzzOptions& options) {
  reference::Draw draw(0);
  const FuzzCase one = FuzzCase::parse(target.draw(draw, true), options.text);
  const std::string complaint = complaint_about(target, one, options, false);
  if (complaint.rfind(no_device, 0) == 0) throw UsageError(complaint.substr(std::string(no_device).size()));
  fmt::print("{} {}: {}\n", options.problem.op, one.to_string(), complaint.empty() ? "right" : complaint);
  return complaint.empty() ? 0 : 1;
}

/// Prints the failure and the simplest problem that fails too, with the commands that repeat them.
void explain(const FuzzTarget& target, const FuzzOptions& options, const Failure& failure) {
  const FuzzCase one = drawn(target, options, failure.number);
  fmt::print("{}: number {} of seed {} fails: {}\n  {}\n", options.problem.op, failure.number, options.seed,
             failure.complaint, command_of(options, one));
  std::fflush(stdout);
  std::string last = complaint_about(target, one, options, true);
  if (last.empty()) {
    fmt::print("alone it is right: it fails only after those before it\n  {}\n",
               command(options, fmt::format("--seed {} --count {}", options.seed, failure.number + 1)));
    return;
  }
  fmt::print("looking for a simpler one ...\n");
  std::fflush(stdout);
  const FuzzCase simplest = shrink(one, [&](const FuzzCase& simpler) {
    const std::string complaint = complaint_about(target, simpler, options, true);
    if (!complaint.empty()) last = complaint;
    return !complaint.empty();
  });
  fmt::print("the simplest found: {}\n  {}\n", last, command_of(options, simplest));
}

/// Whether everything that is drawn for this target is right.
bool fuzz(const FuzzTarget& target, const FuzzOptions& options) {
  std::int64_t done = 0;
  if (const std::optional<Failure> failure = first_failure(target, options, done)) {
    explain(target, options, *failure);
    return false;
  }
  fmt::print("{}: {} of seed {} {} right\n", target.name(), done == 1 ? "1 problem" : fmt::format("{} problems", done),
             options.seed, done == 1 ? "is" : "are");
  std::fflush(stdout);
  return true;
}

int fuzz(FuzzOptions options) {
  const std::vector<const FuzzTarget*> targets = find_fuzz_targets(options.problem.op);
  if (!options.text.empty() && targets.size() > 1)
    throw UsageError(fmt::format("--case: is a problem of one operator, got `{}` for all", options.text));
  if (options.problem.reference())
    throw UsageError("--device: must be a CUDA index or emulator for fuzz, got `reference`, which is the oracle");
  if (!options.problem.emulator()) options.problem.index();
  enter_emulator_if_asked(options.problem);
  if (!options.text.empty()) return run_one(*targets.front(), options);

  bool right = true;
  for (const FuzzTarget* target : targets) {
    options.problem.op = target->name();  // as it stands in the commands that are printed
    right &= fuzz(*target, options);
  }
  return right ? 0 : 1;
}

}  // namespace

void add_fuzz(CLI::App& app, int& exit_code) {
  CLI::App* verb =
      app.add_subcommand("fuzz", "Draw problems, well formed and malformed, and look for one that goes wrong");
  auto options = std::make_shared<FuzzOptions>();
  verb->add_option(
          "op", options->problem.op,
          "The operator: gemm, add, elementwise, reduce, softmax, norm, cross_entropy, cross_entropy_backward, or all")
      ->required();
  verb->add_option("--device", options->problem.device, "CUDA index, or emulator")->capture_default_str();
  verb->add_option("--count", options->count, "How many problems of each operator")
      ->capture_default_str()
      ->check(positive());
  verb->add_option("--seed", options->seed, "What they are drawn from; the same seed draws the same problems")
      ->capture_default_str()
      ->check(not_negative());
  verb->add_option("--seconds", options->seconds, "Stop an operator's problems after so many seconds [no limit]")
      ->check(not_negative());
  verb->add_option("--patience", options->patience, "Seconds after which a problem counts as hanging")
      ->capture_default_str()
      ->check(positive());
  verb->add_option("--case", options->text, "Run this one problem, in the words that a failure is printed with");
  verb->footer(
      "Sizes, strides, alignments, types, scalars, special values and configs are drawn; results are compared with the "
      "double-\n"
      "precision oracle, with guard bands around every tensor, and a malformed problem must be refused before anything "
      "is\n"
      "written. A failure is shrunk to the simplest problem that still fails, and printed as the command that repeats "
      "it.\n\n"
      "Examples:\n  ckl fuzz all --count 10000\n  ckl fuzz add --device emulator --seed 7 --seconds 60\n"
      "  ckl fuzz gemm --device emulator --case m=65,n=9,k=3,a_offset=1");
  verb->callback([options, &exit_code] { exit_code = fuzz(*options); });
}

}  // namespace ckl::bench
