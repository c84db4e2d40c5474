#include "ckl/gemm.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "host/device.hpp"
#include "host/launch.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/tensor_map.hpp"
#include "host/workspace.hpp"
#include "ops/elementwise/elementwise.hpp"
#include "ops/gemm/config.hpp"
#include "ops/gemm/params.hpp"
#include "ops/gemm/problem.hpp"

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

/// A matrix of `problem` as a tensor at `data`.
Tensor as_tensor(const GemmOperand& x, std::int64_t rows, std::int64_t columns, const void* data) {
  return Tensor::strided(data, x.dtype, {rows, columns}, {x.row_stride, x.column_stride});
}

void require_operand(const GemmOperand& x, std::int64_t rows, std::int64_t columns, const char* argument) {
  host::require_well_formed(as_tensor(x, rows, columns, nullptr), argument);
  host::require(x.alignment == 1 || x.alignment == 2 || x.alignment == 4 || x.alignment == 8 || x.alignment == 16,
                argument, ".alignment must be 1, 2, 4, 8 or 16 bytes, but is ", x.alignment);
}

bool multiplies(const GemmProblem& p) { return p.m > 0 && p.n > 0 && p.k > 0 && p.alpha != 0.0f; }
bool is_empty(const GemmProblem& p) { return p.m == 0 || p.n == 0; }
bool reads_c(const GemmProblem& p) { return p.beta != 0.0f; }

void require_valid(const GemmProblem& p) {
  for (auto [value, argument] : {std::pair{p.m, "m"}, {p.n, "n"}, {p.k, "k"}})
    host::require(value >= 0, argument, " must be 0 or more, but is ", value);
  host::require_supported(p.batch == 1, "batch must be 1 in this version, but is ", p.batch);
  host::require_supported(p.a.dtype == DType::bf16 || p.a.dtype == DType::f16, "a.dtype must be bf16 or f16, but is ",
                          name(p.a.dtype));
  host::require_supported(p.b.dtype == p.a.dtype, "b.dtype must be a's, ", name(p.a.dtype), ", but is ",
                          name(p.b.dtype));
  host::require_supported(p.d.dtype == DType::f32 || p.d.dtype == DType::f16 || p.d.dtype == DType::bf16,
                          "d.dtype must be f32, f16 or bf16, but is ", name(p.d.dtype));
  require_operand(p.a, p.m, p.k, "a");
  require_operand(p.b, p.k, p.n, "b");
  require_operand(p.d, p.m, p.n, "d");
  host::require_no_self_overlap(as_tensor(p.d, p.m, p.n, nullptr), "d");
  if (!reads_c(p)) return;
  require_operand(p.c, p.m, p.n, "c");
  host::require_supported(p.c.dtype == p.d.dtype, "c.dtype must be d's, ", name(p.d.dtype), ", but is ",
                          name(p.c.dtype));
}

void require_pointer(const void* data, const GemmOperand& x, const char* argument) {
  host::require(data != nullptr, argument, " must not be null");
  int needed = std::max<int>(x.alignment, int(size_of(x.dtype)));
  host::require(host::alignment_of(data) >= needed, argument, " must be a multiple of ", needed,
                " bytes, as its problem promised, but is ", data);
}

/// Checks the pointers of one run.
void require_pointers(const GemmProblem& p, const void* a, const void* b, const void* c, void* d) {
  if (is_empty(p)) return;
  require_pointer(d, p.d, "d");
  Tensor out = as_tensor(p.d, p.m, p.n, d);
  if (multiplies(p)) {
    require_pointer(a, p.a, "a");
    require_pointer(b, p.b, "b");
    auto disjoint = [&](const Tensor& in, const char* argument) {
      host::require(in.data != d, "d must not be ", argument, ", but both are at ", d);
      host::require_no_partial_overlap(out, "d", in, argument);
    };
    disjoint(as_tensor(p.a, p.m, p.k, a), "a");
    disjoint(as_tensor(p.b, p.k, p.n, b), "b");
  }
  if (reads_c(p)) {
    require_pointer(c, p.c, "c");
    host::require_no_partial_overlap(out, "d", as_tensor(p.c, p.m, p.n, c), "c");
  }
}

GemmOperand operand_of(const Tensor& t) {
  GemmOperand x;
  x.dtype = t.dtype;
  x.row_stride = t.strides[0];
  x.column_stride = t.strides[1];
  x.alignment = host::alignment_of(t.data);
  return x;
}

}  // namespace

GemmProblem gemm_problem(const GemmArguments& in) {
  bool with_c = in.beta != 0.0f;
  auto require_matrix = [](const Tensor& t, const char* argument) {
    host::require_well_formed(t, argument);
    host::require(t.rank == 2, argument, ".rank must be 2, but is ", t.rank);
  };
  require_matrix(in.a, "a");
  require_matrix(in.b, "b");
  require_matrix(in.d, "d");
  if (with_c) require_matrix(in.c, "c");
  auto require_size = [](const char* what, std::int64_t actual, const char* of, std::int64_t wanted) {
    host::require(actual == wanted, what, " must be ", of, ", ", wanted, ", but is ", actual);
  };
  require_size("b.sizes[0]", in.b.sizes[0], "a.sizes[1]", in.a.sizes[1]);
  require_size("d.sizes[0]", in.d.sizes[0], "a.sizes[0]", in.a.sizes[0]);
  require_size("d.sizes[1]", in.d.sizes[1], "b.sizes[1]", in.b.sizes[1]);
  if (with_c) {
    require_size("c.sizes[0]", in.c.sizes[0], "d.sizes[0]", in.d.sizes[0]);
    require_size("c.sizes[1]", in.c.sizes[1], "d.sizes[1]", in.d.sizes[1]);
  }
  GemmProblem p;
  p.m = in.d.sizes[0];
  p.n = in.d.sizes[1];
  p.k = in.a.sizes[1];
  p.a = operand_of(in.a);
  p.b = operand_of(in.b);
  p.d = operand_of(in.d);
  if (with_c) p.c = operand_of(in.c);
  p.alpha = in.alpha;
  p.beta = in.beta;
  require_valid(p);
  require_pointers(p, in.a.data, in.b.data, in.c.data, in.d.data);
  return p;
}

std::string GemmProblem::to_string() const {
  GemmTraits traits = traits_of(*this);
  auto strides = [](const GemmOperand& x) {
    return std::to_string(x.row_stride) + ":" + std::to_string(x.column_stride);
  };
  std::string text =
      host::sentence("gemm m=", m, " n=", n, " k=", k, " ", name(a.dtype), "*", name(b.dtype), "->", name(d.dtype), " ",
                     traits.a_major == Major::k ? "t" : "n", traits.b_major == Major::k ? "n" : "t", " a=", strides(a),
                     " b=", strides(b), " d=", strides(d), " alpha=", alpha, " beta=", beta);
  return beta != 0.0f ? text + " c=" + strides(c) : text;
}

bool operator==(const GemmProblem& x, const GemmProblem& y) noexcept {
  return x.m == y.m && x.n == y.n && x.k == y.k && x.batch == y.batch && x.a == y.a && x.b == y.b && x.d == y.d &&
         x.alpha == y.alpha && x.beta == y.beta && (x.beta == 0.0f || x.c == y.c);
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

const std::vector<GemmConfig>& shipped_gemm_configs() {
  static const std::vector<GemmConfig> configs = [] {
    std::vector<GemmConfig> list;
    for (const std::string& name : host::shipped_configs("gemm")) list.push_back(parse_gemm_config(name));
    return list;
  }();
  return configs;
}

std::vector<std::string> candidates(const GemmProblem& canonical, const DeviceInfo& device) {
  std::vector<std::string> names;
  for (const GemmChoice& choice : rank_choices(canonical, device, shipped_gemm_configs()))
    names.push_back(to_string(choice));
  return names;
}

}  // namespace

std::vector<std::string> gemm_candidates(const GemmProblem& problem, const DeviceInfo& device) {
  require_valid(problem);
  if (!multiplies(problem)) return {};
  return candidates(canonical(problem).problem, device);
}

// ---- plan --------------------------------------------------------------------------------------------------------------

namespace {

/// D = alpha * A * B + beta * C by the GEMM kernel.
class ProductLauncher {
 public:
  ProductLauncher(const GemmProblem& problem, const DeviceInfo& device, std::string_view wanted) {
    auto [p, transposed] = canonical(problem);
    transposed_ = transposed;
    std::vector<std::string> names = candidates(p, device);
    host::require_supported(!names.empty(), "no shipped kernel serves ", problem.to_string());
    name_ = names.front();
    if (!wanted.empty()) {
      host::require(std::find(names.begin(), names.end(), wanted) != names.end(),
                    "config must be one that can serve the problem (the best is \"", names.front(), "\"), but is \"",
                    wanted, "\"");
      name_ = wanted;
    }
    GemmChoice choice = parse_gemm_choice(name_);
    fill_params(p, choice.config);
    prepare_launch(choice, device);
  }

  /// The workspace begins with two flags for each part of each CTA: two parts, one CTA an SM, room for 512 SMs.
  static constexpr std::size_t flags_bytes = 8192;

  const std::string& name() const { return name_; }

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  void run(const void* a, const void* b, const void* c, void* d, void* workspace, Stream stream) const {
    if (transposed_) std::swap(a, b);
    GemmParams params = params_;
    if (workspace_bytes_ > 0) {
      params.fixup_flags = static_cast<int*>(workspace);
      params.fixup_slots = reinterpret_cast<float*>(static_cast<char*>(workspace) + flags_bytes);
    }
    params.a.data = const_cast<void*>(a);
    params.b.data = const_cast<void*>(b);
    params.d.data = d;
    params.epilogue.c.data = const_cast<void*>(c);
    if (loads_by_tma_) {
      host::replace_address(params.a_map, a);
      host::replace_address(params.b_map, b);
    }
    if (params.d_by_tma) host::replace_address(params.d_map, d);
    host::launch(launch_, &params, stream);
  }

 private:
  void fill_params(const GemmProblem& p, const GemmConfig& config) {
    GemmTraits traits = traits_of(p);
    loads_by_tma_ = config.load == Load::tma;
    params_.m = p.m;
    params_.n = p.n;
    params_.k = p.k;
    params_.a = {nullptr, p.a.row_stride, p.a.column_stride, p.a.batch_stride};
    params_.b = {nullptr, p.b.column_stride, p.b.row_stride, p.b.batch_stride};
    params_.d = {nullptr, p.d.row_stride, p.d.column_stride, p.d.batch_stride};
    params_.d_dtype = p.d.dtype;
    params_.d_by_tma = traits.stores_by_tma;
    params_.epilogue = {{nullptr, p.c.row_stride, p.c.column_stride, p.c.batch_stride}, p.alpha, p.beta};
    params_.tiles = tile_grid(p, config);
    if (loads_by_tma_) {
      params_.a_map = operand_map(p.a, config.a_major, p.m, p.k, p.a.row_stride, p.a.column_stride,
                                  config.box_contiguous(), config.a_box_other());
      params_.b_map = operand_map(p.b, config.b_major, p.n, p.k, p.b.column_stride, p.b.row_stride,
                                  config.box_contiguous(), config.b_box_other());
    }
    if (params_.d_by_tma) {
      int box_n = config.d_box_n(int(size_of(p.d.dtype)));
      params_.d_map = matrix_map(p.d.dtype, p.n, p.m, p.d.row_stride, box_n, GemmConfig::d_box_m);
    }
  }

  /// Tiles in units of clusters. Rows of tiles that are visited together share B in L2 as columns share A: a group about as
  /// tall as it is wide touches the fewest bytes.
  static TileGrid tile_grid(const GemmProblem& p, const GemmConfig& config) {
    auto ceil_div = [](std::int64_t x, std::int64_t y) { return (x + y - 1) / y; };
    std::int64_t tiles_m = ceil_div(p.m, config.tile_m * config.cluster_m),
                 tiles_n = ceil_div(p.n, config.tile_n * config.cluster_n);
    constexpr std::int64_t max_tiles = std::numeric_limits<int>::max() / 4;
    host::require_supported(tiles_m < max_tiles && tiles_n < max_tiles && tiles_m * tiles_n * p.batch < max_tiles,
                            "m and n must make fewer than ", max_tiles, " tiles of ", config.tile_m, "x", config.tile_n,
                            ", but m is ", p.m, " and n is ", p.n);
    constexpr int group_rows = 2048;  // of D
    int group = std::clamp(group_rows / (config.tile_m * config.cluster_m), 1, int(tiles_m));
    return TileGrid::of(int(tiles_m), int(tiles_n), int(p.batch), group);
  }

  /// A descriptor that run() points at the data. Encoding wants an address, so it gets an aligned one.
  static TensorMap matrix_map(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride,
                              int box_contiguous, int box_other) {
    alignas(16) static const char somewhere[16] = {};
    auto per_16_bytes = std::int64_t(16 / size_of(dtype));
    // One matrix: the batch stride is never stepped, but must be a legal one.
    return host::encode({dtype, contiguous, other, 1, other_stride, per_16_bytes, box_contiguous, box_other},
                        somewhere);
  }

  static TensorMap operand_map(const GemmOperand& x, Major major, std::int64_t mn, std::int64_t k,
                               std::int64_t mn_stride, std::int64_t k_stride, int box_contiguous, int box_other) {
    return major == Major::k ? matrix_map(x.dtype, k, mn, mn_stride, box_contiguous, box_other)
                             : matrix_map(x.dtype, mn, k, k_stride, box_contiguous, box_other);
  }

  void prepare_launch(const GemmChoice& choice, const DeviceInfo& device) {
    const GemmConfig& config = choice.config;
    launch_.kernel = host::find_kernel("gemm", to_string(config));
    launch_.threads = GemmConfig::threads;
    launch_.cluster = unsigned(config.cluster_size());
    launch_.shared_bytes = std::size_t(config.shared_bytes());
    launch_.overlaps_preceding = true;
    host::prepare(launch_, device.index);
    int tiles = int(params_.tiles.count()), clusters = host::max_active_clusters(launch_, device);
    auto k_tiles = int((params_.k + config.tile_k - 1) / config.tile_k);
    int splits = choice.division == Division::split_k ? splits_of(tiles, clusters, k_tiles) : 1;
    int cut = choice.division == Division::stream_k ? tiles_to_cut(tiles, clusters) : 0;
    host::require_supported(std::int64_t(std::max(cut, splits)) * k_tiles <= std::numeric_limits<int>::max(),
                            "config \"", name_, "\" cuts fewer than 2^31 K tiles, but this problem has ",
                            std::max(cut, splits), " times ", k_tiles);
    if (splits > 1)
      clusters = tiles * splits;
    else if (cut == 0)
      clusters = std::min(clusters, tiles);
    params_.split =
        splits > 1 ? WorkSplit::of_split_k(tiles, splits, k_tiles) : WorkSplit::of(clusters, tiles, cut, k_tiles);
    launch_.grid = unsigned(clusters) * launch_.cluster;
    if (cut > 0 || splits > 1)
      workspace_bytes_ = flags_bytes + std::size_t(launch_.grid) * config.tile_m * config.tile_n * sizeof(float);
  }

  std::string name_;
  bool transposed_ = false, loads_by_tma_ = false;
  std::size_t workspace_bytes_ = 0;
  GemmParams params_{};
  host::Launch launch_;
};

/// D = beta * C, where there is no product to add.
ElementwiseProblem scaled_c(const GemmProblem& p) {
  auto operand = [](const GemmOperand& x) {
    return ElementwiseOperand{x.dtype, {x.row_stride, x.column_stride}, x.alignment};
  };
  ElementwiseProblem scale;
  scale.op = ElementwiseOp::scale;
  scale.rank = 2;
  scale.sizes = {p.m, p.n};
  scale.out = operand(p.d);
  scale.in[0] = reads_c(p) ? operand(p.c) : operand(p.d);
  scale.scalar = p.beta;
  return scale;
}

}  // namespace

/// Exactly one of the two launchers is there, unless D is empty.
struct GemmPlan::Implementation {
  GemmProblem problem;
  int device = 0;
  std::optional<ProductLauncher> product;
  std::optional<ElementwiseLauncher> scale;
  std::string config;
};

GemmPlan::GemmPlan(const GemmProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  const DeviceInfo& info = host::require_device(device);
  host::RelaxedCapture relaxed;
  host::DeviceGuard guard(info.index);
  auto made = std::make_shared<Implementation>();
  made->problem = problem;
  made->device = info.index;
  if (multiplies(problem)) {
    made->product.emplace(problem, info, config);
    made->config = made->product->name();
  } else {
    host::require(config.empty(), "config must be empty for a problem without a product, but is \"", config, "\"");
    if (!is_empty(problem)) {
      made->scale.emplace(scaled_c(problem), info.index, std::string_view());
      made->config = made->scale->config();
    }
  }
  if (host::log_plans())
    host::log_line(problem.to_string() + " on device " + std::to_string(info.index) + ": " + made->config);
  implementation_ = made;
}

// ---- launch ------------------------------------------------------------------------------------------------------------

void GemmPlan::run(const void* a, const void* b, const void* c, void* d, void* workspace, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device);
  require_pointers(plan.problem, a, b, c, d);
  if (workspace_bytes() > 0) {
    host::require(workspace != nullptr, "workspace must not be null, but of ", workspace_bytes(), " bytes");
    host::require(reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0,
                  "workspace must be a multiple of 256 bytes, but is ", workspace);
  }
  host::DeviceGuard guard(plan.device);
  if (plan.product) {
    plan.product->run(a, b, c, d, workspace, stream);
  } else if (plan.scale) {
    const void* in[max_elementwise_inputs] = {c, nullptr};
    plan.scale->run(in, d, stream);
  }
}

std::size_t GemmPlan::workspace_bytes() const noexcept {
  return implementation_->product ? implementation_->product->workspace_bytes() : 0;
}
const GemmProblem& GemmPlan::problem() const noexcept { return implementation_->problem; }
const std::string& GemmPlan::config() const noexcept { return implementation_->config; }
int GemmPlan::device() const noexcept { return implementation_->device; }

void gemm(const GemmArguments& in, Stream stream) {
  static host::PlanCache<GemmPlan, GemmProblem> cache;
  GemmProblem problem = gemm_problem(in);
  std::shared_ptr<const GemmPlan> plan = cache.get(problem, host::current_device());
  host::StreamWorkspace workspace(plan->workspace_bytes(), ProductLauncher::flags_bytes, stream);
  plan->run(in.a.data, in.b.data, in.c.data, in.d.data, workspace.data(), stream);
}

}  // namespace ckl
