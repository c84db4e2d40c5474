#include "ops/norm_backward.hpp"

#include <utility>

#include "ops/norm.hpp"
#include "ops/parse.hpp"
#include "ops/verify.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

/// LayerNorm has a weight and a bias, RMSNorm a weight, as is usual; all of them have gradients.
NormBackwardProblem problem_of(const Case& one) {
  NormBackwardProblem p;
  p.kind = one.layout == "layer" ? NormKind::layer : NormKind::rms;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  p.x.strides[p.rank - 1] = 1;
  std::int64_t stride = 1;  // of what there is one a row of
  for (int d = p.rank - 2; d >= 0; stride *= p.sizes[d--]) {
    p.x.strides[d] = stride * p.sizes[p.rank - 1];
    p.rstd.strides[d] = p.mean.strides[d] = stride;
  }
  p.x.dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  p.dy = p.dx = p.x;
  p.weight.dtype = p.x.dtype;
  p.weight.strides[p.rank - 1] = 1;
  p.dweight = p.dbias = p.weight;
  p.has_weight = p.has_dweight = true;
  p.has_dbias = one.layout == "layer";
  return p;
}

std::int64_t columns_of(const NormBackwardProblem& p) { return p.sizes[p.rank - 1]; }
std::int64_t rows_of(const NormBackwardProblem& p) {
  std::int64_t rows = 1;
  for (int d = 0; d < p.rank - 1; ++d) rows *= p.sizes[d];
  return rows;
}
std::size_t matrix_bytes(const NormBackwardProblem& p) {
  return std::size_t(reference::element_count(p)) * size_of(p.x.dtype);
}
std::size_t vector_bytes(const NormBackwardProblem& p) { return std::size_t(columns_of(p)) * size_of(p.x.dtype); }
std::size_t statistic_bytes(const NormBackwardProblem& p) { return std::size_t(rows_of(p)) * sizeof(float); }

const float* floats(const void* data) { return static_cast<const float*>(data); }

class NormBackwardOperator final : public Operator {
 public:
  std::string name() const override { return "norm_backward"; }
  std::string family() const override { return "norm_backward"; }
  std::string summary() const override {
    return "gradients of LayerNorm (of x, weight and bias) or RMSNorm (of x and weight); --problem SIZExSIZE..., "
           "--dtype bf16|f16|f32, --layout layer|rms";
  }

  Choices defaults(bool small) const override { return norm_defaults(small); }

  Case parse(const Settings& settings) const override { return parse_norm(name(), settings, {"layer", "rms"}); }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<NormBackwardWorkload>(problem_of(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    attempt(*workload, session, {"cudnn_first", "cudnn_best"}, [&] { provide_cudnn(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const NormBackwardProblem p = problem_of(one);
    const auto draw = [&](DType dtype, std::int64_t count, int seed) { return host_normal(dtype, count, seed); };
    const std::vector<char> x = draw(p.x.dtype, reference::element_count(p), 1),
                            dy = draw(p.x.dtype, reference::element_count(p), 2),
                            weight = draw(p.x.dtype, columns_of(p), 3), rstd = draw(DType::f32, rows_of(p), 4),
                            mean = draw(DType::f32, rows_of(p), 5);
    return describe_reference(
        p.dx.dtype, reference::norm_backward(p, {x.data(), dy.data(), nullptr, floats(rstd.data()), weight.data(),
                                                 nullptr, nullptr, floats(mean.data())})
                        .dx);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return norm_backward_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

NormBackwardWorkload::NormBackwardWorkload(const NormBackwardProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t set = 3 * align(matrix_bytes(p)) + 3 * align(vector_bytes(p)) + 2 * align(statistic_bytes(p));
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * set);
  for (std::size_t i = 0; i < sets; ++i) {
    char* at = memory_.at(i * set);
    const auto take = [&](std::size_t bytes) { return std::exchange(at, at + align(bytes)); };
    const auto draw = [&](std::size_t bytes, DType dtype, int number) {
      session.kernels.fill_normal(at, dtype, std::int64_t(bytes / size_of(dtype)), 5 * i + number);
      return take(bytes);
    };
    NormBackwardPointers x;
    x.x = draw(matrix_bytes(p), p.x.dtype, 1);
    x.dy = draw(matrix_bytes(p), p.x.dtype, 2);
    x.weight = draw(vector_bytes(p), p.x.dtype, 3);
    x.rstd = floats(draw(statistic_bytes(p), DType::f32, 4));
    x.mean = floats(draw(statistic_bytes(p), DType::f32, 5));
    x.dx = take(matrix_bytes(p));
    x.dweight = take(vector_bytes(p));
    x.dbias = take(vector_bytes(p));
    operands.push_back(x);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

Work NormBackwardWorkload::work() const {
  const double vectors = 2 + problem.has_dbias, statistics = problem.kind == NormKind::layer ? 2 : 1;
  return {0, 3 * double(matrix_bytes(problem)) + vectors * double(vector_bytes(problem)) +
                 statistics * double(statistic_bytes(problem))};
}

Launch NormBackwardWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict NormBackwardWorkload::verify(const Implementation& implementation) {
  const NormBackwardPointers& set = operands.front();
  const std::size_t matrix = matrix_bytes(problem), vector = vector_bytes(problem),
                    statistic = statistic_bytes(problem);
  run_poisoned(implementation, {{set.dx, matrix}, {set.dweight, vector}, {set.dbias, vector}});
  if (x_.empty()) {
    x_ = download(set.x, matrix), dy_ = download(set.dy, matrix), weight_ = download(set.weight, vector);
    rstd_ = download(set.rstd, statistic), mean_ = download(set.mean, statistic);
  }
  HostCopy dx = download(set.dx, matrix), dweight = download(set.dweight, vector), dbias = download(set.dbias, vector);
  const NormBackwardPointers host{x_.data(),      dy_.data(),     dx.data(),    floats(rstd_.data()),
                                  weight_.data(), dweight.data(), dbias.data(), floats(mean_.data())};
  return verdict_of(reference::compare_norm_backward(
      problem, host, tolerance_of(implementation, reference::norm_backward_tolerance(problem))));
}

const Operator& norm_backward_operator() {
  static const NormBackwardOperator op;
  return op;
}

}  // namespace ckl::bench
