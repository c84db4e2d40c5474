#include "ops/softmax_backward.hpp"

#include <fmt/format.h>

#include "ops/parse.hpp"
#include "ops/verify.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

SoftmaxBackwardProblem problem_of(const Case& one) {
  SoftmaxBackwardProblem p;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  p.axis = p.rank - 1;
  p.log = one.layout == "log";
  std::int64_t stride = 1;
  for (int d = p.rank - 1; d >= 0; stride *= p.sizes[d--]) p.y.strides[d] = stride;
  p.y.dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  p.dy = p.dx = p.y;
  return p;
}

class SoftmaxBackwardOperator final : public Operator {
 public:
  std::string name() const override { return "softmax_backward"; }
  std::string family() const override { return "softmax_backward"; }
  std::string summary() const override {
    return "gradient of softmax along the last dimension; --problem SIZExSIZE..., --dtype bf16|f16|f32, --layout "
           "plain|log (of the logarithm)";
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "64x1000" : "16384x4096"}}, {"dtype", {"bf16"}}, {"layout", {"plain"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    Case one{name(), "", {{"sizes", sizes}}, settings.at("dtype"), settings.at("dtype"), ""};
    parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
    one.layout = parse_choice("layout", settings.at("layout"), {"plain", "log"});
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<SoftmaxBackwardWorkload>(problem_of(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    attempt(*workload, session, {"cudnn_first", "cudnn_best"}, [&] { provide_cudnn(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const SoftmaxBackwardProblem p = problem_of(one);
    const std::int64_t count = reference::element_count(p);
    std::vector<double> dx(static_cast<std::size_t>(count)), slack(dx.size());
    reference::softmax_backward(p, host_normal(p.y.dtype, count, 1).data(), host_normal(p.dy.dtype, count, 2).data(),
                                dx.data(), slack.data());
    return describe_reference(p.dx.dtype, dx);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return softmax_backward_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

SoftmaxBackwardWorkload::SoftmaxBackwardWorkload(const SoftmaxBackwardProblem& p, const Session& s)
    : problem(p), session(s) {
  const std::size_t tensor = align(bytes());
  const std::int64_t count = reference::element_count(p);
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * 3 * tensor);
  for (std::size_t i = 0; i < sets; ++i) {
    char* at = memory_.at(i * 3 * tensor);
    operands.push_back({at, at + tensor, at + 2 * tensor});
    session.kernels.fill_normal(at, p.y.dtype, count, 2 * i + 1);
    session.kernels.fill_normal(at + tensor, p.dy.dtype, count, 2 * i + 2);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

std::size_t SoftmaxBackwardWorkload::bytes() const {
  return std::size_t(reference::element_count(problem)) * size_of(problem.y.dtype);
}

Work SoftmaxBackwardWorkload::work() const { return {0, 3.0 * double(bytes())}; }

Launch SoftmaxBackwardWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict SoftmaxBackwardWorkload::verify(const Implementation& implementation) {
  const SoftmaxBackwardOperands& set = operands.front();
  run_poisoned(implementation, {{set.dx, bytes()}});
  if (y_.empty()) y_ = download(set.y, bytes()), dy_ = download(set.dy, bytes());
  return verdict_of(reference::compare_softmax_backward(
      problem, y_.data(), dy_.data(), download(set.dx, bytes()).data(),
      tolerance_of(implementation, reference::softmax_backward_tolerance(problem))));
}

const Operator& softmax_backward_operator() {
  static const SoftmaxBackwardOperator softmax_backward;
  return softmax_backward;
}

}  // namespace ckl::bench
