#include "judge/judge.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "judge/datasheet.hpp"
#include "ops/parse.hpp"
#include "providers/providers.hpp"
#include "timer/bare_launch.hpp"

namespace ckl::bench {

/// An implementation on its way to a row.
struct Judge::Contestant {
  Implementation implementation;
  Row row;
  std::size_t samples = 0;  ///< Its place among the timed ones, where it is `timed`.
  bool timed = false;
};

namespace {

Row row_of(const Case& one, const std::string& implementation) {
  Row row;
  row.op = one.op;
  row.suite = one.suite;
  row.problem = one.problem;
  row.dtype = one.dtype;
  row.dtype_out = one.dtype_out;
  row.layout = one.layout;
  row.impl = implementation;
  return row;
}

/// Throws if the GPU itself has failed: then nothing that follows can be believed.
void require_usable_gpu() { check(cudaDeviceSynchronize(), "the GPU"); }

/// Ours may also err twice as much as the vendor does in the same precision.
void allow_for_vendor(std::vector<Row*>& ours, double vendor_error) {
  for (Row* row : ours) {
    if (!row->error || !row->error_bound) continue;
    row->error_bound = std::max(*row->error_bound, 2 * vendor_error);
    if (!row->verified && *row->error <= 2 * vendor_error) row->verified = true, row->note.clear();
  }
}

}  // namespace

std::vector<Row> Judge::judge(const Operator& op, const Case& one) {
  try {
    const std::unique_ptr<Workload> workload = op.prepare(one, session_);
    std::vector<Row> rows = judge_workload(op, one, *workload);
    if (rows.empty())
      throw UsageError(fmt::format("--impl: must name an implementation of {}, such as ckl, got `{}`", op.name(),
                                   fmt::join(session_.only, ",")));
    return rows;
  } catch (const UsageError&) {
    throw;
  } catch (const std::exception& error) {
    cudaGetLastError();  // an error that was reported must not fail the next call as well
    require_usable_gpu();
    Row row = row_of(one, "ckl");
    row.regime = name(request_.regimes.front());
    row.note = fmt::format("failed: {}", error.what());
    return {row};
  }
}

std::vector<Row> Judge::judge_workload(const Operator& op, const Case& one, Workload& workload) {
  const std::vector<Contestant> verified = verify(one, workload);
  std::vector<Row> rows;
  for (Regime regime : request_.regimes) {
    std::vector<Contestant> contestants = verified;
    if (session_.timing && !session_.gpu.emulated) time(op, one, workload, regime, contestants);
    for (Contestant& contestant : contestants) {
      contestant.row.regime = name(regime);
      rows.push_back(contestant.row);
    }
    for (const Absent& absent : workload.absent) {
      if (!session_.wants(absent.name)) continue;
      rows.push_back(row_of(one, absent.name));
      rows.back().regime = name(regime);
      rows.back().note = absent.reason;
    }
  }
  return rows;
}

std::vector<Judge::Contestant> Judge::verify(const Case& one, Workload& workload) const {
  std::vector<Contestant> contestants;
  for (const Implementation& implementation : workload.implementations) {
    if (!session_.wants(implementation.name)) continue;
    const Verdict verdict = workload.verify(implementation);
    Contestant contestant{implementation, row_of(one, implementation.name)};
    contestant.row.config = implementation.config;
    contestant.row.first_call_ms = implementation.first_call_ms;
    // Of others no more is asked than the documented bound; ours is judged element by element.
    contestant.row.verified = verdict.right || (!implementation.ours && verdict.error <= verdict.bound);
    contestant.row.error = verdict.error;
    contestant.row.error_bound = verdict.bound;
    if (!contestant.row.verified) contestant.row.note = "wrong: " + verdict.what;
    contestants.push_back(contestant);
  }

  std::vector<Row*> ours;
  double vendor_error = 0;
  for (Contestant& contestant : contestants) {
    if (contestant.implementation.ours)
      ours.push_back(&contestant.row);
    else if (contestant.row.verified)
      vendor_error = std::max(vendor_error, *contestant.row.error);
  }
  if (workload.work().flops > 0) allow_for_vendor(ours, vendor_error);  // a product: rows and sums have one bound
  return contestants;
}

void Judge::time(const Operator& op, const Case& one, Workload& workload, Regime regime,
                 std::vector<Contestant>& contestants) {
  std::vector<Launch> launches;
  for (Contestant& contestant : contestants) {
    if (!contestant.row.verified) continue;
    contestant.timed = true;
    contestant.samples = launches.size();
    launches.push_back(contestant.implementation.launch);
  }
  if (launches.empty()) return;
  const Launch ceiling = workload.ceiling();
  if (ceiling) {
    ceiling(0, nullptr);
    check(cudaDeviceSynchronize(), "the ceiling");
    launches.push_back(ceiling);
  }

  const std::vector<Samples> samples =
      time_interleaved(launches, workload.sets, regime, request_.effort, session_.kernels);

  if (ceiling) {  // measured like everybody, and everybody's yardstick
    const CeilingName called = workload.ceiling_name();
    Contestant yardstick{{called.name, called.what, ceiling}, row_of(one, called.name)};
    yardstick.row.config = yardstick.implementation.config;
    yardstick.row.verified = true;  // it has no result to check
    yardstick.timed = true;
    yardstick.samples = samples.size() - 1;
    contestants.push_back(yardstick);
  }
  for (Contestant& contestant : contestants) {
    if (!contestant.timed) continue;
    const Samples& mine = samples[contestant.samples];
    contestant.row.time_us = spread(mine.all_us);
    contestant.row.host_us = mine.host_us;
    if (!contestant.implementation.ours) continue;
    if (const Launch bare = bare_launch_of(contestant.implementation.launch))
      contestant.row.bare_host_us = host_time_us(bare, 1, contestant.row.time_us->median);
    for (const Contestant& other : contestants)
      if (other.timed && !other.implementation.ours)
        contestant.row.ratio[other.implementation.name] = paired_ratio(samples[other.samples].round_us, mine.round_us);
  }
  rate(op, one, workload, regime, contestants);
}

void Judge::rate(const Operator& op, const Case& one, const Workload& workload, Regime regime,
                 std::vector<Contestant>& contestants) {
  const Datasheet sheet = datasheet(session_.gpu.name);
  const Work work = workload.work();
  const bool arithmetic = work.flops > 0;
  const std::string ceiling_name = workload.ceiling_name().name;
  double ceiling_us = 0;
  if (arithmetic) {
    const double peak = peak_tflops(op, one, regime);
    if (peak > 0) ceiling_us = work.flops / peak * 1e-6;
  } else {
    for (const Contestant& contestant : contestants)
      if (contestant.implementation.name == ceiling_name) ceiling_us = contestant.row.time_us->median;
    if (ceiling_us > 0) {
      Json& best = ceilings_[fmt::format("{}_gbps_{}", ceiling_name == "memcpy" ? "copy" : ceiling_name, name(regime))];
      best = std::max(best.is_number() ? best.get<double>() : 0.0, work.bytes / ceiling_us * 1e-3);
    }
  }

  for (Contestant& contestant : contestants) {
    Row& row = contestant.row;
    if (!row.time_us) continue;
    const double us = row.time_us->median;
    if (arithmetic)
      row.tflops = work.flops / us * 1e-6;
    else
      row.gbps = work.bytes / us * 1e-3;
    if (ceiling_us > 0) row.ceiling_pct = 100 * ceiling_us / us;
    if (arithmetic && sheet.tflops_16bit > 0) row.datasheet_pct = 100 * *row.tflops / sheet.tflops_16bit;
    if (!arithmetic && sheet.gbps > 0) row.datasheet_pct = 100 * *row.gbps / sheet.gbps;
  }
}

/// The vendor's best large product of this type, measured once for each type and regime; 0 without a vendor.
double Judge::peak_tflops(const Operator& op, const Case& one, Regime regime) {
  const std::string key = fmt::format("{}_tflops_{}", one.dtype, name(regime));
  if (ceilings_.contains(key)) return ceilings_[key].is_null() ? 0 : ceilings_[key].get<double>();
  ceilings_[key] = nullptr;
  const std::unique_ptr<Case> peak = op.peak_case(one.dtype);
  if (!peak) return 0;

  const std::unique_ptr<Workload> workload = op.prepare(*peak, session_);
  std::vector<Launch> launches;
  for (const Implementation& implementation : workload->implementations) {
    if (implementation.ours) continue;
    const Verdict verdict = workload->verify(implementation);
    if (verdict.right) launches.push_back(implementation.launch);
  }
  if (launches.empty()) return 0;
  double best = 0;
  for (const Samples& samples : time_interleaved(launches, workload->sets, regime, Effort::quick, session_.kernels))
    best = std::max(best, workload->work().flops / quantile(samples.all_us, 0.5) * 1e-6);
  ceilings_[key] = best;
  return best;
}

}  // namespace ckl::bench
