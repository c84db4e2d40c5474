#include <memory>

#include <fmt/format.h>

#include "cli/options.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {

void add_candidates(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("candidates", "List the configs that can serve a problem, the chosen one first");
  auto options = std::make_shared<ProblemOptions>();
  options->add_to(*verb);
  verb->footer("Example:\n  ckl candidates gemm --problem 4096x2112x7168");
  verb->callback([options, &exit_code] {
    if (options->reference())
      throw UsageError(
          "--device: must be a CUDA index or emulator for candidates, got `reference`; `ckl run` takes it");
    const Operator& op = find_operator(options->op);
    const Case one = options->only_case(op, false);
    enter_emulator_if_asked(*options);
    const int device = options->emulator() ? 0 : options->index();
    for (const std::string& config : op.candidates(one, Session(device))) fmt::print("{}\n", config);
    exit_code = 0;
  });
}

}  // namespace ckl::bench
