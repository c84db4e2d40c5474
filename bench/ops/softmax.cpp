#include "ops/softmax.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ops/parse.hpp"
#include "ops/verify.hpp"
#include "providers/providers.hpp"

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
  p.causal = one.layout == "causal";
  if (one.layout == "masked") {  // one mask for all matrices
    p.has_mask = true;
    p.mask = p.x;
    for (int d = 0; d < p.rank - 2; ++d) p.mask.strides[d] = 0;
  }
  return p;
}

class SoftmaxOperator final : public Operator {
 public:
  std::string name() const override { return "softmax"; }
  std::string family() const override { return "softmax"; }
  std::string summary() const override {
    return "softmax along an axis; --problem SIZExSIZE..., --axis N [the last], --dtype bf16|f16|f32, --layout "
           "plain|log (the logarithm)|masked (a mask is added)|causal, --alpha S (scales x)";
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "64x1000" : "16384x4096"}}, {"dtype", {"bf16"}}, {"layout", {"plain"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout", "axis", "alpha"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    Case one{name(), "", {{"sizes", sizes}}, settings.at("dtype"), settings.at("dtype"), ""};
    parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
    one.layout = parse_choice("layout", settings.at("layout"), {"plain", "log", "masked", "causal"});
    const double last = double(sizes.size()) - 1;
    const double axis = settings.count("axis") ? parse_number("axis", settings.at("axis")) : last;
    if (axis != std::int64_t(axis) || axis < 0 || axis > last)
      throw UsageError(fmt::format("--axis: must be 0 to {}, got `{}`", last, settings.at("axis")));
    if (one.layout == "causal" && (sizes.size() < 2 || axis != last))
      throw UsageError(
          fmt::format("--layout causal: must be along the last of two dimensions or more, got `{}`, axis {}",
                      settings.at("problem"), axis));
    one.problem["axis"] = std::int64_t(axis);
    if (settings.count("alpha")) one.problem["scale"] = parse_number("alpha", settings.at("alpha"));
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<SoftmaxWorkload>(problem_of(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    attempt(*workload, session, {"cudnn_first", "cudnn_best"}, [&] { provide_cudnn(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const SoftmaxProblem p = problem_of(one);
    const std::int64_t count = reference::element_count(p);
    std::vector<double> y(static_cast<std::size_t>(count)), slack(y.size());
    const std::vector<char> x = host_normal(p.x.dtype, count, 1), mask = host_normal(p.x.dtype, count, 2);
    reference::softmax(p, {x.data(), nullptr, mask.data()}, y.data(), slack.data());
    return describe_reference(p.y.dtype, y);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return softmax_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

SoftmaxWorkload::SoftmaxWorkload(const SoftmaxProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t set = 2 * align(bytes()) + align(mask_bytes());
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * set);
  for (std::size_t i = 0; i < sets; ++i) {
    char *x = memory_.at(i * set), *y = x + align(bytes()), *mask = y + align(bytes());
    operands.push_back({x, y, mask});
    session.kernels.fill_normal(x, p.x.dtype, reference::element_count(p), 2 * i + 1);
    session.kernels.fill_normal(mask, p.x.dtype, std::int64_t(mask_bytes() / size_of(p.x.dtype)), 2 * i + 2);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

std::size_t SoftmaxWorkload::bytes() const {
  return std::size_t(reference::element_count(problem)) * size_of(problem.x.dtype);
}

std::size_t SoftmaxWorkload::mask_bytes() const {
  if (!problem.has_mask) return 0;
  std::size_t bytes = size_of(problem.x.dtype);
  for (int d = std::max(0, problem.rank - 2); d < problem.rank; ++d) bytes *= std::size_t(problem.sizes[d]);
  return bytes;
}

Work SoftmaxWorkload::work() const {
  double read = double(bytes()) + double(mask_bytes());
  if (problem.causal) {  // what the rows of a matrix see of it
    const std::int64_t rows = problem.sizes[problem.rank - 2], columns = problem.sizes[problem.rank - 1];
    double seen = 0;
    for (std::int64_t row = 0; row < rows; ++row) seen += double(std::min(columns, row + 1));
    read *= seen / double(rows * columns);
  }
  return {0, read + double(bytes())};
}

Launch SoftmaxWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict SoftmaxWorkload::verify(const Implementation& implementation) {
  const SoftmaxPointers& set = operands.front();
  run_poisoned(implementation, {{set.y, bytes()}});
  if (x_.empty()) x_ = download(set.x, bytes()), mask_ = download(set.mask, mask_bytes());
  HostCopy y = download(set.y, bytes());
  return verdict_of(reference::compare_softmax(problem, {x_.data(), y.data(), mask_.data()}));
}

const Operator& softmax_operator() {
  static const SoftmaxOperator softmax;
  return softmax;
}

}  // namespace ckl::bench
