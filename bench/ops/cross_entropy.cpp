#include "ops/cross_entropy.hpp"

#include <cmath>

#include "ops/parse.hpp"
#include "ops/verify.hpp"
#include "providers/providers.hpp"
#include "reference/draw.hpp"

namespace ckl::bench {
namespace {

/// A problem, forward or backward, whose logits are dense and whose targets are i64.
template <class Problem> Problem problem_of(const Case& one) {
  Problem p;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  p.logits.dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  p.logits.strides[p.rank - 1] = 1;
  std::int64_t stride = 1;  // of what there is one a row of
  for (int d = p.rank - 2; d >= 0; stride *= p.sizes[d--]) {
    p.logits.strides[d] = stride * p.sizes[p.rank - 1];
    p.targets.strides[d] = p.lse.strides[d] = stride;
  }
  p.targets.dtype = DType::i64;
  if (one.layout == "smoothed") p.label_smoothing = 0.1f;
  return p;
}

CrossEntropyProblem forward_problem(const Case& one) {
  auto p = problem_of<CrossEntropyProblem>(one);
  p.loss = p.lse;
  p.has_lse = true;
  return p;
}

CrossEntropyBackwardProblem backward_problem(const Case& one) {
  auto p = problem_of<CrossEntropyBackwardProblem>(one);
  p.dloss = p.lse;
  p.dlogits = p.logits;
  return p;
}

template <class Problem> std::int64_t classes_of(const Problem& p) { return p.sizes[p.rank - 1]; }
template <class Problem> std::int64_t rows_of(const Problem& p) {
  std::int64_t rows = 1;
  for (int d = 0; d < p.rank - 1; ++d) rows *= p.sizes[d];
  return rows;
}
template <class Problem> std::size_t logits_bytes(const Problem& p) {
  return std::size_t(rows_of(p) * classes_of(p)) * size_of(p.logits.dtype);
}
template <class Problem> std::size_t targets_bytes(const Problem& p) { return std::size_t(rows_of(p)) * 8; }
template <class Problem> std::size_t floats_bytes(const Problem& p) { return std::size_t(rows_of(p)) * 4; }

/// A class for each row.
template <class Problem> std::vector<std::int64_t> draw_targets(const Problem& p) {
  reference::Draw draw(1);
  std::vector<std::int64_t> targets(std::size_t(rows_of(p)));
  for (std::int64_t& target : targets) target = draw.below(classes_of(p));
  return targets;
}

/// What normally distributed logits have, nearly.
template <class Problem> std::vector<float> usual_lse(const Problem& p) {
  return std::vector<float>(std::size_t(rows_of(p)), float(std::log(double(classes_of(p))) + 0.5));
}

/// Hands out the parts of a set of operands, one after another.
class Parts {
 public:
  explicit Parts(char* memory) : at_(memory) {}

  char* take(std::size_t bytes) {
    char* part = at_;
    at_ += align(bytes);
    return part;
  }
  template <class T> T* filled_with(const std::vector<T>& values) {
    const std::size_t bytes = values.size() * sizeof(T);
    char* part = take(bytes);
    check(cudaMemcpy(part, values.data(), bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    return reinterpret_cast<T*>(part);
  }

 private:
  char* at_;
};

/// What the bench asks of both directions.
class CrossEntropyBase : public Operator {
 public:
  Choices defaults(bool small) const override {
    return {{"problem", {small ? "16x1000" : "4096x32000"}}, {"dtype", {"bf16"}}, {"layout", {"plain"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    Case one{name(), "", {{"sizes", sizes}}, settings.at("dtype"), settings.at("dtype"), ""};
    parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
    one.layout = parse_choice("layout", settings.at("layout"), {"plain", "smoothed"});
    return one;
  }
};

class CrossEntropyOperator final : public CrossEntropyBase {
 public:
  std::string name() const override { return "cross_entropy"; }
  std::string family() const override { return "cross_entropy"; }
  std::string summary() const override {
    return "cross-entropy of rows of logits, and their lse; --problem ROWSxCLASSES, --dtype bf16|f16|f32, --layout "
           "plain|smoothed (label smoothing 0.1)";
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<CrossEntropyWorkload>(forward_problem(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const CrossEntropyProblem p = forward_problem(one);
    const std::vector<char> logits = host_normal(p.logits.dtype, rows_of(p) * classes_of(p), 1);
    return describe_reference(DType::f32, reference::cross_entropy(p, logits.data(), draw_targets(p).data()).loss);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return cross_entropy_candidates(forward_problem(one), device_info(session.gpu.index));
  }
};

class CrossEntropyBackwardOperator final : public CrossEntropyBase {
 public:
  std::string name() const override { return "cross_entropy_backward"; }
  std::string family() const override { return "cross_entropy_backward"; }
  std::string summary() const override {
    return "gradient of cross-entropy; --problem ROWSxCLASSES, --dtype bf16|f16|f32, --layout plain|smoothed (label "
           "smoothing 0.1)";
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<CrossEntropyBackwardWorkload>(backward_problem(one), session);
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const CrossEntropyBackwardProblem p = backward_problem(one);
    const std::vector<char> logits = host_normal(p.logits.dtype, rows_of(p) * classes_of(p), 1),
                            dloss = host_normal(DType::f32, rows_of(p), 2);
    const std::vector<std::int64_t> targets = draw_targets(p);
    const std::vector<float> lse = usual_lse(p);
    return describe_reference(
        p.dlogits.dtype, reference::cross_entropy_backward(p, {logits.data(), targets.data(), lse.data(),
                                                               reinterpret_cast<const float*>(dloss.data()), nullptr}));
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return cross_entropy_backward_candidates(backward_problem(one), device_info(session.gpu.index));
  }
};

}  // namespace

CrossEntropyWorkload::CrossEntropyWorkload(const CrossEntropyProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t set = align(logits_bytes(p)) + align(targets_bytes(p)) + 2 * align(floats_bytes(p));
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * set);
  const std::vector<std::int64_t> targets = draw_targets(p);
  for (std::size_t i = 0; i < sets; ++i) {
    Parts parts(memory_.at(i * set));
    CrossEntropyPointers x;
    char* logits = parts.take(logits_bytes(p));
    session.kernels.fill_normal(logits, p.logits.dtype, rows_of(p) * classes_of(p), i + 1);
    x.logits = logits;
    x.targets = parts.filled_with(targets);
    x.loss = reinterpret_cast<float*>(parts.take(floats_bytes(p)));
    x.lse = reinterpret_cast<float*>(parts.take(floats_bytes(p)));
    operands.push_back(x);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

Work CrossEntropyWorkload::work() const {
  return {0, double(logits_bytes(problem)) + double(targets_bytes(problem)) + 2.0 * double(floats_bytes(problem))};
}

Launch CrossEntropyWorkload::ceiling() {
  std::vector<const void*> sources;
  for (const CrossEntropyPointers& set : operands) sources.push_back(set.logits);
  return read_of(sources, logits_bytes(problem), session);
}

CeilingName CrossEntropyWorkload::ceiling_name() const { return {"read", "a kernel that only reads the logits"}; }

Verdict CrossEntropyWorkload::verify(const Implementation& implementation) {
  const CrossEntropyPointers& set = operands.front();
  run_poisoned(implementation, {{set.loss, floats_bytes(problem)}, {set.lse, floats_bytes(problem)}});
  if (expected_.loss.empty())
    expected_ = reference::cross_entropy(problem, download(set.logits, logits_bytes(problem)).data(),
                                         download(set.targets, targets_bytes(problem)).data());
  const auto floats = [](const HostCopy& bytes) { return reinterpret_cast<const float*>(bytes.data()); };
  const reference::Comparison loss =
      reference::compare_cross_entropy(problem, floats(download(set.loss, floats_bytes(problem))), expected_);
  const reference::Comparison lse =
      reference::compare_cross_entropy_lse(problem, floats(download(set.lse, floats_bytes(problem))), expected_);
  return verdict_of(lse.passed() ? loss : lse);
}

CrossEntropyBackwardWorkload::CrossEntropyBackwardWorkload(const CrossEntropyBackwardProblem& p, const Session& s)
    : problem(p), session(s) {
  const std::size_t set = 2 * align(logits_bytes(p)) + align(targets_bytes(p)) + 2 * align(floats_bytes(p));
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * set);
  const std::vector<std::int64_t> targets = draw_targets(p);
  const std::vector<float> lse = usual_lse(p);
  for (std::size_t i = 0; i < sets; ++i) {
    Parts parts(memory_.at(i * set));
    CrossEntropyBackwardPointers x;
    char *logits = parts.take(logits_bytes(p)), *dloss = parts.take(floats_bytes(p));
    session.kernels.fill_normal(logits, p.logits.dtype, rows_of(p) * classes_of(p), 2 * i + 1);
    session.kernels.fill_normal(dloss, DType::f32, rows_of(p), 2 * i + 2);
    x.logits = logits;
    x.targets = parts.filled_with(targets);
    x.lse = parts.filled_with(lse);
    x.dloss = reinterpret_cast<float*>(dloss);
    x.dlogits = parts.take(logits_bytes(p));
    operands.push_back(x);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

Work CrossEntropyBackwardWorkload::work() const {
  return {0,
          2.0 * double(logits_bytes(problem)) + double(targets_bytes(problem)) + 2.0 * double(floats_bytes(problem))};
}

Launch CrossEntropyBackwardWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict CrossEntropyBackwardWorkload::verify(const Implementation& implementation) {
  const CrossEntropyBackwardPointers& set = operands.front();
  run_poisoned(implementation, {{set.dlogits, logits_bytes(problem)}});
  const HostCopy logits = download(set.logits, logits_bytes(problem)),
                 targets = download(set.targets, targets_bytes(problem)),
                 lse = download(set.lse, floats_bytes(problem)), dloss = download(set.dloss, floats_bytes(problem));
  return verdict_of(reference::compare_cross_entropy_backward(
      problem,
      {logits.data(), targets.data(), reinterpret_cast<const float*>(lse.data()),
       reinterpret_cast<const float*>(dloss.data()), nullptr},
      download(set.dlogits, logits_bytes(problem)).data()));
}

const Operator& cross_entropy_operator() {
  static const CrossEntropyOperator op;
  return op;
}

const Operator& cross_entropy_backward_operator() {
  static const CrossEntropyBackwardOperator op;
  return op;
}

}  // namespace ckl::bench
