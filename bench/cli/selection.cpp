#include "cli/selection.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ops/parse.hpp"

namespace ckl::bench {

std::vector<SuiteCase> selected_cases(const ProblemOptions& options, const std::string& suite) {
  const std::vector<const Operator*> ops = find_operators(options.op);
  if (!suite.empty()) {
    if (!options.problem.empty())
      throw UsageError(
          fmt::format("--problem: cannot be given together with --suite, got `{}`", options.problem.front()));
    std::vector<SuiteCase> cases = read_suite(find_suite(suite), ops);
    const auto unwanted = [&](const SuiteCase& one) {  // the other options choose among the suite's rows
      const auto keeps = [](const std::vector<std::string>& values, const std::string& value) {
        return values.empty() || std::find(values.begin(), values.end(), value) != values.end();
      };
      return !keeps(options.dtype, one.one.dtype) || !keeps(options.dtype_out, one.one.dtype_out) ||
             !keeps(options.layout, one.one.layout);
    };
    std::erase_if(cases, unwanted);
    if (cases.empty())
      throw UsageError(fmt::format("--suite: has no row for {} with these options, got `{}`", options.op, suite));
    return cases;
  }
  std::vector<SuiteCase> cases;
  for (const Operator* op : ops)
    for (const Settings& settings : combinations(options.choices(*op, options.emulator())))
      cases.push_back({op, op->parse(settings), {}});
  return cases;
}

}  // namespace ckl::bench
