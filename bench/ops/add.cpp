#include "ops/add.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

#include "ops/parse.hpp"
#include "providers/providers.hpp"
#include "reference/numeric.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

constexpr std::int64_t host_oracle_elements = 1 << 20;  // beyond, the GPU is judged on the GPU
constexpr std::size_t alignment = 256;

std::size_t align(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

/// Elements from the first to the last of an operand, inclusive.
std::int64_t span(const AddProblem& p, const TensorOperand& operand) {
  std::int64_t last = 0;
  for (int dim = 0; dim < p.rank; ++dim) {
    if (p.sizes[dim] == 0) return 0;
    last += (p.sizes[dim] - 1) * operand.strides[dim];
  }
  return last + 1;
}

/// Elements of an operand that differ in address: repeated ones need to be read only once.
std::int64_t distinct(const AddProblem& p, const TensorOperand& operand) {
  std::int64_t count = 1;
  for (int dim = 0; dim < p.rank; ++dim)
    if (operand.strides[dim] != 0) count *= p.sizes[dim];
  return count;
}

std::size_t bytes_of(const AddProblem& p, const TensorOperand& x) { return std::size_t(span(p, x)) * size_of(x.dtype); }

TensorOperand contiguous(const AddProblem& p, DType dtype) {
  TensorOperand operand;
  operand.dtype = dtype;
  std::int64_t stride = 1;
  for (int dim = p.rank - 1; dim >= 0; --dim) {
    operand.strides[dim] = stride;
    stride *= p.sizes[dim];
  }
  return operand;
}

/// B is one row, repeated.
void broadcast_rows(AddProblem& p) {
  p.b.strides = {};
  p.b.strides[p.rank - 1] = 1;
}

/// A and B are the left parts of matrices with half as many columns again.
void widen_rows(AddProblem& p) {
  const std::int64_t columns = p.sizes[p.rank - 1];
  for (TensorOperand* operand : {&p.a, &p.b})
    for (int dim = 0; dim + 1 < p.rank; ++dim)
      operand->strides[dim] = operand->strides[dim] / columns * (columns + columns / 2);
}

/// A is column-major.
void transpose_a(AddProblem& p) {
  std::int64_t stride = 1;
  for (int dim = 0; dim < p.rank; ++dim) {
    p.a.strides[dim] = stride;
    stride *= p.sizes[dim];
  }
}

AddProblem problem_of(const Case& one) {
  AddProblem p;
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  const DType dtype = parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
  p.a = p.b = p.d = contiguous(p, dtype);
  if (one.layout == "broadcast") broadcast_rows(p);
  if (one.layout == "strided") widen_rows(p);
  if (one.layout == "transposed") transpose_a(p);
  return p;
}

CheckAddParams check_params(const AddProblem& p, const AddOperands& set) {
  static_assert(kMaxRank == max_rank);
  CheckAddParams params{set.a, set.b, set.d, {}, {}, {}, {}, reference::element_count(p), nullptr};
  for (int dim = 0; dim < kMaxRank; ++dim) {
    params.sizes[dim] = dim < p.rank ? p.sizes[dim] : 1;
    params.a_strides[dim] = dim < p.rank ? p.a.strides[dim] : 0;
    params.b_strides[dim] = dim < p.rank ? p.b.strides[dim] : 0;
    params.d_strides[dim] = dim < p.rank ? p.d.strides[dim] : 0;
  }
  return params;
}

std::vector<char> download(const void* data, std::size_t bytes) {
  std::vector<char> copy(bytes);
  check(cudaMemcpy(copy.data(), data, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
  return copy;
}

/// The GPU's check must pass the CPU's result and find one spoiled element, once for each type and layout.
void check_gpu_check_once(const AddProblem& like, const Case& small, const Session& session) {
  static std::set<std::string> checked;
  const std::string kind = small.dtype + small.layout;
  if (checked.count(kind)) return;
  const AddProblem p = problem_of(small);
  Buffer a(bytes_of(p, p.a)), b(bytes_of(p, p.b)), d(bytes_of(p, p.d));
  session.kernels.fill_normal(a.data(), like.a.dtype, span(p, p.a), 1);
  session.kernels.fill_normal(b.data(), like.b.dtype, span(p, p.b), 2);
  std::vector<double> expected(std::size_t(reference::element_count(p)));
  reference::add(p, download(a.data(), a.bytes()).data(), download(b.data(), b.bytes()).data(), expected.data());

  const reference::Numeric numeric(p.d.dtype);
  std::vector<char> values(d.bytes());
  for (std::size_t i = 0; i < expected.size(); ++i) numeric.write(values.data(), std::int64_t(i), expected[i]);
  for (unsigned long long spoiled : {0ull, 1ull}) {
    if (spoiled) numeric.write(values.data(), std::int64_t(expected.size()) - 1, expected.back() + 1);
    check(cudaMemcpy(d.data(), values.data(), d.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
    const Findings findings = session.kernels.check_add(p.d.dtype, check_params(p, {a.data(), b.data(), d.data()}));
    if (findings.wrong != spoiled)
      throw std::runtime_error(fmt::format("the GPU's check of {} is wrong: it found {} wrong elements of {}",
                                           small.to_string(), findings.wrong, spoiled));
  }
  checked.insert(kind);
}

class AddOperator final : public Operator {
 public:
  std::string name() const override { return "add"; }
  std::string family() const override { return "elementwise"; }
  std::string summary() const override {
    return "D = A + B elementwise; --problem SIZExSIZE..., --dtype bf16|f16|f32, --layout "
           "contiguous|broadcast|strided|transposed";
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "300x1024" : "16384x4096"}}, {"dtype", {"bf16"}}, {"layout", {"contiguous"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    Case one{name(), "", {{"sizes", sizes}}, settings.at("dtype"), settings.at("dtype"), ""};
    parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16, DType::f32});
    one.layout = parse_choice("layout", settings.at("layout"), {"contiguous", "broadcast", "strided", "transposed"});
    if (one.layout != "contiguous" && sizes.size() < 2)
      throw UsageError(fmt::format("--problem: must have two sizes or more for --layout {}, got `{}`", one.layout,
                                   settings.at("problem")));
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<AddWorkload>(problem_of(one), session);
    if (!session.gpu.emulated) {
      Case small = one;
      small.problem["sizes"] = one.problem["sizes"].size() < 2 ? Json{3333} : Json{33, 101};
      check_gpu_check_once(workload->problem, small, session);
    }
    attempt(*workload, session, {"ckl"}, [&] { provide_ckl(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const AddProblem p = problem_of(one);
    const std::vector<char> a = host_normal(p.a.dtype, span(p, p.a), 1), b = host_normal(p.b.dtype, span(p, p.b), 2);
    std::vector<double> d(std::size_t(reference::element_count(p)));
    reference::add(p, a.data(), b.data(), d.data());
    return describe_reference(p.d.dtype, d);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return add_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

AddWorkload::AddWorkload(const AddProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t a = align(bytes_of(p, p.a)), b = align(bytes_of(p, p.b)), d = align(bytes_of(p, p.d));
  sets = rotation_sets(session, double(a + b + d));
  memory_ = Buffer(sets * (a + b + d));
  for (std::size_t i = 0; i < sets; ++i) {
    char* at = memory_.at(i * (a + b + d));
    operands.push_back({at, at + a, at + a + b});
    session.kernels.fill_normal(at, p.a.dtype, span(p, p.a), 2 * i + 1);
    session.kernels.fill_normal(at + a, p.b.dtype, span(p, p.b), 2 * i + 2);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

Work AddWorkload::work() const {
  const std::int64_t elements =
      distinct(problem, problem.a) + distinct(problem, problem.b) + distinct(problem, problem.d);
  return {0, double(elements) * double(size_of(problem.d.dtype))};
}

Launch AddWorkload::ceiling() { return copy_of(work().bytes, sets, session); }

Verdict AddWorkload::verify(const Implementation& implementation) {
  const AddOperands& set = operands.front();
  check(cudaMemset(set.d, 0xff, bytes_of(problem, problem.d)), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaMemset");
  Stream stream;
  implementation.launch(0, stream);
  stream.synchronize();
  const bool small = reference::element_count(problem) <= host_oracle_elements;
  return session.gpu.emulated || small ? judge_on_host(set) : judge_on_gpu(set);
}

Verdict AddWorkload::judge_on_host(const AddOperands& set) {
  if (expected_.empty()) {
    expected_.resize(std::size_t(reference::element_count(problem)));
    reference::add(problem, download(set.a, bytes_of(problem, problem.a)).data(),
                   download(set.b, bytes_of(problem, problem.b)).data(), expected_.data());
  }
  const reference::Comparison comparison =
      reference::compare_add(problem, download(set.d, bytes_of(problem, problem.d)).data(), expected_.data());
  return {comparison.passed(), comparison.error, comparison.bound, comparison.first_wrong};
}

Verdict AddWorkload::judge_on_gpu(const AddOperands& set) const {
  const Findings findings = session.kernels.check_add(problem.d.dtype, check_params(problem, set));
  Verdict verdict{findings.wrong == 0, max_error(findings), 0, ""};
  if (!verdict.right) verdict.what = fmt::format("{} elements are wrong", findings.wrong);
  return verdict;
}

const Operator& add_operator() {
  static const AddOperator add;
  return add;
}

}  // namespace ckl::bench
