#include "ops/gemm/product.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>
#include <vector>

#include "host/ceil_div.hpp"
#include "host/require.hpp"
#include "host/tensor_map.hpp"
#include "ops/gemm/problem.hpp"
#include "ops/pad/pad.hpp"

namespace ckl {

namespace {

/// Tiles in units of clusters. Rows of tiles that are visited together share B in L2 as columns share A.
TileGrid tile_grid(const GemmProblem& p, const GemmConfig& config) {
  std::int64_t tiles_m = host::ceil_div(p.m, config.tile_m * config.cluster_m),
               tiles_n = host::ceil_div(p.n, config.tile_n * config.cluster_n);
  constexpr std::int64_t max_tiles = std::numeric_limits<int>::max() / 4;
  host::require_supported(tiles_m < max_tiles && tiles_n < max_tiles && tiles_m * tiles_n * p.batch < max_tiles,
                          "m and n must make fewer than ", max_tiles, " tiles of ", config.tile_m, "x", config.tile_n,
                          ", but m is ", p.m, " and n is ", p.n);
  int group = std::clamp(gemm_group_rows / (config.tile_m * config.cluster_m), 1, int(tiles_m));
  return TileGrid::of(int(tiles_m), int(tiles_n), int(p.batch), group);
}

/// A descriptor that run() points at the data. Encoding wants an address, so it gets an aligned one.
TensorMap matrix_map(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride,
                     int box_contiguous, int box_other, int swizzle_bytes) {
  alignas(16) static const char somewhere[16] = {};
  auto per_16_bytes = std::int64_t(16 / size_of(dtype));
  // One matrix: the batch stride is never stepped, but must be a legal one.
  return host::encode(
      {dtype, contiguous, other, 1, other_stride, per_16_bytes, box_contiguous, box_other, swizzle_bytes}, somewhere);
}

/// The maps of an operand with tiles of `tile` rows, which `sharers` CTAs load together, in clusters of `clustered` tiles.
OperandMaps operand_maps(const GemmOperand& x, Major major, std::int64_t mn, std::int64_t k, std::int64_t mn_stride,
                         std::int64_t k_stride, int box_contiguous, int box_other, int tile, int sharers,
                         int clustered) {
  constexpr int swizzled_rows = 8;  // a box is made of whole ones
  const int swizzle_bytes = box_contiguous * int(size_of(x.dtype));
  OperandMaps maps{};
  maps.last_tile = maps.no_tile;
  maps.hint = CacheHint::normal;
  if (major == Major::mn) {
    maps.whole = matrix_map(x.dtype, mn, k, k_stride, box_contiguous, box_other, swizzle_bytes);
    maps.last_rows = tile % box_contiguous;
    if (maps.last_rows) maps.last = matrix_map(x.dtype, mn, k, k_stride, maps.last_rows, box_other, swizzle_bytes);
    return maps;
  }
  maps.whole = matrix_map(x.dtype, k, mn, mn_stride, box_contiguous, box_other, swizzle_bytes);
  if (mn % (std::int64_t(tile) * clustered) == 0) return maps;
  const int share = int((mn % tile + sharers - 1) / sharers);
  maps.last_tile = int(mn / tile);
  maps.last_rows = std::max(1, (share + swizzled_rows - 1) / swizzled_rows) * swizzled_rows;
  maps.last = matrix_map(x.dtype, k, mn, mn_stride, box_contiguous, maps.last_rows, swizzle_bytes);
  return maps;
}

/// An operand, taken as (mn, k), as a matrix with its major mode along the rows.
PadSource pad_source(Major major, std::int64_t mn, std::int64_t k, std::int64_t mn_stride, std::int64_t k_stride) {
  return major == Major::k ? PadSource{mn, k, mn_stride, k_stride} : PadSource{k, mn, k_stride, mn_stride};
}

}  // namespace

ProductLauncher::ProductLauncher(const GemmProblem& problem, const GemmChoice& choice, cudaKernel_t kernel,
                                 const DeviceInfo& device)
    : swapped_(choice.config.swapped), epilogue_(problem.epilogue), fused_(fuses(problem)), padding_(choice.padding) {
  const GemmProblem seen = kernel_view(problem, choice.config);
  launch_.kernel = kernel;
  fill_params(padded(seen, padding_), choice.config);
  prepare_launch(choice, device);
  prepare_padding(seen);
}

void ProductLauncher::run(const GemmPointers& pointers, void* workspace, Stream stream) const {
  if (fused_) {
    const NamedEpilogueParams epilogue = epilogue_params(pointers);
    run_with(pointers, &epilogue, sizeof(epilogue), workspace, stream);
  } else {
    const GemmParams params = prepare_run(pointers, workspace, stream);
    host::launch(launch_, &params, stream);
  }
}

void ProductLauncher::run_with(const GemmPointers& pointers, const void* epilogue, std::size_t bytes, void* workspace,
                               Stream stream) const {
  // GemmFusedParams of any epilogue: what follows GemmParams begins at the same place.
  struct {
    GemmParams gemm;
    alignas(max_epilogue_align) unsigned char epilogue[max_epilogue_params];
  } params{prepare_run(pointers, workspace, stream), {}};
  std::memcpy(params.epilogue, epilogue, bytes);
  host::launch(launch_, &params, stream);
}

GemmParams ProductLauncher::prepare_run(const GemmPointers& pointers, void* workspace, Stream stream) const {
  const void *a = pointers.a, *b = pointers.b;
  if (swapped_) std::swap(a, b);
  char* at = static_cast<char*>(workspace);
  if (pad_) {
    const void* from[max_padded_matrices];
    void* to[max_padded_matrices];
    int count = 0;
    for (auto [is_padded, operand, offset] : {std::tuple{padding_.a, &a, padded_a_}, {padding_.b, &b, padded_b_}}) {
      if (!is_padded) continue;
      from[count] = *operand;
      to[count++] = at + offset;
      *operand = at + offset;
    }
    pad_->run(from, to, stream);
  }
  GemmParams params = params_;
  if (cuts_tiles_) {
    params.fixup_flags = static_cast<int*>(workspace);
    params.fixup_slots = reinterpret_cast<float*>(at + flags_bytes);
  }
  params.a.data = const_cast<void*>(a);
  params.b.data = const_cast<void*>(b);
  params.d.data = pointers.d;
  params.epilogue.c.data = const_cast<void*>(pointers.c);
  if (loads_by_tma_) {
    for (auto [maps, data] : {std::pair{&params.a_maps, a}, {&params.b_maps, b}}) {
      host::replace_address(maps->whole, data);
      if (maps->last_rows) host::replace_address(maps->last, data);
    }
  }
  if (params.d_by_tma) host::replace_address(params.d_map, pointers.d);
  return params;
}

void ProductLauncher::fill_params(const GemmProblem& p, const GemmConfig& config) {
  const GemmProblem by_rows = kernel_view(p, config);  // D as it lies in memory
  loads_by_tma_ = config.load == Load::tma;
  params_.m = p.m;
  params_.n = p.n;
  params_.k = p.k;
  params_.a = {nullptr, p.a.row_stride, p.a.column_stride, p.a.batch_stride};
  params_.b = {nullptr, p.b.column_stride, p.b.row_stride, p.b.batch_stride};
  params_.d = {nullptr, p.d.row_stride, p.d.column_stride, p.d.batch_stride};
  params_.d_dtype = p.d.dtype;
  params_.epilogue = {{nullptr, p.c.row_stride, p.c.column_stride, p.c.batch_stride}, p.alpha, p.beta};
  params_.d_by_tma = traits_of(by_rows).stores_by_tma;
  params_.c_by_vectors = moves_by_vectors(by_rows.c);
  params_.d_by_vectors = moves_by_vectors(p.d);
  params_.tiles = tile_grid(p, config);
  if (loads_by_tma_) {
    params_.a_maps =
        operand_maps(p.a, config.a_major, p.m, p.k, p.a.row_stride, p.a.column_stride, config.box_contiguous(),
                     config.a_box_other(), config.tile_m, config.cluster_n, config.cluster_m);
    params_.b_maps =
        operand_maps(p.b, config.b_major, p.n, p.k, p.b.column_stride, p.b.row_stride, config.box_contiguous(),
                     config.b_box_other(), config.tile_n, config.cluster_m, config.cluster_n);
    // What is read once need not stay in L2; what is read with it, many times, should.
    const bool a_once = p.n <= config.tile_n * config.cluster_n, b_once = p.m <= config.tile_m * config.cluster_m;
    if (a_once != b_once) {
      params_.a_maps.hint = a_once ? CacheHint::evict_first : CacheHint::evict_last;
      params_.b_maps.hint = b_once ? CacheHint::evict_first : CacheHint::evict_last;
    }
  }
  if (params_.d_by_tma) {
    int box_columns = config.d_box_columns(int(size_of(p.d.dtype)));
    params_.d_map = matrix_map(p.d.dtype, by_rows.d_columns(), by_rows.m, by_rows.d.row_stride, box_columns,
                               GemmConfig::d_box_m, box_columns * int(size_of(p.d.dtype)));
  }
}

/// What is not used gets no pointer, by which the kernel knows.
NamedEpilogueParams ProductLauncher::epilogue_params(const GemmPointers& x) const {
  auto vector = [](const GemmVector& v, const void* data) {
    return EpilogueVector{v.used ? data : nullptr, v.stride, v.dtype};
  };
  auto matrix = [](bool used, const GemmOperand& m, const void* data) {
    return EpilogueMatrix{{used ? const_cast<void*>(data) : nullptr, m.row_stride, m.column_stride, m.batch_stride},
                          m.dtype,
                          moves_by_vectors(m)};
  };
  const GemmEpilogue& e = epilogue_;
  NamedEpilogueParams out{};
  out.row_scale = vector(e.a_scale, x.a_scale);
  out.column_scale = vector(e.b_scale, x.b_scale);
  out.d_scale = vector(e.d_scale, x.d_scale);
  out.row_bias = vector(e.row_bias, x.row_bias);
  out.column_bias = vector(e.column_bias, x.column_bias);
  out.residual = matrix(e.has_residual, e.residual, x.residual);
  out.aux = matrix(e.has_aux, e.aux, x.aux);
  out.activation = e.activation;
  out.gated = e.gated;
  out.by_fragments = moves_by_fragments(params_, out);
  return out;
}

void ProductLauncher::prepare_launch(const GemmChoice& choice, const DeviceInfo& device) {
  const GemmConfig& config = choice.config;
  launch_.threads = unsigned(config.threads());
  launch_.cluster = unsigned(config.cluster_size());
  launch_.shared_bytes = std::size_t(config.shared_bytes());
  launch_.overlaps_preceding = true;
  host::prepare(launch_, device.index);
  int tiles = int(params_.tiles.count()), clusters = host::max_active_clusters(launch_, device);
  auto k_tiles =
      std::max(1, int((params_.k + config.tile_k - 1) / config.tile_k));  // an empty sum is one tile of zeros
  int splits = choice.division == Division::split_k ? splits_of(config, tiles, clusters, k_tiles) : 1;
  int cut = choice.division == Division::stream_k ? tiles_to_cut(tiles, clusters) : 0;
  host::require_supported(std::int64_t(std::max(cut, splits)) * k_tiles <= std::numeric_limits<int>::max(), "config \"",
                          to_string(choice), "\" cuts fewer than 2^31 K tiles, but this problem has ",
                          std::max(cut, splits), " times ", k_tiles);
  if (splits > 1)
    clusters = tiles * splits;
  else if (cut == 0)
    clusters = std::min(clusters, tiles);
  params_.split =
      splits > 1 ? WorkSplit::of_split_k(tiles, splits, k_tiles) : WorkSplit::of(clusters, tiles, cut, k_tiles);
  launch_.grid = unsigned(clusters) * launch_.cluster;
  cuts_tiles_ = cut > 0 || splits > 1;
  const std::size_t cta_slots =
      std::size_t(config.readers()) * config.sums() * GemmConfig::warpgroup_threads;  // values
  std::size_t slots = cuts_tiles_ ? launch_.grid * cta_slots * sizeof(float) : 0;
  if (cuts_tiles_ || padding_.any()) workspace_bytes_ = flags_bytes + slots;
}

/// Appends the copies to the workspace.
void ProductLauncher::prepare_padding(const GemmProblem& p) {
  if (!padding_.any()) return;
  const int element_bytes = int(size_of(p.a.dtype));
  std::vector<PadSource> sources;
  const GemmTraits traits = traits_of(p);
  const PadSource a = pad_source(traits.a_major, p.m, p.k, p.a.row_stride, p.a.column_stride);
  const PadSource b = pad_source(traits.b_major, p.n, p.k, p.b.column_stride, p.b.row_stride);
  for (auto [is_padded, source, offset] : {std::tuple{padding_.a, a, &padded_a_}, {padding_.b, b, &padded_b_}}) {
    if (!is_padded) continue;
    sources.push_back(source);
    *offset = (workspace_bytes_ + 255) / 256 * 256;
    workspace_bytes_ = *offset + padded_bytes(source, element_bytes);
  }
  pad_ = std::make_shared<const PadLauncher>(sources, element_bytes);
}

}  // namespace ckl
