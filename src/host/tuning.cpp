#include "host/tuning.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "ckl/tuning.hpp"
#include "ckl/version.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/require.hpp"
#include "host/user_file.hpp"

namespace ckl {

std::string tuning_database_path() { return host::user_file("CKL_TUNING_DATABASE", "tuning.json"); }

void check_tuning_database() { host::check_tuning_file(tuning_database_path()); }

namespace host {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr int schema = 1;

Tuning parse_entry(const Json& json) {
  auto text = [&](const char* key) {
    require(json.is_object() && json.contains(key) && json[key].is_string(), "each entry must have a text \"", key,
            "\", but one is ", json.dump());
    return json[key].get<std::string>();
  };
  Tuning t;
  t.op = text("op");
  t.problem = text("problem");
  t.scope = {text("gpu"), text("library")};
  t.menu = text("menu");
  t.config = text("config");
  t.measured = text("measured");
  require(json.contains("time_us") && json["time_us"].is_number(),
          "each entry must have a number \"time_us\", but one is ", json.dump());
  t.time_us = json["time_us"].get<double>();
  return t;
}

Json to_entry(const Tuning& t) {
  return {{"op", t.op},     {"problem", t.problem}, {"gpu", t.scope.gpu},   {"library", t.scope.library},
          {"menu", t.menu}, {"config", t.config},   {"time_us", t.time_us}, {"measured", t.measured}};
}

std::string key_of(std::string_view op, const std::string& problem) { return std::string(op) + " " + problem; }

/// Holds the lock that all writers of the database at `path` take, in a file beside it, since the database itself is replaced.
class WriterLock {
 public:
  /// Makes the folder.
  explicit WriterLock(const std::string& path) {
    require(!path.empty(), "tuning database must have a path: set CKL_TUNING_DATABASE, XDG_CACHE_HOME or HOME");
    std::error_code ignored;  // what is wrong with the folder, the lock will say
    fs::create_directories(fs::path(path).parent_path(), ignored);
    file_ = open((path + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    require(file_ >= 0 && flock(file_, LOCK_EX) == 0, "tuning database must be in a folder that can be written, but ",
            path, ".lock cannot be locked: ", std::strerror(errno));
  }
  ~WriterLock() { close(file_); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  int file_ = -1;
};

/// Replaces the file in one step: whoever reads it sees all of the old one or all of the new one.
void replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int file = open(fresh.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
  bool written = file >= 0;
  for (std::size_t at = 0; written && at < text.size();) {
    const ssize_t count = write(file, text.data() + at, text.size() - at);
    written = count > 0;
    if (written) at += std::size_t(count);
  }
  written = written && fsync(file) == 0;
  if (file >= 0) close(file);
  written = written && std::rename(fresh.c_str(), path.c_str()) == 0;
  require(written, "tuning database must be writable, but ", path, " is not: ", std::strerror(errno));
}

}  // namespace

TuningDatabase TuningDatabase::parse(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  require(!json.is_discarded(), "tuning database must be JSON, but is not");
  require(json.is_object() && json.contains("schema") && json["schema"] == schema,
          "tuning database must have \"schema\": ", schema, ", but has another or none");
  require(json.contains("entries") && json["entries"].is_array(),
          "tuning database must have a list \"entries\", but has none");
  TuningDatabase database;
  for (const Json& entry : json["entries"]) database.put(parse_entry(entry));
  return database;
}

std::string TuningDatabase::to_json() const {
  Json entries = Json::array();
  for (const auto& [key, tunings] : by_problem_)
    for (const Tuning& t : tunings) entries.push_back(to_entry(t));
  return Json{{"schema", schema}, {"entries", entries}}.dump(1) + "\n";
}

void TuningDatabase::put(const Tuning& tuning) {
  std::vector<Tuning>& same = by_problem_[key_of(tuning.op, tuning.problem)];
  const auto at = std::find_if(same.begin(), same.end(), [&](const Tuning& t) { return t.scope == tuning.scope; });
  if (at == same.end())
    same.push_back(tuning);
  else
    *at = tuning;
}

void TuningDatabase::merge(const TuningDatabase& newer) {
  for (const auto& [key, tunings] : newer.by_problem_)
    for (const Tuning& t : tunings) put(t);
}

TuningDatabase::Answer TuningDatabase::find(std::string_view op, const std::string& problem,
                                            const TuningScope& scope) const {
  const auto found = by_problem_.find(key_of(op, problem));
  if (found == by_problem_.end()) return {nullptr, ""};
  for (const Tuning& t : found->second)
    if (t.scope == scope) return {&t, ""};
  const TuningScope& other = found->second.back().scope;
  const std::string what = other.gpu != scope.gpu ? "GPU, " + other.gpu : "version of the library, " + other.library;
  return {nullptr, "the tuning database has this problem for another " + what};
}

std::size_t TuningDatabase::size() const {
  std::size_t count = 0;
  for (const auto& [key, tunings] : by_problem_) count += tunings.size();
  return count;
}

TuningScope tuning_scope(const std::string& gpu) { return {gpu, version()}; }

std::string menu_hash(const std::string& op) {
  std::vector<std::string> names = shipped_configs(op.c_str());
  std::sort(names.begin(), names.end());
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const std::string& name : names)
    for (char c : name + "\n") hash = (hash ^ std::uint8_t(c)) * 0x100000001b3;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

TuningDatabase read_tuning_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  return TuningDatabase::parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

const TuningDatabase& tuning_database() {
  static const TuningDatabase database = [] {
    TuningDatabase all = TuningDatabase::parse(kShippedTuning);
    const std::string path = tuning_database_path();
    try {
      if (!path.empty()) all.merge(read_tuning_file(path));
    } catch (const std::exception& error) {
      if (log_plans()) log_line("the tuning database " + path + " is ignored: " + error.what());
    }
    return all;
  }();
  return database;
}

void store_tuning(const std::string& path, const Tuning& tuning) {
  const WriterLock lock(path);
  TuningDatabase database = read_tuning_file(path);
  database.put(tuning);
  replace_file(path, database.to_json());
}

void check_tuning_file(const std::string& path) {
  const WriterLock lock(path);  // what can be locked can be replaced: both take a new file in its folder
  read_tuning_file(path);
}

}  // namespace host
}  // namespace ckl
