#pragma once

/// @file
/// The verbs of the command, one file each. Every function adds one to `app`; when the user calls it, it sets `exit_code` or
/// throws: a UsageError for a wrong argument, which is 2, others for what has failed, which is 1.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace ckl::bench {

void add_info(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_candidates(CLI::App& app, int& exit_code);
void add_compile(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);
void add_profile(CLI::App& app, int& exit_code);
void add_sanitize(CLI::App& app, int& exit_code);
void add_emulate(CLI::App& app, int& exit_code);
void add_fuzz(CLI::App& app, int& exit_code);

/// Compiles GEMM kernels into the user's folder, `jobs` at a time. @throws UsageError for a config that cannot be compiled; others for
/// one that could not.
void compile_kernels(const std::vector<std::string>& configs, int jobs);
int compile_jobs();  ///< How many at a time by default: one for each of the machine's hardware threads.

}  // namespace ckl::bench
