#include "report/document.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

Json to_json(const Spread& spread) { return {{"median", spread.median}, {"p10", spread.p10}, {"p90", spread.p90}}; }

Spread spread_from(const Json& json) { return {json.at("median"), json.at("p10"), json.at("p90")}; }

void put(Json& json, const char* key, const std::optional<double>& value) {
  if (value) json[key] = *value;
}

std::optional<double> number(const Json& json, const char* key) {
  if (!json.contains(key) || json[key].is_null()) return std::nullopt;
  return json[key].get<double>();
}

Row row_from(const Json& json) {
  Row row;
  row.op = json.at("op");
  row.suite = json.value("suite", "");
  row.problem = json.at("problem");
  row.dtype = json.at("dtype");
  row.dtype_out = json.value("dtype_out", row.dtype);
  row.layout = json.value("layout", "");
  row.regime = json.at("regime");
  row.impl = json.at("impl");
  row.config = json.value("config", "");
  row.verified = json.at("verified");
  row.error = number(json, "error");
  row.error_bound = number(json, "error_bound");
  if (json.contains("time_us")) row.time_us = spread_from(json["time_us"]);
  row.host_us = number(json, "host_us");
  row.bare_host_us = number(json, "bare_host_us");
  row.first_call_ms = number(json, "first_call_ms");
  row.tflops = number(json, "tflops");
  row.gbps = number(json, "gbps");
  row.ceiling_pct = number(json, "ceiling_pct");
  row.datasheet_pct = number(json, "datasheet_pct");
  if (json.contains("ratio"))
    for (const auto& [name, spread] : json["ratio"].items()) row.ratio[name] = spread_from(spread);
  row.note = json.value("note", "");
  return row;
}

}  // namespace

std::string Row::key() const {
  return fmt::format("{} {} {} {} {} {} {}", op, problem.dump(), dtype, dtype_out, layout, regime, impl);
}

Json to_json(const Row& row) {
  Json json = {{"op", row.op},
               {"suite", row.suite},
               {"problem", row.problem},
               {"dtype", row.dtype},
               {"dtype_out", row.dtype_out},
               {"layout", row.layout},
               {"regime", row.regime},
               {"impl", row.impl},
               {"config", row.config},
               {"verified", row.verified}};
  put(json, "error", row.error);
  put(json, "error_bound", row.error_bound);
  if (row.time_us) json["time_us"] = to_json(*row.time_us);
  put(json, "host_us", row.host_us);
  put(json, "bare_host_us", row.bare_host_us);
  put(json, "first_call_ms", row.first_call_ms);
  put(json, "tflops", row.tflops);
  put(json, "gbps", row.gbps);
  put(json, "ceiling_pct", row.ceiling_pct);
  put(json, "datasheet_pct", row.datasheet_pct);
  for (const auto& [name, spread] : row.ratio) json["ratio"][name] = to_json(spread);
  if (!row.note.empty()) json["note"] = row.note;
  return json;
}

Json to_json(const Document& document) {
  Json json = {{"schema", schema}, {"environment", document.environment}, {"rows", Json::array()}};
  for (const Row& row : document.rows) json["rows"].push_back(to_json(row));
  return json;
}

Document document_from_json(const Json& json) {
  if (!json.is_object() || !json.contains("schema") || json["schema"] != schema)
    throw std::runtime_error(fmt::format("must be a benchmark document with \"schema\": {}, got {}", schema,
                                         json.is_object() && json.contains("schema") ? json["schema"].dump() : "none"));
  Document document;
  try {
    document.environment = json.at("environment");
    for (const Json& row : json.at("rows")) document.rows.push_back(row_from(row));
  } catch (const Json::exception& error) {
    throw std::runtime_error(fmt::format("row {} is not as the schema says: {}", document.rows.size(), error.what()));
  }
  return document;
}

Document read_document(const std::string& path) {
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) throw UsageError(fmt::format("{}: cannot be read", path));
  try {
    return document_from_json(Json::parse(file));
  } catch (const Json::exception& error) {
    throw UsageError(fmt::format("{}: is not JSON: {}", path, error.what()));
  } catch (const std::runtime_error& error) {
    throw UsageError(fmt::format("{}: {}", path, error.what()));
  }
}

void write_file(const std::string& option, const std::string& path, const std::string& text) {
  const std::string unfinished = path + ".unfinished";
  std::ofstream file(unfinished, std::ios::binary);
  file << text;
  file.close();
  if (file && std::rename(unfinished.c_str(), path.c_str()) == 0) return;
  std::remove(unfinished.c_str());
  throw UsageError(fmt::format("{}: must be a file that can be written, got `{}`", option, path));
}

std::vector<Summary> summarize(const std::vector<Row>& rows, const std::string& op, const std::string& regime) {
  std::map<std::string, std::vector<double>> ratios;
  std::size_t failed = 0;
  for (const Row& row : rows) {
    if (row.op != op || row.regime != regime) continue;
    if (row.impl == "ckl" && !row.verified) ++failed;
    for (const auto& [name, spread] : row.ratio) ratios[name].push_back(spread.median);
  }

  std::vector<Summary> summaries;
  for (const auto& [name, values] : ratios) {
    const auto reached = std::count_if(values.begin(), values.end(), [](double ratio) { return ratio >= target; });
    summaries.push_back({name, values.size(), geometric_mean(values), *std::min_element(values.begin(), values.end()),
                         failed, double(reached) / double(values.size() + failed)});
  }
  return summaries;
}

std::vector<std::pair<std::string, std::string>> op_regimes(const std::vector<Row>& rows) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const Row& row : rows) {
    const std::pair<std::string, std::string> one(row.op, row.regime);
    if (std::find(found.begin(), found.end(), one) == found.end()) found.push_back(one);
  }
  return found;
}

}  // namespace ckl::bench
