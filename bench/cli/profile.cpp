#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/options.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"
#include "report/profile.hpp"

namespace ckl::bench {
namespace {

/// A file name of this process's own; the file is removed at the end.
class TemporaryFile {
 public:
  TemporaryFile() : path_(std::filesystem::temp_directory_path() / fmt::format("ckl-profile-{}.csv", getpid())) {}
  ~TemporaryFile() { std::filesystem::remove(path_, ignored_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::string path() const { return path_.string(); }
  std::string text() const {
    std::ifstream file(path_);
    std::stringstream stream;
    stream << file.rdbuf();
    return stream.str();
  }

 private:
  std::filesystem::path path_;
  std::error_code ignored_;
};

/// The options with every choice made, so that the profiled program runs this very problem.
ProblemOptions settled(ProblemOptions options) {
  const Operator& op = find_operator(options.op);
  options.only_case(op, false);  // throws where there is not one problem
  const Choices choices = options.choices(op, false);
  options.problem = choices.at("problem");
  options.dtype = choices.at("dtype");
  options.layout = choices.at("layout");
  return options;
}

void print_line(const char* label, double value, const char* unit) {
  if (value >= 0)
    fmt::print("  {:<22}{:.1f} {}\n", label, value, unit);
  else
    fmt::print("  {:<22}not counted\n", label);
}

void print(const Profile& profile) {
  fmt::print("{}\n", profile.kernel);
  print_line("time under the profiler", profile.microseconds, "us");
  print_line("tensor pipe busy", profile.tensor_pct, "%");
  print_line("device memory", profile.dram_pct, "% of its throughput");
  print_line("L2", profile.l2_pct, "% of its throughput");
  print_line("L2 hit rate", profile.l2_hit_pct, "%");
  for (std::size_t i = 0; i < std::min<std::size_t>(3, profile.stalls.size()); ++i)
    fmt::print("  {:<22}{} ({:.2f} warps per issue)\n", i == 0 ? "warps wait for" : "", profile.stalls[i].first,
               profile.stalls[i].second);
  fmt::print("{}\n", bottleneck(profile));
}

int profile(const ProblemOptions& options) {
  if (options.emulator() || options.reference())
    throw UsageError(fmt::format("--device: must be a GPU for profile, got `{}`", options.device));
  options.index();
  const ProblemOptions problem = settled(options);
  const std::string ncu = find_program("ncu");
  if (ncu.empty()) throw std::runtime_error("Nsight Compute (ncu) was not found; install it or put it on the PATH");

  TemporaryFile log;
  std::vector<std::string> command = {
      ncu,     "--set",  "full", "--clock-control", "none",     "--kernel-name", "regex:^ckl_", "--launch-count", "1",
      "--csv", "--page", "raw",  "--log-file",      log.path(), self_path(),     "run"};
  for (const std::string& word : problem.arguments()) command.push_back(word);
  command.insert(command.end(), {"--impl", "ckl", "--no-timing"});
  int status = 0;
  const std::string output = run_and_read(command, status);
  const std::string text = log.text();
  if (text.find("ERR_NVGPUCTRPERM") != std::string::npos)
    throw std::runtime_error(
        "the GPU's counters may be read by administrators only on this machine "
        "(see https://developer.nvidia.com/ERR_NVGPUCTRPERM)");
  const std::vector<Counters> kernels = parse_ncu_csv(text);
  if (kernels.empty())
    throw std::runtime_error(fmt::format("ncu profiled no kernel (exit code {}):\n{}{}", status, output, text));
  fmt::print("{}", output);
  for (const Counters& counters : kernels) print(profile_of(counters));
  return status;
}

}  // namespace

void add_profile(CLI::App& app, int& exit_code) {
  CLI::App* verb =
      app.add_subcommand("profile", "Show what bounds the library's kernel on one problem, with Nsight Compute");
  auto options = std::make_shared<ProblemOptions>();
  options->add_to(*verb);
  verb->footer(
      "The clocks are left as they are. Lines of a kernel are named where it was compiled with CKL_LINEINFO.\n\n"
      "Example:\n  ckl profile gemm --problem 8192x8192x8192 --dtype bf16");
  verb->callback([options, &exit_code] { exit_code = profile(*options); });
}

}  // namespace ckl::bench
