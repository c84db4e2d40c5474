#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "timer/statistics.hpp"

namespace ckl::bench {

using Json = nlohmann::ordered_json;

/// One implementation of one problem in one regime: a line of a report.
struct Row {
  std::string op;
  std::string suite;
  Json problem;
  std::string dtype;
  std::string dtype_out;
  std::string layout;
  std::string regime;
  std::string impl;
  std::string config;
  bool verified = false;
  std::optional<double> error;          ///< In the operator's metric.
  std::optional<double> error_bound;    ///< What it may be.
  std::optional<Spread> time_us;        ///< Of one call; absent where nothing was timed.
  std::optional<double> host_us;        ///< Host time of one call.
  std::optional<double> bare_host_us;   ///< That of the bare launches it makes; on our rows.
  std::optional<double> first_call_ms;  ///< From nothing to the first result; kernels that an earlier row loaded stay.
  std::optional<double> tflops;         ///< Where arithmetic counts.
  std::optional<double> gbps;           ///< Where bytes count.
  std::optional<double> ceiling_pct;    ///< Of the ceiling measured in the same run.
  std::optional<double> datasheet_pct;  ///< Of the datasheet's.
  std::map<std::string, Spread> ratio;  ///< Time of others over ours, by name; on our rows.
  std::string note;                     ///< Why it was not measured, or what is wrong.

  /// What makes it the same line in another document.
  std::string key() const;
};

/// A benchmark's result: what a JSON file holds.
struct Document {
  Json environment = Json::object();
  std::vector<Row> rows;
};

inline constexpr int schema = 1;

Json to_json(const Row& row);
Json to_json(const Document& document);

/// Throws std::runtime_error with one sentence for what is not such a document.
Document document_from_json(const Json& json);
/// Throws UsageError for a file that cannot be read, or has no such document.
Document read_document(const std::string& path);

/// Writes `text` to `path`, as `option` asks for, in one step: a reader, or an interruption, never sees half of it.
void write_file(const std::string& option, const std::string& path, const std::string& text);

/// What a suite amounts to against one other implementation.
struct Summary {
  std::string against;        ///< E.g. "cublaslt_top1".
  std::size_t rows = 0;       ///< Of ours that were compared with it.
  double geometric_mean = 0;  ///< Of the ratios' medians.
  double minimum = 0;
  std::size_t failed = 0;      ///< Of ours that failed or are wrong: they count as rows below the target.
  double share_at_target = 0;  ///< Of rows at `target` or more.
};

inline constexpr double target = 0.95;

/// One summary for each implementation that our rows of `op` and `regime` were compared with.
std::vector<Summary> summarize(const std::vector<Row>& rows, const std::string& op, const std::string& regime);

/// The different pairs of op and regime, in order of appearance.
std::vector<std::pair<std::string, std::string>> op_regimes(const std::vector<Row>& rows);

}  // namespace ckl::bench
