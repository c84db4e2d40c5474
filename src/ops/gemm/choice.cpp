#include "ops/gemm/choice.hpp"

#include <algorithm>
#include <cmath>

#include "host/ceil_div.hpp"
#include "host/require.hpp"
#include "ops/gemm/fused/params.hpp"

namespace ckl {

std::string to_string(const GemmChoice& choice) {
  const char* division[] = {"", "_sk", "_splitk"};
  const char* padding[] = {"", "_pada", "_padb", "_padab"};
  return to_string(choice.config) + division[int(choice.division)] +
         padding[int(choice.padding.a) + 2 * int(choice.padding.b)];
}

namespace {

using host::ceil_div;

/// Tiles of the whole grid, a cluster's worth of CTAs each.
std::int64_t cluster_tiles(const GemmProblem& problem, const GemmConfig& c) {
  return ceil_div(problem.m, c.tile_m * c.cluster_m) * ceil_div(problem.n, c.tile_n * c.cluster_n) * problem.batch;
}

/// Clusters that run at a time.
int clusters_at_a_time(const GemmConfig& c, const DeviceInfo& device) {
  const int size = c.cluster_size();
  return std::max(1, size == 1   ? device.sm_count
                     : size == 2 ? device.clusters_of_2
                     : size <= 4 ? device.clusters_of_4
                                 : device.clusters_of_8);
}

/// Bytes from one row of the operand, as it lies in memory, to the next.
std::int64_t pitch_bytes(const GemmOperand& operand, Major major, bool is_a) {
  return ((major == Major::k) == is_a ? operand.row_stride : operand.column_stride) *
         std::int64_t(size_of(operand.dtype));
}

/// Whether rows of the operand begin off the 128-byte lines of L2.
bool straddles_lines(const GemmOperand& operand, Major major, bool is_a) {
  return pitch_bytes(operand, major, is_a) % 128 != 0;
}

constexpr double dram_bytes = 3550;  // all SMs, per clock: fitted, where loads overlap with launches and L2 helps

/// What the padded copies cost before the product can begin.
double padding_clocks(const GemmProblem& problem, Padding padding) {
  constexpr double once = 3500;    // a launch and its first bytes; an assumption, not yet fitted to measurements
  constexpr double copied = 2740;  // bytes per clock, of an H200
  const double elements =
      (padding.a ? double(problem.m) * double(problem.k) : 0) + (padding.b ? double(problem.n) * double(problem.k) : 0);
  return padding.any() ? once + 2 * elements * double(size_of(problem.a.dtype)) / copied : 0;  // read and written
}

/// What a fused epilogue adds to the store of a tile: instructions, of which a multiprocessor's scheduler issues one a clock; each has one
/// warp of a consumer. Counted in machine code for bf16 with a bias and tanh GELU. Cooperative consumers hide less of it than they should:
/// 4096^3 with 128x256 took 6500 clocks a tile more on an H200, not 3840.
double fused_clocks(const GemmProblem& problem, const GemmConfig& c) {
  const bool by_fragments = traits_of(problem).stores_by_tma && size_of(problem.d.dtype) == 2 && problem.n % 8 == 0 &&
                            !problem.epilogue.gated;
  const double for_an_accumulator = by_fragments ? 15 : fused_neighbours(c) == 4 ? 115. / 4 : 150. / 2;  // of a thread
  const double hidden_worse = c.schedule == Schedule::pingpong ? 1 : 1.7;
  return for_an_accumulator * hidden_worse * c.accumulators() * c.readers();
}

/// Whether the vectors of a C that is read have whole rows.
bool reads_c_by_vectors(const GemmProblem& problem) {
  return moves_by_vectors(problem.c) && problem.n * std::int64_t(size_of(problem.c.dtype)) % 16 == 0;
}

/// What a C that is read adds: to the store of a tile, in the same measure, and to each wave what the other consumer's products do not hide.
/// Of 4096 x 4096 x 1024, 4096^3 and 1024^3 on an H200; `problem` has a row-major D.
struct CClocks {
  double store = 0, exposed = 0;

  CClocks() = default;
  CClocks(const GemmProblem& problem, const GemmConfig& c) {
    if (problem.beta == 0.0f) return;
    const bool pingpong = c.schedule == Schedule::pingpong;
    const double for_an_accumulator = !reads_c_by_vectors(problem)    ? 106
                                      : size_of(problem.c.dtype) == 2 ? 18
                                                                      : 28;  // of a thread
    // Large tiles load nothing ahead; what small ones prefetch stands before operands, for which all of a cluster waits.
    const bool hides = pingpong && c.accumulators() <= 128 && (c.accumulators() > 64 || c.cluster_size() == 1);
    store = for_an_accumulator * (pingpong ? 1 : 1.7) * c.accumulators() * c.readers();
    exposed = hides ? 0 : store;
  }
};

/// How long `cut` tiles of stream-K take, beside their sums: more than as many whole ones, since the CTAs that share rows or columns are at
/// different K, and find those in L2 only if all of their K fits there. Half of L2 counts: each half of the chip keeps a copy.
double cut_clocks(const GemmProblem& problem, const GemmConfig& c, const DeviceInfo& device, int clusters, double cut,
                  double tile_clocks) {
  constexpr double slower = 1.03, missed = 0.159;  // fitted to runs on an H200
  const double rows_of_tile = c.tile_m * c.cluster_m, columns_of_tile = c.tile_n * c.cluster_n;
  const double k_bytes = double(problem.k) * c.element_bytes();
  const double rows = std::min<double>(double(problem.m), gemm_group_rows);
  const double columns = std::min(double(problem.n), cut * rows_of_tile * columns_of_tile / rows);
  const double misses = std::max(0., 1 - double(device.l2_bytes) / 2 / ((rows + columns) * k_bytes));
  return std::max(cut / clusters * tile_clocks * (slower + missed * misses),
                  cut * (rows_of_tile + columns_of_tile) * k_bytes * misses / dram_bytes);
}

/// What split-K takes beside its K tiles, for the sums of `tiles` tiles: rounds of loads, each of which waits for L2, and stores of single
/// elements. Fixup::reduce() takes as many values and slots at a time.
double split_clocks(const GemmConfig& c, std::int64_t tiles, int splits) {
  constexpr double once = 3020, left = 14.6, round = 1470,
                   stored = 304;         // the second and the last: per value of a thread
  constexpr double all_slots = 0.00252;  // per element of all parts
  const int share = int(ceil_div(c.sums(), splits));
  const std::int64_t rounds = share == 1   ? ceil_div(splits, 32)
                              : share < 16 ? ceil_div(share, 4) * ceil_div(splits, 32)
                                           : ceil_div(share, 16);
  const double parts = double(tiles) * splits * c.cluster_m * c.cluster_n * c.tile_m * c.tile_n / c.cluster_k;
  return once + left * c.sums() + round * double(rounds) + stored * share + all_slots * parts;
}

/// What L2 gives, in bytes a clock into one SM and into all of them, and the clocks that a cluster's CTAs wait for each other at each
/// K tile. Where both operands are multicast, each CTA waits for two sets of others: that costs in both.
struct L2Rates {
  double into_one, into_all, in_step;
};

/// L2 answers CTAs without a cluster together where they are neighbours at the same K, as those of stream-K and split-K are not. (What
/// CTAs that share K lose by that is in the costs of their sums.)
L2Rates l2_rates(const GemmConfig& c, Division division) {
  const int receivers = c.cluster_m * c.cluster_n;
  if (receivers == 1) return division == Division::whole_tiles ? L2Rates{65.5, 8290, 0} : L2Rates{59.7, 6040, 0};
  if (receivers == 2) return {54.2, 7150, 74.6};
  const bool both = c.cluster_m > 1 && c.cluster_n > 1;
  const double in_step = receivers > 4 ? 123 : both ? 94.1 : 41.5;
  return both ? L2Rates{50.2, 5910, in_step} : L2Rates{55.2, 6500, in_step};
}

/// How much more a row costs that begins off a line of L2, by its pitch in bytes. L2 answers a multicast once for all of its CTAs. Rows along
/// M or N have neighbours that are read along with the rest of a line.
double straddling(std::int64_t pitch, Major major, int receivers) {
  if (pitch % 128 == 0) return 1;
  if (receivers > 1) return 1.22;
  return pitch % 32 != 0 ? (major == Major::k ? 1.74 : 1.55) : pitch % 64 != 0 ? 1.19 : 1.23;
}

/// Rows of one operand that a CTA loads at each K tile, in its share of a multicast, and how many rows on whole lines would take as long.
struct OperandRows {
  double loaded, as_long_as;
};

OperandRows rows_of(const GemmProblem& problem, const GemmConfig& c, bool is_a) {
  constexpr double zeros = 4;  // what TMA fills with zeros, in the measure of what it loads
  const Major major = is_a ? c.a_major : c.b_major;
  const std::int64_t extent = is_a ? problem.m : problem.n;
  const int tile = is_a ? c.tile_m : c.tile_n, receivers = is_a ? c.cluster_n : c.cluster_m;
  // Boxes of a K-major operand that one tile holds end with it; others are filled up.
  const double loaded = double(std::min<std::int64_t>(tile, (extent + 7) / 8 * 8)) / receivers;
  if (major == Major::mn && extent < tile)
    return {loaded, (double(extent) + zeros * double(tile - extent)) / receivers};
  return {loaded, loaded * straddling(pitch_bytes(is_a ? problem.a : problem.b, major, is_a), major, receivers)};
}

/// What the loads of a K tile take, where `busy_sms` SMs load at a time.
double load_clocks(const GemmProblem& problem, const GemmConfig& c, Division division, const DeviceInfo& device,
                   double busy_sms) {
  constexpr double gathered = 1.3;     // elements that a gathering warpgroup copies, per clock
  constexpr double pair_bytes = 53.5;  // from DRAM through L2 into the two SMs of a pair (TPC), per clock
  // A gathering CTA has no cluster, and takes as long over elements outside of the matrices: 10 us for a K of 2.
  if (c.load == Load::gather) return double(c.tile_m + c.tile_n) * c.tile_k / gathered;
  const OperandRows a = rows_of(problem, c, true), b = rows_of(problem, c, false);
  const double row_bytes = double(c.tile_k) * c.element_bytes();
  const L2Rates l2 = l2_rates(c, division);
  const double shared =
      (a.as_long_as + b.as_long_as) * row_bytes / std::min(l2.into_one, l2.into_all / busy_sms) + l2.in_step;
  // Where one row or column of tiles is all there is, no other CTA reads the other operand's rows.
  const double alone =
      (problem.m <= c.tile_m * c.cluster_m ? b.loaded : 0) + (problem.n <= c.tile_n * c.cluster_n ? a.loaded : 0);
  return std::max(shared, alone * row_bytes / (busy_sms > device.sm_count / 2 ? pair_bytes / 2 : pair_bytes));
}

/// The largest of them, and more where others come near, since they do not overlap perfectly: the norm with exponent 8.
double smooth_max(double x, double y, double z) {
  const double most = std::max({x, y, z});
  double sum = 0;
  for (double part : {x / most, y / most, z / most}) {
    const double square = part * part, fourth = square * square;
    sum += fourth * fourth;
  }
  return most * std::sqrt(std::sqrt(std::sqrt(sum)));
}

}  // namespace

double estimated_clocks(const GemmProblem& original, const GemmChoice& choice, const DeviceInfo& device) {
  const GemmProblem problem = padded(kernel_view(original, choice.config), choice.padding);
  // Fitted to runs of the whole menu over 420 problems in tn on H200s, most of them random, some with sizes that are multiples of 64
  // (docs/performance-guide.md). `zeros` and one factor of straddling() alone come from 82 problems in each of the other layouts.
  constexpr double products = 2048;     // 16-bit multiply-adds of one SM, per clock
  constexpr double shared_bytes = 182;  // of shared memory, per clock: TMA's writes, wgmma's reads
  constexpr double wave = 242, store_piece = 496, cooperative_store = 1.51;
  constexpr double swapped_store = 1.4, store_box = 129;  // a piece that is transposed; each box of one that is not
  constexpr double stream_k_store = 0.873;                // of a store among CTAs that store at other times
  constexpr double products_energy = 0.936, shared_energy = 0.0013;  // what power allows: clocks of the whole chip
  constexpr double cut_once = 2540, add_part = 0.167;                // stream-K; the last: per element of a part
  constexpr double cluster_once = 1050, cluster_sum = 0.188;  // sums in the cluster; the last: per element of a tile
  // From the launch to the first product, by the size of the cluster.
  auto fill_of = [](int cluster) { return cluster == 1 ? 3940. : cluster == 2 ? 4090. : cluster <= 4 ? 4320. : 5200.; };

  const GemmConfig& c = choice.config;
  const bool pingpong = c.schedule == Schedule::pingpong;
  const int clusters = clusters_at_a_time(c, device), k_tiles = int(ceil_div(problem.k, c.tile_k));
  const std::int64_t tiles = cluster_tiles(problem, c);
  const int splits = choice.division == Division::split_k ? splits_of(c, tiles, clusters, k_tiles) : 1;
  const double waves = double(ceil_div(tiles, clusters));
  const double busy_sms =
      double(c.cluster_size()) *
      (choice.division == Division::stream_k ? clusters : std::min<std::int64_t>(tiles * splits, clusters));

  // A K tile: its products, its traffic in shared memory, its loads.
  const double row_bytes = double(c.tile_k) * c.element_bytes();
  const double multiply = double(c.tile_m) * c.tile_n * c.tile_k / products;
  const int products_m = c.warpgroup_m() / 64;  // of a wgmma each
  const double shared_traffic = (c.readers() * products_m * (64 + c.warpgroup_n()) + c.tile_m + c.tile_n) * row_bytes;
  const double load = load_clocks(problem, c, choice.division, device, busy_sms);
  const double k_tile = smooth_max(multiply, shared_traffic / shared_bytes, load);

  const int d_bytes = int(size_of(problem.d.dtype));
  const double piece_rows = double(c.warpgroup_m()) / GemmConfig::piece_m;
  const double pieces = piece_rows * ceil_div(c.warpgroup_n(), c.piece_n(d_bytes));
  const double boxes = piece_rows * c.warpgroup_n() / c.d_box_n(d_bytes);
  const CClocks addend = fuses(problem) ? CClocks() : CClocks(original, c);
  const double fused = fuses(problem) ? fused_clocks(problem, c) : addend.store;
  const double store = store_piece * pieces * (pingpong ? 1 : cooperative_store) * (c.swapped ? swapped_store : 1) +
                       (c.swapped ? 0 : store_box * boxes) + (pingpong ? fused : 0);
  const double fill = fill_of(c.cluster_size()), elements = double(c.tile_m) * c.tile_n;

  double clocks = fill;
  if (c.cluster_k > 1) clocks += waves * (cluster_once + cluster_sum * elements);
  if (choice.division == Division::split_k) {
    clocks += double(ceil_div(k_tiles, splits * c.cluster_k)) * k_tile + split_clocks(c, tiles, splits);
  } else if (choice.division == Division::stream_k) {
    double cut = tiles_to_cut(tiles, clusters), whole = (double(tiles) - cut) / clusters, share = cut / clusters;
    clocks += whole * k_tiles * k_tile + cut_clocks(problem, c, device, clusters, cut, k_tiles * k_tile);
    clocks += (pingpong ? 1 : whole + std::ceil(share)) * store * stream_k_store;
    clocks += cut_once + add_part * elements * (1 + clusters / cut) + 2 * addend.store;
  } else if (pingpong) {
    clocks += waves * std::max(k_tiles * k_tile + wave, store / 2) + store;  // stores hide, but for the last
  } else {
    clocks += waves * (double(ceil_div(k_tiles, c.cluster_k)) * k_tile + wave + store);
  }

  const double energy = double(tiles) * c.cluster_m * c.cluster_n * k_tiles *
                        (products_energy * multiply + shared_energy * shared_traffic);
  const double bytes = double(size_of(problem.a.dtype)) * (double(problem.m + problem.n) * double(problem.k)) +
                       double(size_of(problem.d.dtype)) * double(problem.m) * double(problem.n);
  // While cooperative consumers compute an epilogue, the tensor cores wait, whatever bounds the products.
  const double exposed = waves * (fuses(problem) ? pingpong ? 0 : fused : addend.exposed);
  return padding_clocks(problem, choice.padding) + exposed +
         std::max({clocks, energy / device.sm_count, fill + bytes * double(problem.batch) / dram_bytes});
}

namespace {

/// How TMA can load the operands of a problem as a kernel sees it: as they lie, or padded copies of them. Gathering loads anything.
struct Loading {
  GemmTraits traits;
  Padding padding;
  bool by_tma;

  explicit Loading(const GemmProblem& problem)
      : traits(traits_of(problem)),
        padding{!traits.a_by_tma, !traits.b_by_tma},
        by_tma(problem.k > 0 && traits_of(padded(problem, padding)).loads_by_tma) {
  }  // no map describes an empty operand
};

}  // namespace

std::vector<GemmChoice> rank_choices(const GemmProblem& problem, const DeviceInfo& device,
                                     const std::vector<GemmConfig>& shipped) {
  const GemmProblem mirrored = mirror_image(problem);
  const Loading plain(problem), swapped(mirrored);
  std::vector<std::pair<double, GemmChoice>> ranked;
  auto add = [&](const GemmChoice& choice) { ranked.emplace_back(estimated_clocks(problem, choice, device), choice); };
  for (const GemmConfig& c : shipped) {
    const Loading& loading = c.swapped ? swapped : plain;
    bool fits = c.dtype == problem.a.dtype && c.a_major == loading.traits.a_major &&
                c.b_major == loading.traits.b_major && (c.load == Load::gather || loading.by_tma) &&
                std::size_t(c.shared_bytes()) <= device.shared_bytes;
    if (!fits || (problem.batch_invariant && !is_batch_invariant(c))) continue;
    const Padding pad = c.load == Load::tma ? loading.padding : Padding{};
    add({c, Division::whole_tiles, pad});
    if (problem.batch_invariant) continue;  // how tiles are cut depends on their number, and so on m
    std::int64_t tiles = cluster_tiles(c.swapped ? mirrored : problem, c);
    int clusters = clusters_at_a_time(c, device), k_tiles = int(ceil_div(problem.k, c.tile_k));
    if (tiles_to_cut(tiles, clusters) > 0 && k_tiles > 2 && c.cluster_k == 1) add({c, Division::stream_k, pad});
    if (c.can_split_k() && !fuses(problem) && splits_of(c, tiles, clusters, k_tiles) > 1)
      add({c, Division::split_k, pad});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<GemmChoice> choices;
  choices.reserve(ranked.size());
  for (const auto& [clocks, choice] : ranked) choices.push_back(choice);
  return choices;
}

std::string tuning_key(const GemmProblem& p) {
  const GemmTraits traits = traits_of(p);
  auto loads = [](bool tma, bool straddles) { return !tma ? "any" : straddles ? "tma" : "lines"; };
  return host::sentence("m=", p.m, " n=", p.n, " k=", p.k, " ", name(p.a.dtype), "->", name(p.d.dtype), " ",
                        traits.a_major == Major::k ? "t" : "n", traits.b_major == Major::k ? "n" : "t",
                        " a=", loads(traits.a_by_tma, straddles_lines(p.a, traits.a_major, true)),
                        " b=", loads(traits.b_by_tma, straddles_lines(p.b, traits.b_major, false)),
                        " d=", loads(traits.stores_by_tma, false),
                        p.beta == 0.0f          ? ""
                        : reads_c_by_vectors(p) ? " +c"
                                                : " +c=any",
                        p.epilogue.empty() ? "" : " epilogue=" + p.epilogue.to_string(),
                        p.batch_invariant ? " batch_invariant" : "");
}

namespace {

/// The problem with bf16 in the place of f16: kernels of both take the same time.
GemmProblem bf16_twin(GemmProblem p) {
  for (DType* dtype : {&p.a.dtype, &p.b.dtype, &p.c.dtype, &p.d.dtype})
    if (*dtype == DType::f16) *dtype = DType::bf16;
  return p;
}

}  // namespace

GemmRanking choose(const GemmProblem& problem, const DeviceInfo& device, const GemmMenu& menu,
                   const host::TuningDatabase& database) {
  GemmRanking ranking{rank_choices(problem, device, menu.measured), "by the model"};
  for (const std::vector<GemmConfig>* others : {&menu.unmeasured, &menu.compiled}) {
    const std::vector<GemmChoice> last = rank_choices(problem, device, *others);
    ranking.choices.insert(ranking.choices.end(), last.begin(), last.end());
  }
  const host::TuningScope scope = host::tuning_scope(device.name);
  host::TuningDatabase::Answer answer = database.find("gemm", tuning_key(problem), scope);
  const bool by_twin = !answer.tuning && problem.a.dtype == DType::f16;
  if (by_twin) answer = database.find("gemm", tuning_key(bf16_twin(problem)), scope);
  if (!answer.tuning) {
    if (!answer.why_not.empty()) ranking.reason += "; " + answer.why_not;
    return ranking;
  }
  auto& choices = ranking.choices;
  GemmChoice tuned = parse_gemm_choice(answer.tuning->config);
  if (by_twin) tuned.config.dtype = DType::f16;
  const auto at = std::find(choices.begin(), choices.end(), tuned);
  if (at == choices.end()) {
    ranking.reason += "; the tuning database says \"" + answer.tuning->config + "\", which cannot serve this problem";
    return ranking;
  }
  std::rotate(choices.begin(), at, at + 1);
  ranking.reason = "by the tuning database, measured on " + answer.tuning->measured + (by_twin ? " with bf16" : "");
  if (answer.tuning->menu != host::menu_hash(kernels_of(problem)))
    ranking.reason += "; the menu of configs has changed since, `ckl tune` tries what is new";
  return ranking;
}

}  // namespace ckl
