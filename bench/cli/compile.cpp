#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <regex>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "ckl/tuning.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

namespace fs = std::filesystem;

/// What ptxas says of the kernel in its log: registers, and what has been spilled.
std::string resources(const fs::path& log) {
  std::ifstream file(log);
  std::ostringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const auto number = [&](const char* pattern) {
    std::smatch found;
    return std::regex_search(all, found, std::regex(pattern)) ? found[1].str() : "?";
  };
  const std::string spilled = number("(\\d+) bytes spill stores");
  return fmt::format("{} registers a thread, {}", number("Used (\\d+) registers"),
                     spilled == "0" ? "nothing spilled" : spilled + " bytes SPILLED, which is slow");
}

}  // namespace

int compile_jobs() { return std::max(1, int(std::thread::hardware_concurrency())); }

void compile_kernels(const std::vector<std::string>& configs, int jobs) {
  for (const std::string& config : configs)
    if (const std::string obstacle = gemm_config_obstacle(config); !obstacle.empty())
      throw UsageError(fmt::format("config: must be one that can be compiled, got `{}`: {}", config, obstacle));
  const fs::path folder = compiled_kernels_folder("gemm");
  if (folder.empty())
    throw std::runtime_error(
        "the kernels must have a folder: CKL_KERNELS is empty, or neither it nor XDG_CACHE_HOME nor HOME is set");
  const fs::path compiler = fs::path(self_path()).parent_path() / "ckl-compile-kernel";
  if (!fs::exists(compiler))
    throw std::runtime_error(fmt::format("the build makes {}, but it is not there", compiler.string()));
  fs::create_directories(folder);

  Progress progress(configs.size());
  std::mutex mutex;  // of the output
  std::atomic<std::size_t> next = 0, done = 0, failed = 0;
  const auto work = [&] {
    for (std::size_t i; (i = next++) < configs.size();) {
      const auto start = std::chrono::steady_clock::now();
      const fs::path fatbin = folder / (configs[i] + ".fatbin");
      int status = 0;
      run_and_read({compiler.string(), "gemm", configs[i], fatbin.string()}, status);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::lock_guard lock(mutex);
      progress.clear();
      failed += status != 0;
      fmt::print("{}: {}\n", configs[i],
                 status
                     ? "failed, above"
                     : fmt::format("compiled in {:.0f} s, {}", seconds.count(), resources(fatbin.string() + ".log")));
      std::fflush(stdout);
      if (++done < configs.size()) progress.show(done, "compiling");
    }
  };
  progress.show(0, "compiling");
  std::vector<std::thread> threads;
  for (int i = 0; i < std::min<int>(jobs, int(configs.size())); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  if (failed)
    throw std::runtime_error(fmt::format("{} of {} kernels could not be compiled", failed.load(), configs.size()));
  fmt::print("They lie in {}\n", folder.string());
}

void add_compile(CLI::App& app, int& exit_code) {
  struct Options {
    std::string op;
    std::vector<std::string> configs;
    int jobs = compile_jobs();
  };
  CLI::App* verb = app.add_subcommand("compile", "Compile kernels that are not shipped, for this user");
  auto options = std::make_shared<Options>();
  verb->add_option("op", options->op, "Operator: gemm")->required();
  verb->add_option("config", options->configs,
                   "Configs, named as `ckl candidates gemm` shows them, but for _sk, _splitk and _pad")
      ->required();
  verb->add_option("--jobs", options->jobs, "How many are compiled at a time")->check(positive());
  verb->footer(
      "Needs nvcc and CuTe's headers, where this program was built or where CKL_CUDA_DIR and CKL_CUTLASS_DIR say. Each "
      "takes half a\n"
      "minute, and becomes a file in the folder that CKL_KERNELS names, else ckl/kernels in $XDG_CACHE_HOME or "
      "~/.cache. From then on\n"
      "it is a candidate: plans and --config may name it, and `ckl tune` measures it beside the shipped ones. Nothing "
      "takes it unasked.\n\n"
      "Example:\n  ckl compile gemm bf16_tn_256x192x64_2x1_s3_coopm f16_tn_256x192x64_2x1_s3_coopm\n"
      "  ckl tune gemm --problem 4096x2112x7168");
  verb->callback([options, &exit_code] {
    if (options->op != "gemm") throw UsageError(fmt::format("op: must be gemm, got `{}`", options->op));
    compile_kernels(options->configs, options->jobs);
    exit_code = 0;
  });
}

}  // namespace ckl::bench
