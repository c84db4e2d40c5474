#include "host/rows.hpp"

#include <algorithm>
#include <bit>

#include "host/ceil_div.hpp"
#include "host/dimensions.hpp"
#include "host/module.hpp"
#include "host/require.hpp"

namespace ckl::host {

RowShape RowShape::of(int rank, const std::array<std::int64_t, max_rank>& sizes, int axis,
                      const std::vector<TensorOperand>& operands, const std::vector<TensorOperand>& one_a_row) {
  std::vector<TensorOperand> all = operands;
  all.insert(all.end(), one_a_row.begin(), one_a_row.end());
  MergedDimensions outer;  // those that count rows
  for (int d = 0; d < rank; ++d) {
    if (d == axis) continue;
    std::vector<std::int64_t> steps;
    steps.reserve(all.size());
    for (const TensorOperand& operand : all) steps.push_back(operand.strides[d]);
    outer.add(sizes[d], std::move(steps));
  }

  RowShape shape;
  shape.grid.columns = sizes[axis];
  shape.grid.rows = 1;
  shape.operands.resize(all.size());
  const int dimensions = int(outer.sizes.size());
  shape.grid.dimensions = std::max(1, dimensions);
  for (int d = 0; d < max_row_dimensions; ++d) {
    shape.grid.sizes[d] = Divider::of(d < dimensions ? outer.sizes[d] : 1);
    shape.grid.rows *= d < dimensions ? outer.sizes[d] : 1;
    for (std::size_t i = 0; i < all.size(); ++i)
      shape.operands[i].strides[d] = d < dimensions ? outer.strides[d][i] : 0;
  }
  for (std::size_t i = 0; i < operands.size(); ++i) shape.operands[i].step = operands[i].strides[axis];

  shape.vectors = shape.ragged_vectors = shape.dense = true;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const TensorOperand& operand = operands[i];
    // As many elements are moved at a time as 16 bytes of the first operand have: fewer bytes of narrower ones.
    const auto vector = std::int64_t(16 / std::max(size_of(operand.dtype), size_of(operands[0].dtype)));
    const auto bytes = int(vector) * int(size_of(operand.dtype));
    const bool dense = operand.strides[axis] == 1, aligned = operand.alignment >= bytes;
    bool whole = shape.grid.columns % vector == 0, alike = aligned || operands.size() == 1;
    for (const auto& strides : outer.strides) {
      whole = whole && strides[i] % vector == 0;
      alike = alike && (strides[i] - strides[0]) % vector == 0;
    }
    shape.dense = shape.dense && dense;
    shape.vectors = shape.vectors && dense && aligned && whole;
    shape.ragged_vectors = shape.ragged_vectors && dense && alike;
  }
  return shape;
}

int row_cluster(const RowConfig& config, std::int64_t columns) {
  if (!config.is_cluster()) return 1;
  auto blocks = std::int64_t(std::bit_ceil(std::uint64_t(ceil_div(columns, config.capacity()))));
  return int(std::min<std::int64_t>(blocks, config.max_cluster()));
}

namespace {

struct Candidate {
  std::string name;
  RowConfig config;
};

/// Those of `shipped` that take rows of `dtype`, by vectors, by vectors but for the ends, or element by element.
std::vector<Candidate> able_row_configs(DType dtype, bool vectors, bool ragged, const std::vector<std::string>& shipped,
                                        RowNeeds needs) {
  std::vector<Candidate> able;
  for (const std::string& name : shipped) {
    RowConfig config = parse_row_config(name, needs);
    if (config.dtype == dtype && (config.ragged ? ragged : vectors || !config.vector)) able.push_back({name, config});
  }
  return able;
}

/// Their names, those for which order(config) is the least first.
template <class Order> std::vector<std::string> names_by(std::vector<Candidate> able, const Order& order) {
  std::stable_sort(able.begin(), able.end(),
                   [&](const Candidate& x, const Candidate& y) { return order(x.config) < order(y.config); });
  std::vector<std::string> names;
  names.reserve(able.size());
  for (Candidate& candidate : able) names.push_back(std::move(candidate.name));
  return names;
}

/// The most columns of which registers are the faster place (measured on an H200, docs/performance-guide.md): beyond, more must be under way
/// than they hold. f32 elements take less computing for their bytes, so that this counts earlier; from shared memory every pass unpacks 16-bit
/// ones again, so that with many passes it counts later.
std::int64_t longest_in_registers(DType dtype, int passes, int inputs) {
  return (dtype == DType::f32 ? 1 << 13 : passes > 2 ? 1 << 17 : 1 << 14) / inputs;
}

/// Whether so many columns leave so many threads idle that another config of the same capacity is the faster one, a ring of groups of 64
/// threads (gradients, fp8 results; measured on an H200).
bool leaves_threads_idle(const RowConfig& config, std::int64_t columns) {
  const int eighths = config.dtype == DType::f32 ? 6 : 7;
  return config.kind == RowKind::registers && config.group == 64 &&
         columns * 8 < std::int64_t(config.capacity()) * eighths;
}

/// Of configs of the same capacity, which one's threads are the best for so many columns (measured on an H200): fewer of 128 bytes each where
/// some of them would be idle, those of 64 bytes for rows that fill them.
int rank_of_threads(const RowConfig& config, std::int64_t columns) {
  if (!config.twice) return leaves_threads_idle(config, columns) ? 2 : 1;
  const int eighths = config.group > 32 ? 7 : 6;
  return columns * 8 <= std::int64_t(config.capacity()) * eighths ? 0 : 3;
}

}  // namespace

std::vector<std::string> rank_row_configs(DType dtype, std::int64_t columns, bool vectors,
                                          const std::vector<std::string>& shipped, RowNeeds needs, int passes,
                                          bool ragged) {
  std::vector<Candidate> able = able_row_configs(dtype, vectors, ragged, shipped, needs);
  std::erase_if(able, [columns](const Candidate& candidate) { return columns > candidate.config.max_columns(); });
  // Vectors before elements; what reads a row once before what reads it twice; registers before shared memory, but for the longest rows;
  // few elements beyond the row, so that many rows are in flight; what is made for such rows first where that pays, else last; registers alone
  // before a pipeline, which is for rows that have to be shared.
  const bool in_shared = columns > longest_in_registers(dtype, passes, needs.inputs);
  return names_by(std::move(able), [in_shared, columns](const RowConfig& c) {
    return std::array<int, 8>{!c.vector,
                              c.kind == RowKind::stream,
                              c.kind == RowKind::team,
                              (c.kind == RowKind::shared) != in_shared,
                              c.capacity(),
                              rank_of_threads(c, columns),
                              !c.plain,
                              int(c.kind)};
  });
}

std::vector<std::string> rank_passing_row_configs(DType dtype, std::int64_t columns, bool vectors,
                                                  const std::vector<std::string>& shipped, RowNeeds needs) {
  std::vector<Candidate> able = able_row_configs(dtype, vectors, vectors, shipped, needs);
  std::erase_if(able, [columns](const Candidate& candidate) {  // a pipeline counts columns in 32 bits
    const RowConfig& c = candidate.config;
    return (c.kind == RowKind::pipeline && columns >= std::int64_t(1) << 31) || (c.ragged && columns > c.max_columns());
  });
  // Vectors before elements; what takes the row in one piece with few elements beyond it, so that many rows are in flight; else the most.
  return names_by(std::move(able), [columns](const RowConfig& c) {
    const bool in_one_piece = c.ragged || columns <= c.piece();
    return std::array<int, 3>{!c.vector, !in_one_piece, in_one_piece ? c.capacity() : -c.group};
  });
}

namespace {

/// Blocks, or clusters, of a pipeline: as many as there is room for at a time if they are persistent. Else each group takes as many rows as
/// its stages hold, but no more than leave some waves of blocks: the hardware gives them to SMs that are early. One wave of persistent
/// blocks ends with the slowest SM.
std::int64_t pipeline_clusters(const RowConfig& config, const Launch& launch, const RowGrid& grid, int device) {
  constexpr std::int64_t waves = 4;
  const std::int64_t resident = max_active_clusters(launch, device_info(device));
  if (config.needs.persistent) return std::min(grid.rows, resident);
  const std::int64_t groups = config.rows_per_block();
  const std::int64_t held = std::max<std::int64_t>(1, config.needs.stages / ceil_div(grid.part, config.piece()));
  return ceil_div(grid.rows, groups * std::clamp<std::int64_t>(grid.rows / (resident * groups * waves), 1, held));
}

/// As many teams as there are SMs for, each of as many blocks: their number depends on the rows' length, but not on how many there are.
Launch prepare_team(const char* op, const RowConfig& config, Launch launch, RowGrid& grid, int device) {
  const std::int64_t sms = device_info(device).sm_count, least = ceil_div(grid.columns, config.capacity());
  require_supported(least <= sms, op, " by ", launch.threads, " threads an SM takes rows of ", sms * config.capacity(),
                    " columns at most, but this problem has ", grid.columns);
  const std::int64_t teams = sms / least, vector = config.vector_elements();
  grid.part = ceil_div(ceil_div(grid.columns, sms / teams), vector) * vector;
  grid.clusters = int(std::min(teams, grid.rows));
  launch.grid = unsigned(grid.clusters * ceil_div(grid.columns, grid.part));
  require_supported(grid.rows < std::int64_t(1) << 31, op, " takes fewer than 2^31 rows of ", grid.columns,
                    " columns, but this problem has ", grid.rows);
  return launch;
}

}  // namespace

Launch prepare_rows(const char* op, const std::string& name, RowGrid& grid, int device, RowNeeds needs) {
  RowConfig config = parse_row_config(name, needs);
  require(config.group > 0, "config must be one of rows, but is \"", name, "\"");
  Launch launch;
  launch.kernel = find_kernel(op, name);
  launch.overlaps_preceding = config.is_ahead();
  launch.threads = unsigned(config.block_threads());
  launch.cluster = unsigned(row_cluster(config, grid.columns));
  launch.shared_bytes = std::size_t(config.shared_bytes());
  launch.at_once = config.kind == RowKind::team;
  launch.load_balanced = config.plain && launch.cluster > 2;  // on an H200, others gain nothing
  prepare(launch, device);
  if (config.kind == RowKind::team) return prepare_team(op, config, launch, grid, device);
  grid.part = grid.columns;
  if (config.is_cluster()) {
    int vector = config.vector_elements();
    grid.part = ceil_div(ceil_div(grid.columns, launch.cluster), vector) * vector;
  }
  std::int64_t clusters = ceil_div(grid.rows, config.rows_per_block());
  if (config.kind == RowKind::pipeline) clusters = pipeline_clusters(config, launch, grid, device);
  std::int64_t blocks = clusters * launch.cluster;
  if (config.kind == RowKind::pipeline)
    require_supported(grid.rows < std::int64_t(1) << 31, op, " takes fewer than 2^31 rows of ", grid.columns,
                      " columns, but this problem has ", grid.rows);
  require_supported(blocks < std::int64_t(1) << 31, op, " takes fewer than 2^31 blocks, but this problem needs ",
                    blocks);
  launch.grid = unsigned(blocks);
  grid.clusters = int(clusters);
  return launch;
}

}  // namespace ckl::host
