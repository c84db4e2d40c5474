#include "timer/protocol.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <thread>

#include "kernels/kernels.hpp"
#include "timer/batch.hpp"
#include "timer/cuda.hpp"

namespace ckl::bench {

const char* name(Regime regime) { return regime == Regime::cold ? "cold" : "sustained"; }

namespace {

using Clock = std::chrono::steady_clock;

/// Below this, gaps between launches and the resolution of events would count: calls are timed in graphs.
constexpr double graph_threshold_us = 100;

/// What an effort means, in microseconds of GPU time and in rounds.
struct Plan {
  double sample_us;  ///< A sample lasts at least this long.
  double budget_us;  ///< All samples of a row together, about.
  double warm_us;    ///< Load before the first sample.
  int min_rounds;
  int max_rounds;
};

Plan plan_of(Regime regime, Effort effort) {
  if (regime == Regime::sustained)
    return effort == Effort::full ? Plan{20e3, 800e3, 300e3, 5, 10} : Plan{15e3, 300e3, 200e3, 3, 5};
  switch (effort) {
    case Effort::selection: return {300, 60e3, 0, 3, 5};
    case Effort::quick: return {500, 120e3, 0, 4, 10};
    case Effort::full: break;
  }
  return {1000, 350e3, 0, 7, 31};
}

double microseconds(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

/// Time of a single call: the least of three, since all disturbances add.
double estimate_us(const Launch& launch, std::size_t sets, const Stream& stream) {
  Event start, stop;
  double least = INFINITY;
  for (std::size_t i = 0; i < 3; ++i) {
    start.record(stream);
    launch(i % sets, stream);
    stop.record(stream);
    stop.synchronize();
    least = std::min(least, stop.microseconds_since(start));
  }
  return least;
}

std::vector<Batch> make_batches(const std::vector<Launch>& launches, std::size_t sets, double sample_us,
                                const Stream& stream) {
  std::vector<double> estimates;
  for (const Launch& launch : launches) estimates.push_back(estimate_us(launch, sets, stream));
  const bool graphs = *std::min_element(estimates.begin(), estimates.end()) < graph_threshold_us;

  std::vector<Batch> batches;
  for (std::size_t i = 0; i < launches.size(); ++i)
    batches.push_back(graphs ? Batch::of_graph(launches[i], sets, estimates[i], sample_us, stream)
                             : Batch::of_launches(launches[i], sets, estimates[i], sample_us));
  for (Batch& batch : batches) batch.warm_up(stream);
  return batches;
}

/// One sample with the GPU at rest before it. A short spin kernel goes first: while it runs, the host enqueues the
/// batch, so that the time of enqueuing is not measured.
double cold_sample_us(Batch& batch, const Stream& stream, const Kernels& kernels) {
  Event start, stop;
  kernels.spin(20 + 1.5 * batch.enqueue_us(), stream);
  start.record(stream);
  batch.enqueue(stream);
  stop.record(stream);
  stop.synchronize();
  const double total = stop.microseconds_since(start);
  // A rest as long as the work keeps the chip below its power limit, which is the other regime.
  std::this_thread::sleep_for(std::chrono::duration<double, std::micro>(std::min(total, 3000.0)));
  return total / double(batch.calls());
}

/// The order of one round: 0 1 2 .. 2 1 0.
std::vector<std::size_t> there_and_back(std::size_t count) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < count; ++i) order.push_back(i);
  for (std::size_t i = count; i-- > 0;) order.push_back(i);
  return order;
}

int rounds_within(const Plan& plan, const std::vector<Batch>& batches) {
  double round_us = 0;
  for (const Batch& batch : batches) round_us += 2 * batch.duration_us();
  return std::clamp(int(plan.budget_us / round_us), plan.min_rounds, plan.max_rounds);
}

void sample_cold(std::vector<Batch>& batches, int rounds, const Stream& stream, const Kernels& kernels,
                 std::vector<Samples>& samples) {
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i : there_and_back(batches.size()))
      samples[i].all_us.push_back(cold_sample_us(batches[i], stream, kernels));
}

/// All batches are enqueued without a pause; an event between any two tells their times afterwards.
void sample_sustained(std::vector<Batch>& batches, int rounds, double warm_us, const Stream& stream,
                      std::vector<Samples>& samples) {
  for (double load = 0; load < warm_us;)
    for (Batch& batch : batches) {
      batch.enqueue(stream);
      load += batch.duration_us();
    }
  std::vector<Event> marks(1);
  std::vector<std::size_t> sampled;
  marks.back().record(stream);
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i : there_and_back(batches.size())) {
      batches[i].enqueue(stream);
      marks.emplace_back().record(stream);
      sampled.push_back(i);
    }
  stream.synchronize();
  for (std::size_t s = 0; s < sampled.size(); ++s)
    samples[sampled[s]].all_us.push_back(marks[s + 1].microseconds_since(marks[s]) /
                                         double(batches[sampled[s]].calls()));
}

/// Mean of the two samples of each round: A B B A cancels linear drift only when both halves are joined.
std::vector<double> join_rounds(const std::vector<double>& all) {
  std::vector<double> rounds;
  for (std::size_t i = 0; i + 1 < all.size(); i += 2) rounds.push_back((all[i] + all[i + 1]) / 2);
  return rounds;
}

}  // namespace

double host_time_us(const Launch& launch, std::size_t sets, double call_us) {
  Stream stream;
  // Few enough that the launch queue never fills.
  const int calls = std::clamp(int(20e3 / call_us), 3, 50);
  std::vector<double> times;
  for (int i = 0; i < calls; ++i) {
    const auto start = Clock::now();
    launch(std::size_t(i) % sets, stream);
    times.push_back(microseconds(Clock::now() - start));
  }
  stream.synchronize();
  return quantile(times, 0.5);
}

std::vector<Samples> time_interleaved(const std::vector<Launch>& launches, std::size_t sets, Regime regime,
                                      Effort effort, const Kernels& kernels) {
  const Plan plan = plan_of(regime, effort);
  Stream stream;
  std::vector<Batch> batches = make_batches(launches, sets, plan.sample_us, stream);
  const int rounds = rounds_within(plan, batches);

  std::vector<Samples> samples(launches.size());
  if (regime == Regime::cold)
    sample_cold(batches, rounds, stream, kernels, samples);
  else
    sample_sustained(batches, rounds, plan.warm_us, stream, samples);

  for (std::size_t i = 0; i < launches.size(); ++i) {
    samples[i].round_us = join_rounds(samples[i].all_us);
    if (effort != Effort::selection)
      samples[i].host_us = host_time_us(launches[i], sets, quantile(samples[i].all_us, 0.5));
  }
  return samples;
}

std::size_t fastest(const std::vector<Launch>& launches, std::size_t sets, const Kernels& kernels) {
  const std::vector<Samples> samples = time_interleaved(launches, sets, Regime::cold, Effort::selection, kernels);
  std::size_t best = 0;
  for (std::size_t i = 1; i < samples.size(); ++i)
    if (quantile(samples[i].all_us, 0.5) < quantile(samples[best].all_us, 0.5)) best = i;
  return best;
}

}  // namespace ckl::bench
