#include "report/csv.hpp"

#include <set>

#include <fmt/format.h>

#include "report/text.hpp"

namespace ckl::bench {
namespace {

/// Quoted where RFC 4180 asks for it.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string field(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

std::string fields(const std::optional<Spread>& spread) {
  return spread ? fmt::format("{},{},{}", spread->median, spread->p10, spread->p90) : ",,";
}

}  // namespace

std::string csv(const Document& document) {
  std::set<std::string> opponents;
  for (const Row& row : document.rows)
    for (const auto& [name, spread] : row.ratio) opponents.insert(name);

  std::string text =
      "gpu,op,suite,problem,dtype,dtype_out,layout,regime,impl,config,verified,error,error_bound,"
      "time_us_median,time_us_p10,time_us_p90,host_us,bare_host_us,tflops,gbps,ceiling_pct,datasheet_pct";
  for (const std::string& name : opponents) text += fmt::format(",ratio_{0}_median,ratio_{0}_p10,ratio_{0}_p90", name);
  text += ",note\n";

  const std::string gpu = document.environment.value("gpu", "");
  for (const Row& row : document.rows) {
    for (const std::string& value : {gpu, row.op, row.suite, problem_text(row), row.dtype, row.dtype_out, row.layout,
                                     row.regime, row.impl, row.config})
      text += field(value) + ",";
    text += fmt::format("{},{},{},{}", row.verified, field(row.error), field(row.error_bound), fields(row.time_us));
    for (const auto& value : {row.host_us, row.bare_host_us, row.tflops, row.gbps, row.ceiling_pct, row.datasheet_pct})
      text += "," + field(value);
    for (const std::string& name : opponents) {
      const auto ratio = row.ratio.find(name);
      text += "," + fields(ratio == row.ratio.end() ? std::nullopt : std::optional<Spread>(ratio->second));
    }
    text += "," + field(row.note) + "\n";
  }
  return text;
}

}  // namespace ckl::bench
