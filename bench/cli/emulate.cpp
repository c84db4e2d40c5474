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
      "The program needs no change; it must link the shared CUDA runtime and embed PTX:\n"
      "  nvcc -cudart shared -lineinfo -gencode arch=compute_90a,code=[sm_90a,compute_90a] my_program.cu -o "
      "my_program\n"
      "Hazards are reported on stderr with their source lines, and the launch fails. CKL_EMU_MODE=late (or random) "
      "completes\n"
      "asynchronous work as late as it may (in any order); docs/emulator.md lists all variables.\n\n"
      "Exit code: the program's own; 126 if it cannot be run under the emulator, 127 if it is not there.\n\n"
      "Examples:\n  ckl emulate -- ./my_program --its-option 3\n"
      "  CKL_EMU_MODE=late,random CKL_EMU_SEED=7 ckl emulate -- ./my_program");
  verb->callback([command, &exit_code] {
    std::vector<std::string> words = {emulator_folder() + "/ckl-emulate"};
    words.insert(words.end(), command->begin(), command->end());
    exit_code = run_and_show(words);
  });
}

}  // namespace ckl::bench
