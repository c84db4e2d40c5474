#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "judge/judge.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// The options that describe problems, alike in every verb.
struct ProblemOptions {
  std::string op;
  std::vector<std::string> problem, dtype, dtype_out, layout, axis, alpha, beta, epilogue;
  std::string config;
  std::string device = "0";

  void add_to(CLI::App& verb, bool with_device = true);

  /// What the user has chosen, with `op`'s defaults for the rest.
  Choices choices(const Operator& of, bool small) const;

  /// The one case they describe; throws UsageError if there are several.
  Case only_case(const Operator& of, bool small) const;

  /// The same as arguments, for a command that runs this program again.
  std::vector<std::string> arguments() const;

  bool emulator() const { return device == "emulator"; }
  bool reference() const { return device == "reference"; }

  /// The CUDA index; throws UsageError if the device is neither that nor one of the two names.
  int index() const;
};

/// What an option's number must be: more than 0, or 0 or more.
CLI::Validator positive();
CLI::Validator not_negative();

/// Runs this program again, with the emulator in the place of the CUDA runtime, if `--device emulator` asks for it
/// and this is not that run.
void enter_emulator_if_asked(const ProblemOptions& options);

/// The folder of the emulator's libcudart; throws UsageError where it was not built.
std::string emulator_folder();

/// Puts the emulator's folder at the head of the loader's search path of this process's children.
void put_emulator_first(const std::string& folder);

/// The path of this program.
std::string self_path();

/// Runs `command`, its standard output kept and returned; the exit status in `status`. The rest goes to the terminal.
std::string run_and_read(const std::vector<std::string>& command, int& status);

/// Runs `command` with this program's terminal; returns its exit status.
int run_and_show(const std::vector<std::string>& command);

/// The full path of `program` on the PATH or in the CUDA toolkit's folders, empty if there is none.
std::string find_program(const std::string& program);

std::vector<Regime> parse_regimes(const std::string& text);

}  // namespace ckl::bench
