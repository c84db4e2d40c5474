#include "ops/reduce/choice.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "device/mailbox.hpp"
#include "host/ceil_div.hpp"
#include "host/dimensions.hpp"
#include "host/require.hpp"

namespace ckl {

namespace {

using host::ceil_div;

/// Whether the result may depend on the elements' places.
bool looks_at_places(ReduceOp op) { return op == ReduceOp::argmin || op == ReduceOp::argmax || op == ReduceOp::custom; }

using Dimensions = std::vector<ReduceShape::Dimension>;

Dimensions merged(const Dimensions& dimensions) {
  host::MergedDimensions merging;
  for (const auto& d : dimensions) merging.add(d.size, {d.x, d.y});
  Dimensions result;
  for (std::size_t i = 0; i < merging.sizes.size(); ++i)
    result.push_back({merging.sizes[i], merging.strides[i][0], merging.strides[i][1]});
  return result;
}

/// A dimension of size 1 has a stride of 1 where nobody knew it (as in DLPack): if a larger one lies as close, it is that of a dense tensor.
void set_unknown_strides(Dimensions& all) {
  if (std::none_of(all.begin(), all.end(), [](const auto& d) { return d.size > 1 && d.x == 1; })) return;
  std::int64_t dense = 1;
  for (auto d = all.rbegin(); d != all.rend(); dense = d->size * d->x, ++d)
    if (d->size == 1 && d->x == 1) d->x = dense;
}

Dimensions kept_of(const Dimensions& all) {
  Dimensions kept;
  std::copy_if(all.begin(), all.end(), std::back_inserter(kept), [](const auto& d) { return !d.reduced; });
  return kept;
}

/// Merged; if `apart`, without those between which a kept dimension lies, be it of size 1.
Dimensions reduced_of(const Dimensions& all, bool apart) {
  Dimensions reduced, neighbours;
  const auto flush = [&] {
    const Dimensions one = merged(neighbours);
    reduced.insert(reduced.end(), one.begin(), one.end());
    neighbours.clear();
  };
  for (const auto& d : all) {
    if (d.reduced) neighbours.push_back(d);
    if (!d.reduced && apart) flush();
  }
  flush();
  return reduced;
}

/// Whether the last dimension can be loaded by vectors of `vector` elements, but for some at its ends.
bool has_vectors(const Dimensions& dimensions, std::int64_t vector) {
  return dimensions.back().x == 1 && dimensions.back().size >= vector;
}

/// Whether it begins on a vector at each index of the other dimensions, and of `others`.
bool begins_on_vectors(const Dimensions& dimensions, const Dimensions& others, std::int64_t vector) {
  auto whole = [vector](const ReduceShape::Dimension& d) { return d.x % vector == 0; };
  return std::all_of(dimensions.begin(), dimensions.end() - 1, whole) &&
         std::all_of(others.begin(), others.end(), whole);
}

}  // namespace

std::string entry_of(const ReduceConfig& c) {
  return host::sentence(name(c.family), '_', name(c.dtype), '_', name(c.kind), c.vector ? "_vec" : "_any");
}

std::string to_string(const ReduceChoice& c) {
  std::string text = entry_of(c.config);
  if (c.config.kind != ReduceKind::block || c.width > 1) text += host::sentence("_w", c.width);
  if (c.staged) text += "_staged";
  if (c.once) text += "_once";
  if (c.config.kind != ReduceKind::warp) text += host::sentence(c.clustered ? "_c" : "_s", c.splits);
  return text;
}

ReduceFamily family_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::product: return ReduceFamily::product;
    case ReduceOp::min:
    case ReduceOp::max:
    case ReduceOp::any:
    case ReduceOp::all: return ReduceFamily::extreme;
    case ReduceOp::argmin:
    case ReduceOp::argmax: return ReduceFamily::arg;
    case ReduceOp::log_sum_exp: return ReduceFamily::lse;
    case ReduceOp::l2:
    case ReduceOp::variance:
    case ReduceOp::deviation: return ReduceFamily::moments;
    case ReduceOp::custom: return ReduceFamily::custom;
    default: return ReduceFamily::sum;
  }
}

ReduceShape ReduceShape::of(const ReduceProblem& p) {
  ReduceShape shape;
  Dimensions all;
  for (int d = 0; d < p.rank; ++d) {
    all.push_back({p.sizes[d], p.x.strides[d], p.y.strides[d], p.reduced[d]});
    (p.reduced[d] ? shape.count : shape.outputs) *= p.sizes[d];
  }
  if (p.batch_invariant) set_unknown_strides(all);
  Dimensions sorted = all;
  auto rank = [](const Dimension& d) { return d.x == 0 ? INT64_MAX : std::abs(d.x); };  // repetitions come first
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Dimension& a, const Dimension& b) { return rank(a) > rank(b); });
  // With batch_invariant, a kept dimension of size 1 is looked at as if it were larger.
  const Dimensions unmerged = kept_of(sorted);
  shape.kept = merged(unmerged);
  shape.reduced = reduced_of(looks_at_places(p.op) ? all : sorted, p.batch_invariant);  // places are counted in C order
  const Dimensions others = p.batch_invariant ? unmerged : shape.kept;
  for (Dimensions* dimensions : {&shape.kept, &shape.reduced})
    if (dimensions->empty()) dimensions->push_back({1, 0, 0});
  const Dimensions &rows = shape.reduced, &columns = shape.kept;

  const auto distance = [](const Dimension& d) { return d.size == 1 ? INT64_MAX : std::abs(d.x); };
  shape.rows_first = distance(rows.back()) <= distance(columns.back());
  if (p.batch_invariant) {
    std::erase_if(sorted, [](const Dimension& d) { return d.reduced && d.size == 1; });
    shape.rows_first = sorted.empty() || sorted.back().reduced;
  }
  shape.adjacent_rows = rows.size() == 1 && rows[0].x == 1 && columns.size() == 1 && columns[0].x == shape.count;
  if (p.x.alignment >= 16) {
    const auto vector = std::int64_t(16 / size_of(p.x.dtype));
    const bool begin = begins_on_vectors(rows, others, vector);
    shape.whole_rows = has_vectors(rows, vector) && begin && rows.back().size % vector == 0;
    // A row's bits may depend on where it begins, but for batch_invariant.
    shape.vector_rows =
        shape.whole_rows || (has_vectors(rows, vector) && rows.size() == 1 && (begin || !p.batch_invariant));
    shape.vector_runs = has_vectors(rows, vector) && rows.size() > 1 && (begin || !p.batch_invariant);
    shape.vector_columns =
        has_vectors(columns, vector) && begins_on_vectors(columns, rows, vector) && columns.back().size % vector == 0;
  }
  return shape;
}

// ---- rank --------------------------------------------------------------------------------------------------------------

namespace {

/// What the rankers look at.
struct Ranking {
  const ReduceProblem& problem;
  const ReduceShape& shape;
  const DeviceInfo& device;
  std::vector<ReduceChoice> choices;

  ReduceConfig config(ReduceKind kind, bool vector) const {
    return {family_of(problem.op), problem.x.dtype, kind, vector, true};
  }

  void add(const ReduceChoice& choice) {
    if (std::find(choices.begin(), choices.end(), choice) == choices.end()) choices.push_back(choice);
  }

  /// Short rows that lie one right behind the other, unless whole vectors of theirs fill the lanes. Of longer ones a warp's loads make more
  /// than their ends take. Of one row alone nobody knows that others lie behind it.
  static constexpr std::int64_t most_staged = 512;  // bytes
  void add_staged_rows() {
    if (problem.batch_invariant) return;
    const ReduceConfig warp = config(ReduceKind::warp, false);
    const std::int64_t units = shape.whole_rows ? shape.count * std::int64_t(size_of(problem.x.dtype)) / 16 : 0;
    if (10 * units >= 9 * std::int64_t(std::bit_ceil(std::uint64_t(units)))) return;
    const std::int64_t row_bytes = shape.count * std::int64_t(size_of(problem.x.dtype));
    if (row_bytes == 0 || row_bytes > most_staged || problem.x.alignment < 16 || !shape.adjacent_rows) return;
    for (int width = 1; width <= ReduceConfig::warp; width *= 2) {
      const std::int64_t bytes = warp.threads() / width * row_bytes;
      if (bytes <= ReduceConfig::stage_bytes && bytes % 16 == 0) return add({warp, width, 1, false, true});
    }
  }

  void add_rows(bool vector) {
    const ReduceConfig warp = config(ReduceKind::warp, vector), block = config(ReduceKind::block, vector);
    const std::int64_t units = ceil_div(shape.count, block.vector_elements());
    // As few lanes as have a row under way at once, but so many that they load whole lines: the fewer, the less is left to exchange.
    const auto lanes = [](std::int64_t wanted) {
      return int(std::bit_ceil(std::uint64_t(std::clamp<std::int64_t>(wanted, 1, ReduceConfig::warp))));
    };
    // Where that is more than a number, two batches a lane are better than one, unless exponentials are what takes time.
    const bool exponentials = warp.family == ReduceFamily::lse && size_of(warp.dtype) == 2;
    const int batches = warp.state_bytes() > 8 && !exponentials ? 2 : 1;
    int width =
        std::max(lanes(ceil_div(units, batches * warp.loads())), lanes(std::min<std::int64_t>(units, warp.line())));
    // Where rows of a warp each make few waves, whoever is in the last one has few others beside it: as many warps a row as have two
    // batches each, or one.
    const double waves =
        double(shape.outputs * width) / double(std::int64_t(device.sm_count) * warp.blocks_per_sm() * warp.threads());
    if (!problem.batch_invariant && width == ReduceConfig::warp && waves < (exponentials ? 4 : 2.5))
      while (width < warp.threads() && units >= (exponentials ? 2 : 4) * width * warp.loads()) width *= 2;
    // Half a batch of a warp's loads is not worth a block. Longer rows a warp streams without ever waiting for another, but it needs
    // company to fill the memory's latency.
    const std::int64_t row_bytes = shape.count * std::int64_t(size_of(problem.x.dtype));
    const bool many = shape.outputs >= 16 * std::int64_t(device.sm_count);
    const bool by_warps = row_bytes <= 2048 || row_bytes <= (problem.batch_invariant ? 16384 : many ? 65536 : 0);
    if (by_warps) add({warp, width});
    for (const ReduceChoice& choice : block_choices(block, units)) add(choice);
    add({warp, width});
  }

  /// Blocks that share an output, or a tile of outputs, and how much of the device's bandwidth that promises.
  struct Sharing {
    std::int64_t splits;
    double use;
  };

  /// For `groups` outputs, or tiles of them, of `batches` batches of loads each, which at most `sharers` blocks share.
  Sharing share(const ReduceConfig& config, std::int64_t groups, std::int64_t batches,
                std::int64_t sharers = INT64_MAX) const {
    const std::int64_t room = std::int64_t(device.sm_count) * config.blocks_per_sm();
    const std::int64_t most = std::clamp<std::int64_t>(4 * room / groups, 1, std::min(batches, sharers));
    Sharing best{1, 0};
    for (std::int64_t splits = 1; splits <= most; ++splits) {
      const double waves = double(splits * groups) / double(room);
      // A block loads nothing while it begins and ends, about a quarter of a batch's time.
      const double each = double(batches) / double(splits);
      double use = filled(config, waves) * each / (each + 0.25);
      // Where they have few and run at the same time, all wait for those that have one more.
      if (config.kind == ReduceKind::block && each < 6 && waves <= 1) use *= each / std::ceil(each);
      // What blocks of columns leave is a tile each; the more, the longer the last one takes. Some have a batch more than others.
      if (config.kind == ReduceKind::columns && splits > 1)
        use *= (0.975 - 0.005 * std::log2(double(splits))) * each / std::ceil(each) *
               (config.loads() < 8 && waves > 1 ? 0.9 : 1);
      if (use > best.use) best = {splits, use};
    }
    return best;
  }

  /// How much of the device's bandwidth a grid of so many waves of blocks takes.
  static double filled(const ReduceConfig& config, double waves) {
    // Blocks of columns load little at a time each. What remains for the last wave takes as long as three fifths of one: a little less than
    // a whole one is best. Where three blocks of eight loads fit, two thirds of those are enough, but they wait for the slowest
    // multiprocessor, while with a quarter of a wave more, who is done early takes another.
    const bool columns = config.kind == ReduceKind::columns, eight = config.loads() >= 8;
    const double whole = std::floor(waves), rest = waves - whole;
    if (columns && eight && (!config.vector || config.blocks_per_sm() < 4))
      return waves < 1.25 ? 0.95 * std::min(1.0, 1.5 * waves) : 1;
    if (columns && waves <= 1) return 0.94 * (waves < 0.98 ? waves : 0.95);
    if (columns) return 0.905 * waves / (whole + (rest > 0 ? std::max(rest, 0.6) : 0.05));
    // Of what remains for the last wave, half as many blocks load three quarters as fast.
    return waves / (whole + (rest > 0 ? rest / (1 - (1 - rest) * (1 - rest)) : 0));
  }

  /// Clusters of 16 blocks that run at a time. The driver is asked for those of 8; a group of multiprocessors that holds two of them holds one
  /// of 16, there are up to 8 groups, and none holds three.
  std::int64_t clusters_of_16() const {
    constexpr int most_groups = 8;
    return device.clusters_of_8 - most_groups;
  }

  /// Whether a cluster of so many blocks for each output runs on half of the multiprocessors, all of them at a time.
  bool holds_clusters(std::int64_t blocks) const {
    if (blocks > ReduceConfig::largest_cluster || 2 * blocks * shape.outputs > device.sm_count) return false;
    return blocks <= ReduceConfig::max_cluster || shape.outputs <= clusters_of_16();
  }

  /// Few rows are shared by several blocks each.
  std::vector<ReduceChoice> block_choices(const ReduceConfig& block, std::int64_t units) const {
    const std::int64_t batches = std::max<std::int64_t>(ceil_div(units, block.threads() * block.loads()), 1);
    std::int64_t blocks = problem.batch_invariant ? std::clamp<std::int64_t>(batches / 8, 1, 64)
                                                  : share(block, shape.outputs, batches).splits;
    std::vector<ReduceChoice> choices;
    // A cluster meets without a trip to the L2, but few of them fit the device at a time.
    const auto cluster = std::int64_t(std::bit_ceil(std::uint64_t(blocks)));
    const bool fits = problem.batch_invariant ? cluster <= ReduceConfig::max_cluster : holds_clusters(cluster);
    if (blocks > 1 && fits) choices.push_back({block, 1, cluster, true});
    // Where that leaves half of the multiprocessors without work, twice as many take half a batch each, of a few wide elements: what is not
    // there is added up as well.
    const bool halves =
        !problem.batch_invariant && block.vector && size_of(block.dtype) >= 4 && block.state_bytes() <= 8;
    if (halves && blocks > 1 && blocks == batches && 2 * blocks * shape.outputs <= device.sm_count)
      blocks = ceil_div(units, block.threads() * block.loads() / 2);
    choices.push_back({block, 1, blocks, false});  // through the workspace
    choices.push_back({block, 1, 1, false});
    if (batches > 1) choices.push_back({block, 1, ReduceConfig::max_cluster, true});
    return choices;
  }

  /// Rows that consist of runs of neighbours. Those of less than half a batch's loads a warp are best taken vector by vector, where whole.
  void add_runs() {
    const ReduceConfig block = config(ReduceKind::block, true);
    const std::int64_t units = shape.reduced.back().size / block.vector_elements(), most = block.threads();
    const auto width =
        std::int64_t(std::bit_ceil(std::uint64_t(std::clamp<std::int64_t>(units / block.loads(), 4, most))));
    if (shape.whole_rows && width < ReduceConfig::warp) return;
    const std::int64_t runs = shape.count / shape.reduced.back().size;
    const std::int64_t turns = ceil_div(runs, most / width);
    const std::int64_t splits =
        problem.batch_invariant ? std::min<std::int64_t>(turns, 8) : share(block, shape.outputs, turns).splits;
    add({block, int(width), splits});
    add({block, int(width), 1});
  }

  /// Columns of so few rows that the threads of a block have them in one batch of loads.
  void add_columns_once() {
    const ReduceConfig columns = config(ReduceKind::columns, true);
    const int most = ReduceConfig::loads_once;
    if (problem.batch_invariant || !columns.has_once() || shape.count <= most || shape.count > 8 * most) return;
    const std::int64_t inner = shape.kept.back().size / columns.vector_elements();
    const auto height = int(std::bit_ceil(std::uint64_t(ceil_div(shape.count, most))));
    for (int width = columns.threads() / height; width >= 16; width /= 2)  // few threads beside the last column
      if (10 * inner >= 6 * ceil_div(inner, width) * width) return add({columns, width, 1, false, false, true});
  }

  void add_columns(bool vector) {
    const ReduceConfig columns = config(ReduceKind::columns, vector);
    const std::int64_t inner = shape.kept.back().size / columns.vector_elements();
    const std::int64_t slabs = shape.outputs / shape.kept.back().size;
    const int loads = problem.batch_invariant ? columns.by_vectors().loads() : columns.loads();
    auto batches = [&](int width) {
      return std::max<std::int64_t>(ceil_div(shape.count, columns.threads() / width * loads), 1);
    };

    int width = 32;  // half a kilobyte or more of a row
    std::int64_t blocks = std::clamp<std::int64_t>(batches(width) / 32, 1, 64);
    if (!problem.batch_invariant) {
      // The fewer threads side by side, the more of them share the rows; but lines are to be read whole, and by neighbours.
      double best = 0;
      const int widest = int(std::bit_ceil(std::uint64_t(std::min<std::int64_t>(inner, columns.threads()))));
      for (int w = widest; w == widest || w >= columns.line(); w /= 2) {
        const std::int64_t tiles = ceil_div(inner, w);
        // Tiles of more columns than a block has threads are not shared.
        const std::int64_t sharers = w * columns.vector_elements() > columns.threads() ? 1 : INT64_MAX;
        const Sharing sharing = share(columns, slabs * tiles, batches(w), sharers);
        const double use = sharing.use * double(inner) / double(tiles * w);  // but for threads beside the last column
        if (use > best) best = use, width = w, blocks = sharing.splits;
      }
    }
    add({columns, width, blocks});
    add({columns, width, 1});
    add({columns, 32, 1});
  }
};

}  // namespace

std::vector<ReduceChoice> rank_reduce_choices(const ReduceProblem& problem, const ReduceShape& shape,
                                              const DeviceInfo& device) {
  Ranking ranking{problem, shape, device, {}};
  const bool columns_only = problem.batch_invariant && !shape.rows_first;
  if (!columns_only) {
    ranking.add_staged_rows();
    if (shape.vector_runs) ranking.add_runs();
    if (shape.vector_rows) ranking.add_rows(true);
  }
  if (shape.vector_columns) {
    ranking.add_columns_once();
    ranking.add_columns(true);
  }
  // Element by element along whichever elements lie closer together.
  if (shape.rows_first) ranking.add_rows(false);
  ranking.add_columns(false);
  if (!shape.rows_first) ranking.add_rows(false);
  return ranking.choices;
}

// ---- make ready ----------------------------------------------------------------------------------------------------------

namespace {

/// `dimensions` but the last ones, `without` of them.
ReduceDimensions dimensions_of(const Dimensions& dimensions, int without) {
  ReduceDimensions result{1, 0, {}, {}};
  for (int d = 0; d < int(dimensions.size()) - without; ++d) {
    result.count *= dimensions[d].size;
    result.sizes[result.rank] = Divider::of(dimensions[d].size);
    result.strides[result.rank++] = dimensions[d].x;
  }
  result.rank = std::max(result.rank, 1);  // of size 1, without a stride
  return result;
}

}  // namespace

ReduceWork ReduceWork::of(const ReduceProblem& problem, const ReduceShape& shape, const ReduceChoice& choice) {
  const ReduceConfig& config = choice.config;
  const bool columns = config.kind == ReduceKind::columns;
  const ReduceShape::Dimension& inner = columns ? shape.kept.back() : shape.reduced.back();
  ReduceWork work;
  ReduceParams& p = work.params;
  p.kept = dimensions_of(shape.kept, columns ? 1 : 0);
  p.reduced = dimensions_of(shape.reduced, columns ? 0 : 1);
  for (int d = 0; d < int(shape.kept.size()) - (columns ? 1 : 0); ++d) p.y_strides[d] = shape.kept[d].y;
  p.inner = inner.size;
  p.inner_step = inner.x;
  p.inner_y_step = inner.y;
  const int vector = config.vector_elements();
  p.units = Divider::of(inner.size / vector);
  p.count = shape.count;
  p.op = problem.op;
  p.y_dtype = problem.y.dtype;
  p.divisor = double(shape.count);
  if (problem.op != ReduceOp::mean) p.divisor = std::max(p.divisor - problem.correction, 0.0);

  p.width_log2 = std::countr_zero(unsigned(choice.width));
  p.splits = Divider::of(choice.splits);
  p.clustered = choice.clustered;
  p.staged = choice.staged;
  p.once = choice.once;
  p.invariant = problem.batch_invariant;
  std::int64_t groups;  // of blocks that share outputs
  if (config.kind == ReduceKind::warp) {
    const std::int64_t loads = std::max<std::int64_t>(ceil_div(p.reduced.count * p.units.divisor, choice.width), 1);
    const bool several = !choice.staged && loads < config.loads() && (!config.vector || shape.whole_rows);
    p.loads_log2 = several ? std::bit_width(std::uint64_t(loads - 1)) : -1;
    groups = ceil_div(shape.outputs, config.threads() / choice.width * (several ? config.loads() >> p.loads_log2 : 1));
  } else if (config.kind == ReduceKind::block) {
    groups = shape.outputs;
    int loads = config.loads();
    while (loads > 1 && choice.splits > ceil_div(p.reduced.count * p.units.divisor, config.threads() * loads))
      loads /= 2;
    p.loads_log2 = std::bit_width(unsigned(loads)) - 1;
  } else {
    const std::int64_t tiles = ceil_div(p.units.divisor, choice.width);
    p.tiles = Divider::of(tiles);
    groups = p.kept.count * tiles;
  }
  work.blocks = groups * choice.splits;
  if (choice.splits > 1 && !choice.clustered) {
    const std::int64_t bytes =
        ckl::mailbox_bytes(work.blocks * choice.width, (columns ? vector : 1) * config.state_bytes());
    work.mailbox_bytes = std::size_t(config.adds_f64() ? bytes / 2 : bytes);
  }
  return work;
}

}  // namespace ckl
