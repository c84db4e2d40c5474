#include "ops/softmax.hpp"

#include <fmt/format.h>

#include "ops/memory.hpp"
#include "ops/parse.hpp"
#include "providers/providers.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

SoftmaxProblem problem_of(const Case& one) {
  SoftmaxProblem p;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  p.axis = one.problem.at("axis");
  p.scale = one.problem.value("scale", 1.0f);
  p.log = one.layout == "log";
  std::int64_t stride = 1;
  for (int d = p.rank - 1; d >= 0; stride *= p.sizes[d--]) p.x.strides[d] = stride;
  p.x.dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  p.y = p.x;
  return p;
}

class SoftmaxOperator final : public Operator {
 public:
  std::string name() const override { return "softmax"; }
  std::string family() const override { return "softmax"; }
  std::string summary() const override {
    return "softmax along an axis; --problem SIZExSIZE..., --axis N [the last], --dtype bf16|f16|f32, --layout "
           "plain|log (the logarithm), "
           "--alpha S (scales x)";
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "64x1000" : "16384x4096"}}, {"dtype", {"bf16"}}, {"layout", {"plain"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout", "axis", "alpha"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    Case one{name(), "", {{"sizes", sizes}}, settings.at("dtype"), settings.at("dtype"), ""};
    parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
    one.layout = parse_choice("layout", settings.at("layout"), {"plain", "log"});
    const double last = double(sizes.size()) - 1;
    const double axis = settings.count("axis") ? parse_number("axis", settings.at("axis")) : last;
    if (axis != std::int64_t(axis) || axis < 0 || axis > last)
      throw UsageError(fmt::format("--axis: must be 0 to {}, got `{}`", last, settings.at("axis")));
    one.problem["axis"] = std::int64_t(axis);
    if (settings.count("alpha")) one.problem["scale"] = parse_number("alpha", settings.at("alpha"));
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<SoftmaxWorkload>(problem_of(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const SoftmaxProblem p = problem_of(one);
    const std::int64_t count = reference::element_count(p);
    std::vector<double> y(static_cast<std::size_t>(count)), slack(y.size());
    reference::softmax(p, host_normal(p.x.dtype, count, 1).data(), y.data(), slack.data());
    return describe_reference(p.y.dtype, y);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return softmax_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

SoftmaxWorkload::SoftmaxWorkload(const SoftmaxProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t half = align(bytes());
  sets = rotation_sets(session, double(2 * bytes()));
  memory_ = Buffer(sets * 2 * half);
  for (std::size_t i = 0; i < sets; ++i) {
    char* at = memory_.at(i * 2 * half);
    operands.push_back({at, at + half});
    session.kernels.fill_normal(at, p.x.dtype, reference::element_count(p), i + 1);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

std::size_t SoftmaxWorkload::bytes() const {
  return std::size_t(reference::element_count(problem)) * size_of(problem.x.dtype);
}

Work SoftmaxWorkload::work() const { return {0, 2.0 * double(bytes())}; }

Launch SoftmaxWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict SoftmaxWorkload::verify(const Implementation& implementation) {
  const SoftmaxOperands& set = operands.front();
  check(cudaMemset(set.y, 0xff, bytes()), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaMemset");
  Stream stream;
  implementation.launch(0, stream);
  stream.synchronize();
  const std::vector<char> y = download(set.y, bytes());
  if (expected_.empty()) {
    expected_.resize(std::size_t(reference::element_count(problem)));
    slack_.resize(expected_.size());
    reference::softmax(problem, download(set.x, bytes()).data(), expected_.data(), slack_.data());
  }
  const reference::Comparison comparison =
      reference::compare_softmax(problem, y.data(), expected_.data(), slack_.data());
  return {comparison.passed(), comparison.error, comparison.bound, comparison.first_wrong};
}

const Operator& softmax_operator() {
  static const SoftmaxOperator softmax;
  return softmax;
}

}  // namespace ckl::bench
