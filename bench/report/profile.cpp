#include "report/profile.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include <fmt/format.h>

namespace ckl::bench {
namespace {

/// The fields of one line in which every field is quoted.
std::vector<std::string> quoted_fields(const std::string& line) {
  std::vector<std::string> fields;
  bool inside = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '"') {
      if (inside) fields.back() += line[i];
    } else if (inside && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += line[i++];  // a quote is written twice
    } else {
      inside = !inside;
      if (inside) fields.emplace_back();
    }
  }
  return fields;
}

/// "1,234.5" as a number, -1 for what is none.
double number(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), ','), text.end());
  double value = -1;
  const auto [next, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && next == text.data() + text.size() ? value : -1;
}

double value_of(const Counters& counters, const std::string& name) {
  const auto found = counters.find(name);
  return found == counters.end() ? -1 : number(found->second);
}

/// The largest of the percentages whose name contains `part`: the pipe has one counter for each kind of instruction.
double largest_pct(const Counters& counters, const std::string& part) {
  double largest = -1;
  for (const auto& [name, value] : counters)
    if (name.find(part) != std::string::npos && name.find("pct_of_peak_sustained_active") != std::string::npos)
      largest = std::max(largest, number(value));
  return largest;
}

double microseconds_of(const Counters& counters) {
  const double value = value_of(counters, "gpu__time_duration.sum");
  const auto unit = counters.find("unit of gpu__time_duration.sum");
  if (value < 0 || unit == counters.end()) return -1;
  if (unit->second == "ns" || unit->second == "nsecond") return value * 1e-3;
  if (unit->second == "ms" || unit->second == "msecond") return value * 1e3;
  if (unit->second == "us" || unit->second == "usecond") return value;
  return -1;
}

std::vector<std::pair<std::string, double>> stalls_of(const Counters& counters) {
  const std::string begin = "smsp__average_warps_issue_stalled_", end = "_per_issue_active.ratio";
  std::vector<std::pair<std::string, double>> stalls;
  for (const auto& [name, value] : counters)
    if (name.rfind(begin, 0) == 0 && name.size() > end.size() &&
        name.compare(name.size() - end.size(), end.size(), end) == 0)
      stalls.emplace_back(name.substr(begin.size(), name.size() - begin.size() - end.size()), number(value));
  std::sort(stalls.begin(), stalls.end(), [](const auto& x, const auto& y) { return x.second > y.second; });
  return stalls;
}

}  // namespace

std::vector<Counters> parse_ncu_csv(const std::string& text) {
  std::vector<Counters> kernels;
  std::vector<std::string> names, units;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] != '"') continue;  // messages of the profiler and of the program
    const std::vector<std::string> fields = quoted_fields(line);
    if (names.empty())
      names = fields;
    else if (units.empty())
      units = fields;
    else {
      Counters counters;
      for (std::size_t i = 0; i < std::min({names.size(), units.size(), fields.size()}); ++i) {
        counters[names[i]] = fields[i];
        counters["unit of " + names[i]] = units[i];
      }
      kernels.push_back(counters);
    }
  }
  return kernels;
}

Profile profile_of(const Counters& counters) {
  Profile profile;
  const auto kernel = counters.find("Kernel Name");
  if (kernel != counters.end()) profile.kernel = kernel->second;
  profile.microseconds = microseconds_of(counters);
  profile.tensor_pct =
      std::max(largest_pct(counters, "sm__pipe_tensor"), largest_pct(counters, "sm__inst_executed_pipe_tensor"));
  profile.dram_pct = std::max(value_of(counters, "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"),
                              value_of(counters, "dram__throughput.avg.pct_of_peak_sustained_elapsed"));
  profile.l2_pct = value_of(counters, "lts__throughput.avg.pct_of_peak_sustained_elapsed");
  profile.l2_hit_pct = value_of(counters, "lts__t_sector_hit_rate.pct");
  profile.stalls = stalls_of(counters);
  return profile;
}

std::string bottleneck(const Profile& p) {
  constexpr double busy = 75;  // beyond this a unit is what the kernel waits for
  if (p.tensor_pct >= busy && p.tensor_pct >= p.dram_pct)
    return fmt::format("The tensor pipe is busy {:.0f} % of the time: the kernel is bound by arithmetic.",
                       p.tensor_pct);
  if (p.dram_pct >= busy)
    return fmt::format("Device memory works at {:.0f} % of its throughput: the kernel is bound by memory.", p.dram_pct);
  if (p.l2_pct >= busy)
    return fmt::format("The L2 works at {:.0f} % of its throughput: the kernel is bound by the L2.", p.l2_pct);
  if (p.stalls.empty()) return "No unit is near its limit, and no stall reasons were counted.";
  return fmt::format(
      "No unit is near its limit (tensor pipe {:.0f} %, device memory {:.0f} %): the kernel is bound by latency, "
      "most of all by `{}`.",
      std::max(p.tensor_pct, 0.0), std::max(p.dram_pct, 0.0), p.stalls.front().first);
}

}  // namespace ckl::bench
