#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ops/operator.hpp"
#include "report/document.hpp"

namespace ckl::bench {

/// What to measure of each case.
struct Request {
  std::vector<Regime> regimes = {Regime::cold};
  Effort effort = Effort::full;
};

/// Turns cases into rows: verifies everybody, then times those who are right.
class Judge {
 public:
  Judge(const Session& session, const Request& request) : session_(session), request_(request) {}

  /// The rows of one case: one for each implementation and regime. A failure that leaves the GPU usable becomes the
  /// note of a row; any other is thrown.
  std::vector<Row> judge(const Operator& op, const Case& one);

  /// The ceilings that were measured on the way, for the document's environment.
  const Json& ceilings() const { return ceilings_; }

 private:
  struct Contestant;

  std::vector<Row> judge_workload(const Operator& op, const Case& one, Workload& workload);
  std::vector<Contestant> verify(const Case& one, Workload& workload) const;
  void time(const Operator& op, const Case& one, Workload& workload, Regime regime,
            std::vector<Contestant>& contestants);
  void rate(const Operator& op, const Case& one, const Workload& workload, Regime regime,
            std::vector<Contestant>& contestants);
  double peak_tflops(const Operator& op, const Case& one, Regime regime);

  const Session& session_;
  const Request request_;
  Json ceilings_ = Json::object();
};

}  // namespace ckl::bench
