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
#include "ops/gemm/check.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/epilogue.hpp"
#include "ops/gemm/problem.hpp"
#include "ops/gemm/product.hpp"

namespace ckl {

// ---- check -------------------------------------------------------------------------------------------------------------

namespace {

/// The pointers of the tensors.
GemmPointers pointers_of(const GemmArguments& in) {
  GemmPointers x{in.a.data, in.b.data, in.c.data, in.d.data};
  GemmProblem p;
  for_each_vector(p, [&](GemmVector&, const char*, std::int64_t, auto tensor, auto pointer) {
    x.*pointer = (in.epilogue.*tensor).data;
  });
  x.residual = in.epilogue.residual.data;
  x.aux = in.epilogue.aux.data;
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
  const bool gated = in.epilogue.gated;
  require_size("d.sizes[1]", in.d.sizes[1], gated ? "half of b.sizes[1]" : "b.sizes[1]",
               in.b.sizes[1] / (gated ? 2 : 1));
  if (with_c) {
    require_size("c.sizes[0]", in.c.sizes[0], "d.sizes[0]", in.d.sizes[0]);
    require_size("c.sizes[1]", in.c.sizes[1], gated ? "b.sizes[1]" : "d.sizes[1]", in.b.sizes[1]);
  }
  GemmProblem p;
  p.m = in.d.sizes[0];
  p.n = in.b.sizes[1];
  p.k = in.a.sizes[1];
  p.a = operand_of(in.a);
  p.b = operand_of(in.b);
  p.d = operand_of(in.d);
  if (with_c) p.c = operand_of(in.c);
  p.alpha = in.alpha;
  p.beta = in.beta;
  p.batch_invariant = in.batch_invariant;
  p.epilogue = epilogue_of(in.epilogue, p.m, p.n);
  require_valid(p);
  require_pointers(p, spans_of(p), pointers_of(in));
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
  if (!epilogue.empty()) text += " epilogue=" + epilogue.to_string();
  return batch_invariant ? text + " batch_invariant" : text;
}

bool operator==(const GemmProblem& x, const GemmProblem& y) noexcept {
  return x.m == y.m && x.n == y.n && x.k == y.k && x.batch == y.batch && x.a == y.a && x.b == y.b && x.d == y.d &&
         x.alpha == y.alpha && x.beta == y.beta && x.batch_invariant == y.batch_invariant &&
         (x.beta == 0.0f || x.c == y.c) && x.epilogue == y.epilogue;
}

static std::size_t hash_value(const GemmProblem& p) noexcept {
  host::Hash hash;
  hash.add(p.m, p.n, p.k, p.alpha, p.beta, std::int64_t(p.epilogue.activation));
  for (const GemmOperand* x : {&p.a, &p.b, &p.d})
    hash.add(x->row_stride, x->column_stride, (std::int64_t(x->dtype) << 8) + x->alignment);
  return hash.value;
}

// ---- choose ------------------------------------------------------------------------------------------------------------

namespace {

GemmMenu menu_of(const char* kernels) {
  GemmMenu menu;
  for (const std::string& name : host::measured_configs(kernels)) menu.measured.push_back(parse_gemm_config(name));
  for (const std::string& name : host::unmeasured_configs(kernels)) menu.unmeasured.push_back(parse_gemm_config(name));
  for (const std::string& name : host::compiled_configs(kernels))
    if (gemm_config_obstacle(name).empty()) menu.compiled.push_back(parse_gemm_config(name));
  return menu;
}

const GemmMenu& menu_of(const GemmProblem& problem) {
  static const GemmMenu linear = menu_of("gemm"), fused = menu_of("gemm_fused");
  return fuses(problem) ? fused : linear;
}

/// The problem that the kernel computes: where there is no product, one with an empty sum, whose operands are never read.
CanonicalGemm kernel_problem(const GemmProblem& problem) {
  GemmProblem p = problem;
  if (!multiplies(p)) p.k = 0, p.alpha = 1;  // whatever alpha is, a NaN too: there is nothing to scale
  return canonical(p);
}

/// The ways to serve a canonical problem, by what is shipped and what has been tuned.
GemmRanking choose(const GemmProblem& canonical, const DeviceInfo& device) {
  return choose(canonical, device, menu_of(canonical), host::tuning_database());
}

std::vector<std::string> names_of(const std::vector<GemmChoice>& choices) {
  std::vector<std::string> names;
  for (const GemmChoice& choice : choices) names.push_back(to_string(choice));
  return names;
}

}  // namespace

std::vector<std::string> gemm_candidates(const GemmProblem& problem, const DeviceInfo& device) {
  require_valid(problem);
  if (!needs_kernel(problem)) return {};
  return names_of(choose(kernel_problem(problem).problem, device).choices);
}

std::string gemm_config_obstacle(std::string_view name) {
  const GemmConfig config = parse_gemm_config(name);
  if (config.stages == 0) return "it is not named like bf16_tn_128x256x64_2x1_s4_coopm";
  if (const char* reason = defect(config)) return reason;
  const std::vector<std::string> shipped = host::shipped_configs("gemm");
  return std::find(shipped.begin(), shipped.end(), name) != shipped.end() ? "it is shipped" : "";
}

void store_tuning(const GemmProblem& problem, const DeviceInfo& device, std::string_view config, double time_us) {
  const std::vector<std::string> names = gemm_candidates(problem, device);
  host::require(std::find(names.begin(), names.end(), config) != names.end(),
                "config must be one that can serve the problem, but is \"", config, "\"");
  host::require(time_us > 0, "time_us must be more than 0, but is ", time_us);
  host::store_tuning(tuning_database_path(),
                     {"gemm", tuning_key(canonical(problem).problem), host::tuning_scope(device.name),
                      host::menu_hash(kernels_of(problem)), std::string(config), time_us, host::today()});
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
  void launch(GemmPointers x, void* workspace, Stream stream) const {
    if (product_) {
      if (transposed_) {
        std::swap(x.a, x.b);
        std::swap(x.a_scale, x.b_scale);
        std::swap(x.row_bias, x.column_bias);
      }
      product_->run(x, workspace, stream);
    } else if (scale_) {
      scale_->run(&x.c, &x.d, stream);
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
  if (needs_kernel(problem)) {
    reason = ", " + plan_product(wanted, info);
  } else {
    host::require(wanted.empty(), "config must be empty for a problem without a product, but is \"", wanted, "\"");
    if (!is_empty(problem)) {
      scale_.emplace(scaled_c(problem), info.index, std::string_view());
      config_ = scale_->config();
    }
  }
  host::log_plan(problem, info.index, config_ + reason);
}

std::string GemmPlan::Implementation::plan_product(std::string_view wanted, const DeviceInfo& info) {
  const CanonicalGemm kernel_view = kernel_problem(problem_);
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
  product_.emplace(kernel_view.problem, choice, host::find_kernel(kernels_of(problem_), to_string(choice.config)),
                   info);
  return ranking.reason;
}

GemmPlan::GemmPlan(const GemmProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  implementation_ = std::make_shared<const Implementation>(problem, device, config);
}

// ---- launch ------------------------------------------------------------------------------------------------------------

void GemmPlan::run(const void* a, const void* b, const void* c, void* d, void* workspace, Stream stream) const {
  run(GemmPointers{a, b, c, d}, workspace, stream);
}

void GemmPlan::run(const GemmPointers& pointers, void* workspace, Stream stream) const {
  const Implementation& plan = *implementation_;
  host::require_stream_of(stream, plan.device());
  require_pointers(plan.problem(), plan.spans(), pointers);
  host::require_workspace(workspace, plan.workspace_bytes());
  host::DeviceGuard guard(plan.device());
  plan.launch(pointers, workspace, stream);
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
  host::StreamWorkspace workspace(plan->workspace_bytes(), plan->zeroed_bytes(), device, stream);
  plan->launch(pointers_of(in), workspace.data(), stream);
}

}  // namespace ckl
