#include <memory>

#include "cli/options.hpp"
#include "cli/verbs.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {

void add_emulate(CLI::App& app, int& exit_code) {
  CLI::App* verb =
      app.add_subcommand("emulate", "Run any CUDA program with the emulator in the place of the CUDA runtime");
  auto command = std::make_shared<std::vector<std::string>>();
  verb->add_option("program", *command, "The program and its arguments, after --")->required();
  verb->footer(
      "The program must be linked against the shared CUDA runtime and embed PTX for compute_90a.\n\n"
      "Example:\n  ckl emulate -- ./my_program --its-option 3");
  verb->callback([command, &exit_code] {
    exit_code = 2;
    std::vector<std::string> words = {emulator_folder() + "/ckl-emulate"};
    words.insert(words.end(), command->begin(), command->end());
    exit_code = run_and_show(words);
  });
}

}  // namespace ckl::bench
