#pragma once

#include <string>
#include <vector>

#include "ops/operator.hpp"

namespace ckl::bench {

/// A case and its operator.
struct SuiteCase {
  const Operator* op;
  Case one;
  std::vector<std::string> implementations;  ///< Who takes part; empty: everybody.
};

/// The cases of a suite file for the operators `ops`. The file is YAML:
///
///   name: gemm_16bit
///   rows:
///     - op: gemm
///       dtype: [bf16, f16]        # lists are combined with each other
///       layout: tn
///       problem: [512x512x512, 1024x1024x1024]
///       impl: [ckl, cublaslt_top1]  # optional: only these take part, where --impl does not say otherwise
///
/// Throws UsageError that names the file, and the entry, for anything that is not so.
std::vector<SuiteCase> read_suite(const std::string& path, const std::vector<const Operator*>& ops);

/// The same from text; `origin` is what errors call it.
std::vector<SuiteCase> parse_suite(const std::string& text, const std::string& origin,
                                   const std::vector<const Operator*>& ops);

/// Finds a suite by path, or by name ("foundation") among those that were installed or built with the command.
std::string find_suite(const std::string& name_or_path);

}  // namespace ckl::bench
