#include "ops/norm.hpp"

#include <utility>

#include <fmt/format.h>

#include "ops/parse.hpp"
#include "ops/verify.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

/// The type of y: that of x, or fp8.
DType dtype_of_y(const Case& one) {
  const DType dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  return parse_dtype("dtype-out", one.dtype_out, {dtype, DType::e4m3, DType::e5m2});
}

/// LayerNorm has a weight and a bias, RMSNorm a weight, as is usual; rms_add also adds a residual and stores the sum. An fp8 result has scales.
NormProblem problem_of(const Case& one) {
  NormProblem p;
  p.kind = one.layout == "layer" ? NormKind::layer : NormKind::rms;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  std::int64_t stride = 1;
  for (int d = p.rank - 1; d >= 0; stride *= p.sizes[d--]) p.x.strides[d] = stride;
  p.x.dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  p.y = p.residual = p.sum = p.x;
  p.y.dtype = dtype_of_y(one);
  p.has_scale = p.y.dtype != p.x.dtype;
  p.weight.dtype = p.bias.dtype = p.x.dtype;
  p.weight.strides[p.rank - 1] = p.bias.strides[p.rank - 1] = 1;
  p.has_weight = true;
  p.has_bias = one.layout == "layer";
  p.has_residual = p.has_sum = one.layout == "rms_add";
  return p;
}

class NormOperator final : public Operator {
 public:
  std::string name() const override { return "norm"; }
  std::string family() const override { return "norm"; }
  std::string summary() const override {
    return "LayerNorm or RMSNorm of the last dimension; --problem SIZExSIZE..., --dtype bf16|f16|f32, "
           "--dtype-out e4m3|e5m2 (with a scale a row) or that of the input, --layout layer|rms|rms_add (adds a "
           "residual "
           "before, and stores the sum)";
  }

  Choices defaults(bool small) const override { return norm_defaults(small); }

  Case parse(const Settings& settings) const override {
    Settings inputs = settings;
    inputs.erase("dtype-out");
    Case one = parse_norm(name(), inputs, {"layer", "rms", "rms_add"});
    one.dtype_out = value_or(settings, "dtype-out", one.dtype);
    dtype_of_y(one);
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<NormWorkload>(problem_of(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    attempt(*workload, session, {"cudnn_first", "cudnn_best"}, [&] { provide_cudnn(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const NormProblem p = problem_of(one);
    const std::int64_t count = reference::element_count(p), columns = p.sizes[p.rank - 1];
    const auto draw = [&](std::int64_t elements, int seed) { return host_normal(p.x.dtype, elements, seed); };
    reference::NormResult result = reference::norm(p, draw(count, 1).data(), draw(columns, 2).data(),
                                                   draw(columns, 3).data(), draw(count, 4).data());
    if (p.has_scale) {
      const std::vector<double> scales = reference::norm_scales(p, result);
      for (std::size_t i = 0; i < result.y.size(); ++i) result.y[i] /= scales[i / std::size_t(columns)];
    }
    return describe_reference(p.y.dtype, result.y);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return norm_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

Case parse_norm(const std::string& op, const Settings& settings, std::initializer_list<const char*> layouts) {
  reject_unknown_keys(op, settings, {"problem", "dtype", "layout"});
  const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
  Case one{op, "", {{"sizes", sizes}}, settings.at("dtype"), settings.at("dtype"), ""};
  parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  one.layout = parse_choice("layout", settings.at("layout"), layouts);
  return one;
}

Choices norm_defaults(bool small) {
  return {{"problem", {small ? "64x1000" : "16384x4096"}}, {"dtype", {"bf16"}}, {"layout", {"layer"}}};
}

NormWorkload::NormWorkload(const NormProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t matrix = align(matrix_bytes()), vector = align(vector_bytes()), scales = align(scale_bytes());
  const std::size_t set = (p.has_residual ? 4 : 2) * matrix + 2 * vector + scales;
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * set);
  const std::int64_t count = reference::element_count(p), columns = p.sizes[p.rank - 1];
  for (std::size_t i = 0; i < sets; ++i) {
    NormPointers x;
    char* at = memory_.at(i * set);
    const auto draw = [&](std::size_t bytes, std::int64_t elements, int number) {
      session.kernels.fill_normal(at, p.x.dtype, elements, 4 * i + number);
      return std::exchange(at, at + bytes);
    };
    x.x = draw(matrix, count, 1);
    x.weight = draw(vector, columns, 2);
    x.bias = draw(vector, columns, 3);
    if (p.has_residual) x.residual = draw(matrix, count, 4);
    x.y = std::exchange(at, at + matrix);
    if (p.has_scale) x.scale = reinterpret_cast<float*>(std::exchange(at, at + scales));
    if (p.has_sum) x.sum = at;
    operands.push_back(x);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

std::size_t NormWorkload::matrix_bytes() const {
  return std::size_t(reference::element_count(problem)) * size_of(problem.x.dtype);
}
std::size_t NormWorkload::y_bytes() const {
  return std::size_t(reference::element_count(problem)) * size_of(problem.y.dtype);
}
std::size_t NormWorkload::scale_bytes() const {
  if (!problem.has_scale) return 0;
  return std::size_t(reference::element_count(problem) / problem.sizes[problem.rank - 1]) * sizeof(float);
}
std::size_t NormWorkload::vector_bytes() const {
  return std::size_t(problem.sizes[problem.rank - 1]) * size_of(problem.x.dtype);
}

Work NormWorkload::work() const {
  const int matrices = 1 + problem.has_residual + problem.has_sum, vectors = problem.has_weight + problem.has_bias;
  return {0, double(matrices) * double(matrix_bytes()) + double(y_bytes()) + double(scale_bytes()) +
                 double(vectors) * double(vector_bytes())};
}

Launch NormWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict NormWorkload::verify(const Implementation& implementation) {
  const NormPointers& set = operands.front();
  run_poisoned(implementation, {{set.y, y_bytes()}, {set.sum, matrix_bytes()}, {set.scale, scale_bytes()}});
  if (x_.empty()) {
    x_ = download(set.x, matrix_bytes());
    weight_ = download(set.weight, vector_bytes()), bias_ = download(set.bias, vector_bytes());
    if (set.residual) residual_ = download(set.residual, matrix_bytes());
  }
  HostCopy y = download(set.y, y_bytes()), sum, scales;
  if (set.scale) scales = download(set.scale, scale_bytes());
  if (set.sum) sum = download(set.sum, matrix_bytes());
  NormPointers host{x_.data(), y.data(), weight_.data(), bias_.data(), residual_.data(), sum.data()};
  host.scale = reinterpret_cast<float*>(scales.data());
  return verdict_of(
      reference::compare_norm(problem, host, tolerance_of(implementation, reference::norm_tolerance(problem))));
}

const Operator& norm_operator() {
  static const NormOperator norm;
  return norm;
}

}  // namespace ckl::bench
