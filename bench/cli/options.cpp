#include "cli/options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "ops/gemm_epilogue.hpp"
#include "ops/parse.hpp"
#include "timer/cuda.hpp"

#include <sys/wait.h>
#include <unistd.h>

namespace ckl::bench {
namespace fs = std::filesystem;

void ProblemOptions::add_to(CLI::App& verb, bool with_device) {
  verb.add_option("op", op,
                  "The operator: gemm, add and the other elementwise functions, cross_entropy, cross_entropy_backward, "
                  "norm, norm_backward, "
                  "reduce, softmax, softmax_backward")
      ->required();
  const auto list = [&](const char* name, std::vector<std::string>& values, const char* help) {
    verb.add_option(name, values, help)->delimiter(',');
  };
  list("--problem", problem, "Sizes, e.g. 4096x2112x7168 (MxNxK) for gemm, 16384x4096 for the others");
  list("--dtype", dtype, "Type of the inputs: bf16, f16, f32 (not gemm); elementwise also e4m3, e5m2, i64, i32, b8");
  list("--dtype-out", dtype_out, "Type of the output, of gemm, norm and elementwise functions [that of the inputs]");
  list("--layout", layout,
       "gemm: tn, nn, nt, tt; elementwise: contiguous, broadcast, strided, transposed; cross_entropy: plain, smoothed; "
       "norm: "
       "layer, rms, rms_add; norm_backward: layer, rms; softmax: plain, log, masked, causal; reduce: sum, max, argmax "
       "and the other "
       "reductions (its error lists "
       "them)");
  list("--axis", axis,
       "The dimension that softmax sums over [the last]; of reduce: all, or dimensions such as 0+2 [all]");
  list("--alpha", alpha, "Scale of a gemm's product, or of what softmax is taken of [1]");
  list("--beta", beta, "Scale of a gemm's addend [0]");
  list("--epilogue", epilogue, std::string("What is fused into a gemm: ").append(epilogue_words).c_str());
  verb.add_option("--config", config,
                  "Config of the library to force; `ckl candidates` lists them; all (gemm, reduce, cross_entropy, "
                  "norm): each of them "
                  "in turn");
  if (with_device)
    verb.add_option("--device", device, "CUDA index, emulator, or reference (run only)")->capture_default_str();
}

namespace {

/// The options that are keys of a case.
std::vector<std::pair<const char*, const std::vector<std::string>*>> keys(const ProblemOptions& options) {
  return {{"problem", &options.problem}, {"dtype", &options.dtype},      {"dtype-out", &options.dtype_out},
          {"layout", &options.layout},   {"axis", &options.axis},        {"alpha", &options.alpha},
          {"beta", &options.beta},       {"epilogue", &options.epilogue}};
}

}  // namespace

Choices ProblemOptions::choices(const Operator& of, bool small) const {
  Choices choices = of.defaults(small);
  for (const auto& [key, values] : keys(*this))
    if (!values->empty()) choices[key] = *values;
  return choices;
}

Case ProblemOptions::only_case(const Operator& of, bool small) const {
  const std::vector<Settings> settings = combinations(choices(of, small));
  if (settings.size() != 1)
    throw UsageError(
        fmt::format("--problem: must describe one problem here, got {}; `ckl bench` takes several", settings.size()));
  return of.parse(settings.front());
}

std::vector<std::string> ProblemOptions::arguments() const {
  std::vector<std::string> words = {op};
  for (const auto& [key, values] : keys(*this))
    for (const std::string& value : *values) words.insert(words.end(), {fmt::format("--{}", key), value});
  if (!config.empty()) words.insert(words.end(), {"--config", config});
  words.insert(words.end(), {"--device", device});
  return words;
}

int ProblemOptions::index() const {
  int value = -1;
  const auto [next, code] = std::from_chars(device.data(), device.data() + device.size(), value);
  if (code != std::errc() || next != device.data() + device.size() || value < 0)
    throw UsageError(fmt::format("--device: must be a CUDA index, emulator or reference, got `{}`", device));
  return value;
}

namespace {

CLI::Validator number_that(const char* name, const char* requirement, bool (*holds)(double)) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool is_right = code == std::errc() && end == text.data() + text.size() && holds(value);
        return is_right ? "" : fmt::format("must be a number {}, got `{}`", requirement, text);
      },
      name);
}

}  // namespace

CLI::Validator positive() {
  return number_that("POSITIVE", "above 0", [](double x) { return x > 0; });
}
CLI::Validator not_negative() {
  return number_that("NONNEGATIVE", "that is 0 or more", [](double x) { return x >= 0; });
}

std::string self_path() { return fs::read_symlink("/proc/self/exe").string(); }

std::string emulator_folder() {
  const fs::path program = fs::path(self_path()).parent_path();
  for (const fs::path& folder : {program / "../emulator", program / "../lib/ckl/emulator"})
    if (fs::exists(folder / "libcudart.so.13")) return fs::canonical(folder).string();
  throw UsageError(
      fmt::format("the emulator is not there: libcudart.so.13 must lie in ../emulator or ../lib/ckl/emulator as seen "
                  "from the folder of {}; build the emulator",
                  self_path()));
}

void put_emulator_first(const std::string& folder) {
  const char* const others = std::getenv("LD_LIBRARY_PATH");
  const std::string path = others && *others ? folder + ":" + others : folder;
  setenv("LD_LIBRARY_PATH", path.c_str(), 1);
}

namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> all;
  for (const std::string& word : words) all.push_back(const_cast<char*>(word.c_str()));
  all.push_back(nullptr);
  return all;
}

/// The words of this process's command line.
std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

}  // namespace

void enter_emulator_if_asked(const ProblemOptions& options) {
  if (!options.emulator()) return;
  if (fs::path(cuda_runtime_folder()).filename() == "emulator") return;
  if (std::getenv("CKL_ENTERED_EMULATOR"))
    throw std::runtime_error("the emulator's libcudart.so.13 is there, but the loader took another: " +
                             cuda_runtime_folder());
  put_emulator_first(emulator_folder());
  setenv("CKL_ENTERED_EMULATOR", "1", 1);
  const std::vector<std::string> words = own_arguments();
  execv(self_path().c_str(), pointers(words).data());
  throw std::runtime_error("this program cannot be run again under the emulator");
}

int run_and_show(const std::vector<std::string>& command) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execvp(command.front().c_str(), pointers(command).data());
    std::fprintf(stderr, "ckl: %s cannot be run\n", command.front().c_str());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string run_and_read(const std::vector<std::string>& command, int& status) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe could be made");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execvp(command.front().c_str(), pointers(command).data());
    _exit(127);
  }
  close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t count; (count = read(ends[0], piece, sizeof(piece))) > 0;) text.append(piece, std::size_t(count));
  close(ends[0]);
  waitpid(child, &status, 0);
  status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return text;
}

std::string find_program(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::string folders = path ? path : "";
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* root = std::getenv(variable)) folders += std::string(":") + root + "/bin";
  folders += ":/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer";
  for (std::size_t begin = 0; begin <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string file = folders.substr(begin, end - begin) + "/" + program;
    if (access(file.c_str(), X_OK) == 0) return file;
    begin = end + 1;
  }
  return "";
}

std::vector<Regime> parse_regimes(const std::string& text) {
  parse_choice("regime", text, {"cold", "sustained", "both"});
  if (text == "cold") return {Regime::cold};
  if (text == "sustained") return {Regime::sustained};
  return {Regime::cold, Regime::sustained};
}

}  // namespace ckl::bench
