#include "ops/gemm/config.hpp"

#include <algorithm>
#include <cmath>

#include "ops/gemm/problem.hpp"

namespace ckl {

std::string to_string(const GemmConfig& c) {
  const char* schedule = c.schedule == Schedule::cooperative_m   ? "_coopm"
                         : c.schedule == Schedule::cooperative_n ? "_coopn"
                                                                 : "_ping";
  auto number = [](int x) { return std::to_string(x); };
  return std::string(name(c.dtype)) + (c.a_major == Major::k ? "_t" : "_n") + (c.b_major == Major::k ? "n_" : "t_") +
         number(c.tile_m) + "x" + number(c.tile_n) + "x" + number(c.tile_k) + "_" + number(c.cluster_m) + "x" +
         number(c.cluster_n) + "_s" + number(c.stages) + schedule + (c.load == Load::gather ? "_gather" : "");
}

std::string to_string(const GemmChoice& choice) {
  const char* suffix[] = {"", "_sk", "_splitk"};
  return to_string(choice.config) + suffix[int(choice.division)];
}

namespace {

double ceil_div(double x, double y) { return std::ceil(x / y); }

double cluster_tiles(const GemmProblem& problem, const GemmConfig& c) {
  return ceil_div(problem.m, c.tile_m * c.cluster_m) * ceil_div(problem.n, c.tile_n * c.cluster_n) * problem.batch;
}

double clusters_at_a_time(const GemmConfig& c, const DeviceInfo& device) {
  return std::max(1.0, std::floor(device.sm_count / double(c.cluster_size())));
}

/// Whether the last wave would leave clusters idle, and K is long enough to share.
bool cutting_helps(const GemmProblem& problem, const GemmConfig& c, const DeviceInfo& device) {
  return std::fmod(cluster_tiles(problem, c), clusters_at_a_time(c, device)) != 0 && problem.k > 2 * c.tile_k;
}

}  // namespace

double estimated_clocks(const GemmProblem& problem, const GemmConfig& c, const DeviceInfo& device) {
  // Rates of one SM, per clock: dense 16-bit multiply-adds; bytes from L2 with all SMs asking; elements that a gathering
  // warpgroup copies. Fitted to a sweep of the menu over 19 problems on an H100.
  constexpr double products = 2048, l2_bytes = 41, gathered = 12;
  // Clocks that come on top: filling the pipeline, once; storing a piece of the tile.
  constexpr double fill = 3000, store_piece = 400;

  double waves = ceil_div(cluster_tiles(problem, c), clusters_at_a_time(c, device));
  double k_tiles = ceil_div(problem.k, c.tile_k);

  double multiply = double(c.tile_m) * c.tile_n * c.tile_k / products;
  double rows_loaded = double(c.tile_m) / c.cluster_n + double(c.tile_n) / c.cluster_m;
  double load =
      c.load == Load::tma ? rows_loaded * c.tile_k * c.element_bytes() / l2_bytes : rows_loaded * c.tile_k / gathered;
  double mainloop = k_tiles * std::max(multiply, load);
  int piece_n = c.piece_n(int(size_of(problem.d.dtype)));
  double store = store_piece * (c.warpgroup_m() / GemmConfig::piece_m) * ceil_div(c.warpgroup_n(), piece_n);
  if (c.schedule == Schedule::pingpong)
    return fill + waves * std::max(mainloop, store / 2) + store;  // stores hide, but for the last
  return fill + waves * (mainloop + store);
}

std::vector<GemmChoice> rank_choices(const GemmProblem& problem, const DeviceInfo& device,
                                     const std::vector<GemmConfig>& shipped) {
  GemmTraits traits = traits_of(problem);
  std::vector<std::pair<double, GemmConfig>> ranked;
  for (const GemmConfig& c : shipped) {
    bool fits = c.dtype == problem.a.dtype && c.a_major == traits.a_major && c.b_major == traits.b_major &&
                (c.load == Load::gather || traits.loads_by_tma) && std::size_t(c.shared_bytes()) <= device.shared_bytes;
    if (fits) ranked.emplace_back(estimated_clocks(problem, c, device), c);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<GemmChoice> choices;
  for (const auto& [clocks, config] : ranked) choices.push_back({config, Division::whole_tiles});
  for (const auto& [clocks, config] : ranked)
    if (cutting_helps(problem, config, device)) choices.push_back({config, Division::stream_k});
  for (const auto& [clocks, config] : ranked)
    if (splits_of(int(cluster_tiles(problem, config)), int(clusters_at_a_time(config, device)),
                  int(ceil_div(problem.k, config.tile_k))) > 1)
      choices.push_back({config, Division::split_k});
  return choices;
}

}  // namespace ckl
