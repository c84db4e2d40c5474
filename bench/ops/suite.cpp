#include "ops/suite.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

std::vector<std::string> texts(const YAML::Node& node) {
  if (node.IsSequence()) return node.as<std::vector<std::string>>();
  return {node.as<std::string>()};
}

Choices choices_of(const YAML::Node& entry, const Operator& op) {
  Choices choices = op.defaults(false);
  for (const auto& pair : entry)
    if (const auto key = pair.first.as<std::string>(); key != "op" && key != "impl")
      choices[pair.first.as<std::string>()] = texts(pair.second);
  return choices;
}

std::vector<SuiteCase> cases_of(const YAML::Node& suite, const std::vector<const Operator*>& ops) {
  if (!suite.IsMap() || !suite["name"] || !suite["rows"] || !suite["rows"].IsSequence())
    throw UsageError("must have a name and a list of rows");
  std::vector<SuiteCase> cases;
  int number = 0;
  for (const YAML::Node& entry : suite["rows"]) {
    ++number;
    if (!entry.IsMap() || !entry["op"]) throw UsageError(fmt::format("entry {}: must name its op", number));
    try {
      const Operator& op = find_operator(entry["op"].as<std::string>());
      if (std::find(ops.begin(), ops.end(), &op) == ops.end()) continue;
      for (const Settings& settings : combinations(choices_of(entry, op))) {
        cases.push_back({&op, op.parse(settings), entry["impl"] ? texts(entry["impl"]) : std::vector<std::string>()});
        cases.back().one.suite = suite["name"].as<std::string>();
      }
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("entry {}: {}", number, error.what()));
    }
  }
  return cases;
}

}  // namespace

std::vector<SuiteCase> parse_suite(const std::string& text, const std::string& origin,
                                   const std::vector<const Operator*>& ops) {
  try {
    return cases_of(YAML::Load(text), ops);
  } catch (const YAML::Exception& error) {
    throw UsageError(fmt::format("{}: is not a suite: {}", origin, error.what()));
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", origin, error.what()));
  }
}

std::vector<SuiteCase> read_suite(const std::string& path, const std::vector<const Operator*>& ops) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("--suite: must be a file that can be read, got `{}`", path));
  std::stringstream text;
  text << file.rdbuf();
  return parse_suite(text.str(), path, ops);
}

std::string find_suite(const std::string& name_or_path) {
  namespace fs = std::filesystem;
  if (fs::exists(name_or_path) && !fs::is_directory(name_or_path)) return name_or_path;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& folder : {program / "suites", program / "../share/ckl/suites"})
    if (fs::exists(folder / (name_or_path + ".yaml"))) return folder / (name_or_path + ".yaml");
  throw UsageError(
      fmt::format("--suite: must be a file or the name of a suite such as foundation, got `{}`", name_or_path));
}

}  // namespace ckl::bench
