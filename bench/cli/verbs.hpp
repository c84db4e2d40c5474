#pragma once

/// @file
/// The verbs of the command, one file each. Every function adds one to `app`; when the user calls it, it sets
/// `exit_code` or throws.

#include <CLI/CLI.hpp>

namespace ckl::bench {

void add_info(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_candidates(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);
void add_profile(CLI::App& app, int& exit_code);
void add_sanitize(CLI::App& app, int& exit_code);
void add_emulate(CLI::App& app, int& exit_code);
void add_fuzz(CLI::App& app, int& exit_code);

}  // namespace ckl::bench
