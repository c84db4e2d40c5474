#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace ckl::bench {

using Json = nlohmann::ordered_json;

/// What a user or a suite asks for, as text: for each key ("problem", "dtype", "layout", ...) the values to combine.
using Choices = std::map<std::string, std::vector<std::string>>;

/// One combination of them.
using Settings = std::map<std::string, std::string>;

/// All combinations, the last key varying fastest, except that "problem" varies fastest of all: rows that differ
/// in size alone stand together.
std::vector<Settings> combinations(const Choices& choices);

/// One problem of one operator, as it is reported.
struct Case {
  std::string op;
  std::string suite;  ///< "" for a problem from the command line.
  Json problem;       ///< E.g. {"m": 512, "n": 512, "k": 512}.
  std::string dtype;
  std::string dtype_out;
  std::string layout;

  /// E.g. "gemm 512x512x512 bf16 tn".
  std::string to_string() const;
};

/// The sizes of `problem` joined by x.
std::string sizes_text(const Json& problem);

}  // namespace ckl::bench
