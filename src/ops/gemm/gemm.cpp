#include "ckl/gemm.hpp"

#include <algorithm>
#include <optional>

#include "ckl/tuning.hpp"
#include "host/device.hpp"
#include "host/launch.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"
#include "host/tuning.hpp"
#include "host/workspace.hpp"
#include "ops/elementwise/elementwise.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/problem.hpp"
#include "ops/gemm/product.hpp"

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

/// The bytes that each operand covers, from its pointer on: so a run finds in no time that operands lie apart.
struct Spans {
  host::Span a, b, c, d;
};

Spans spans_of(const GemmProblem& p) {
  Spans spans;
  if (is_empty(p)) return spans;
  spans.d = host::span_of(as_tensor(p.d, p.m, p.n, nullptr));
  if (reads_c(p)) spans.c = host::span_of(as_tensor(p.c, p.m, p.n, nullptr));
  if (!multiplies(p)) return spans;
  spans.a = host::span_of(as_tensor(p.a, p.m, p.k, nullptr));
  spans.b = host::span_of(as_tensor(p.b, p.k, p.n, nullptr));
  return spans;
}

/// Checks the pointers of one run.
void require_pointers(const GemmProblem& p, const Spans& spans, const void* a, const void* b, const void* c, void* d) {
  if (is_empty(p)) return;
  require_pointer(d, p.d, "d");
  auto require_no_partial_overlap = [&](const void* data, const host::Span& span, const GemmOperand& x,
                                        std::int64_t rows, std::int64_t columns, const char* argument) {
    if (host::apart(d, spans.d, data, span)) return;
    host::require_no_partial_overlap(as_tensor(p.d, p.m, p.n, d), "d", as_tensor(x, rows, columns, data), argument);
  };
  if (multiplies(p)) {
    require_pointer(a, p.a, "a");
    require_pointer(b, p.b, "b");
    for (auto [data, argument] : {std::pair{a, "a"}, {b, "b"}})
      host::require(data != d, "d must not be ", argument, ", but both are at ", d);
    require_no_partial_overlap(a, spans.a, p.a, p.m, p.k, "a");
    require_no_partial_overlap(b, spans.b, p.b, p.k, p.n, "b");
  }
  if (reads_c(p)) {
    require_pointer(c, p.c, "c");
    require_no_partial_overlap(c, spans.c, p.c, p.m, p.n, "c");
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
  p.batch_invariant = in.batch_invariant;
  require_valid(p);
  require_pointers(p, spans_of(p), in.a.data, in.b.data, in.c.data, in.d.data);
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
  if (beta != 0.0f) text += " c=" + strides(c);
  return batch_invariant ? text + " batch_invariant" : text;
}

bool operator==(const GemmProblem& x, const GemmProblem& y) noexcept {
  return x.m == y.m && x.n == y.n && x.k == y.k && x.batch == y.batch && x.a == y.a && x.b == y.b && x.d == y.d &&
         x.alpha == y.alpha && x.beta == y.beta && x.batch_invariant == y.batch_invariant &&
         (x.beta == 0.0f || x.c == y.c);
}

static std::size_t hash_value(const GemmProblem& p) noexcept {
  host::Hash hash;
  hash.add(p.m, p.n, p.k, p.alpha, p.beta);
  for (const GemmOperand* x : {&p.a, &p.b, &p.d})
    hash.add(x->row_stride, x->column_stride, (std::int64_t(x->dtype) << 8) + x->alignment);
  return hash.value;
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

/// The ways to serve a canonical problem, by what is shipped and what has been tuned.
GemmRanking choose(const GemmProblem& canonical, const DeviceInfo& device) {
  return choose(canonical, device, shipped_gemm_configs(), host::tuning_database());
}

std::vector<std::string> names_of(const std::vector<GemmChoice>& choices) {
  std::vector<std::string> names;
  for (const GemmChoice& choice : choices) names.push_back(to_string(choice));
  return names;
}

}  // namespace

std::vector<std::string> gemm_candidates(const GemmProblem& problem, const DeviceInfo& device) {
  require_valid(problem);
  if (!multiplies(problem)) return {};
  return names_of(choose(canonical(problem).problem, device).choices);
}

void store_tuning(const GemmProblem& problem, const DeviceInfo& device, std::string_view config, double time_us) {
  const std::vector<std::string> names = gemm_candidates(problem, device);
  host::require(std::find(names.begin(), names.end(), config) != names.end(),
                "config must be one that can serve the problem, but is \"", config, "\"");
  host::require(time_us > 0, "time_us must be more than 0, but is ", time_us);
  host::store_tuning(tuning_database_path(),
                     {"gemm", tuning_key(canonical(problem).problem), host::tuning_scope("gemm", device.name),
                      std::string(config), time_us, host::today()});
}

// ---- plan --------------------------------------------------------------------------------------------------------------

namespace {

/// D = beta * C, where there is no product to add; 0, without a look at C, where beta is 0.
ElementwiseProblem scaled_c(const GemmProblem& p) {
  auto operand = [](const GemmOperand& x) {
    return TensorOperand{x.dtype, {x.row_stride, x.column_stride}, x.alignment};
  };
  ElementwiseProblem scale;
  scale.op = reads_c(p) ? ElementwiseOp::scale : ElementwiseOp::fill;
  scale.rank = 2;
  scale.sizes = {p.m, p.n};
  if (reads_c(p)) scale.in[0] = operand(p.c);
  scale.out[0] = operand(p.d);
  scale.scalars[0] = p.beta;
  return scale;
}

}  // namespace

/// Exactly one of the two launchers is there, unless D is empty.
class GemmPlan::Implementation {
 public:
  Implementation(const GemmProblem& problem, int device, std::string_view config = {});

  const GemmProblem& problem() const { return problem_; }
  int device() const { return device_; }
  const std::string& config() const { return config_; }
  const Spans& spans() const { return spans_; }
  std::size_t workspace_bytes() const { return product_ ? product_->workspace_bytes() : 0; }
  std::size_t zeroed_bytes() const { return product_ ? product_->zeroed_bytes() : 0; }

  /// Launches, all having been checked; the plan's device is the current one.
  void launch(const void* a, const void* b, const void* c, void* d, void* workspace, Stream stream) const {
    if (product_) {
      if (transposed_) std::swap(a, b);
      product_->run(a, b, c, d, workspace, stream);
    } else if (scale_) {
      scale_->run(&c, &d, stream);
    }
  }

 private:
  /// Returns who chose.
  std::string plan_product(std::string_view wanted, const DeviceInfo& info);

  GemmProblem problem_;
  int device_;
  Spans spans_;
  bool transposed_ = false;  // the kernel computes D' = B' A'
  std::optional<ProductLauncher> product_;
  std::optional<ElementwiseLauncher> scale_;
  std::string config_;
};

GemmPlan::Implementation::Implementation(const GemmProblem& problem, int device, std::string_view wanted)
    : problem_(problem), spans_(spans_of(problem)) {
  const DeviceInfo& info = host::require_device(device);
  device_ = info.index;
  host::RelaxedCapture relaxed;
  host::DeviceGuard guard(info.index);
  std::string reason;
  if (multiplies(problem)) {
    reason = ", " + plan_product(wanted, info);
  } else {
    host::require(wanted.empty(), "config must be empty for a problem without a product, but is \"", wanted, "\"");
    if (!is_empty(problem)) {
      scale_.emplace(scaled_c(problem), info.index, std::string_view());
      config_ = scale_->config();
    }
  }
  if (host::log_plans())
    host::log_line(problem.to_string() + " on device " + std::to_string(info.index) + ": " + config_ + reason);
}

std::string GemmPlan::Implementation::plan_product(std::string_view wanted, const DeviceInfo& info) {
  const CanonicalGemm kernel_view = canonical(problem_);
  transposed_ = kernel_view.transposed;
  GemmRanking ranking = choose(kernel_view.problem, info);
  host::require_supported(!ranking.choices.empty(), "no shipped kernel serves ", problem_.to_string());
  GemmChoice choice = ranking.choices.front();
  if (!wanted.empty()) {
    choice = parse_gemm_choice(wanted);
    host::require(std::find(ranking.choices.begin(), ranking.choices.end(), choice) != ranking.choices.end(),
                  "config must be one that can serve the problem (the best is \"", to_string(ranking.choices.front()),
                  "\"), but is \"", wanted, "\"");
    ranking.reason = "as asked";
  }
  config_ = to_string(choice);
  product_.emplace(kernel_view.problem, choice, info);
  return ranking.reason;
}

GemmPlan::GemmPlan(const GemmProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  implementation_ = std::make_shared<const Implementation>(problem, device, config);
}

// ---- launch ------------------------------------------------------------------------------------------------------------

void GemmPlan::run(const void* a, const void* b, const void* c, void* d, void* workspace, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device());
  require_pointers(plan.problem(), plan.spans(), a, b, c, d);
  host::require_workspace(workspace, plan.workspace_bytes());
  host::DeviceGuard guard(plan.device());
  plan.launch(a, b, c, d, workspace, stream);
}

std::size_t GemmPlan::workspace_bytes() const noexcept { return implementation_->workspace_bytes(); }
const GemmProblem& GemmPlan::problem() const noexcept { return implementation_->problem(); }
const std::string& GemmPlan::config() const noexcept { return implementation_->config(); }
int GemmPlan::device() const noexcept { return implementation_->device(); }

void gemm(const GemmArguments& in, Stream stream) {
  static host::PlanCache<GemmPlan::Implementation, GemmProblem> cache;
  const GemmProblem problem = gemm_problem(in);
  const int device = host::current_device();
  const auto plan = cache.get(problem, device);
  host::require_stream_of(stream, device);
  host::StreamWorkspace workspace(plan->workspace_bytes(), plan->zeroed_bytes(), stream);
  plan->launch(in.a.data, in.b.data, in.c.data, in.d.data, workspace.data(), stream);
}

}  // namespace ckl
