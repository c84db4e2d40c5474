#include "ops/reduce.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ops/memory.hpp"
#include "ops/parse.hpp"
#include "providers/providers.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

constexpr ReduceOp all_ops[] = {ReduceOp::sum,      ReduceOp::product,  ReduceOp::mean,   ReduceOp::min,
                                ReduceOp::max,      ReduceOp::argmin,   ReduceOp::argmax, ReduceOp::any,
                                ReduceOp::all,      ReduceOp::l1,       ReduceOp::l2,     ReduceOp::log_sum_exp,
                                ReduceOp::variance, ReduceOp::deviation};

ReduceOp parse_op(const std::string& text) {
  std::vector<std::string> names;
  for (const ReduceOp op : all_ops) {
    if (text == ckl::name(op)) return op;
    names.push_back(ckl::name(op));
  }
  throw UsageError(fmt::format("--layout: must be one of {}, got `{}`", fmt::join(names, ", "), text));
}

/// "all", or dimensions joined by +, such as "0+2".
std::vector<int> parse_axes(const std::string& text, std::size_t rank) {
  std::vector<int> axes;
  if (text == "all") return axes;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const bool is_number = !word.empty() && word.find_first_not_of("0123456789") == word.npos;
    const double axis = is_number ? parse_number("axis", word) : -1;
    if (axis != int(axis) || axis < 0 || axis >= double(rank))
      throw UsageError(
          fmt::format("--axis: must be all, or numbers from 0 to {} joined by +, got `{}`", rank - 1, text));
    axes.push_back(int(axis));
    begin = end + 1;
  }
  return axes;
}

/// The type of y: x's, where the operation leaves the choice.
DType output_of(ReduceOp op, DType x) {
  if (op == ReduceOp::argmin || op == ReduceOp::argmax) return DType::i64;
  return op == ReduceOp::any || op == ReduceOp::all ? DType::b8 : x;
}

constexpr std::initializer_list<DType> dtypes = {DType::bf16, DType::f16, DType::f32, DType::i64, DType::i32};

ReduceProblem problem_of(const Case& one) {
  ReduceProblem p;
  p.op = parse_op(one.layout);
  for (const Json& size : one.problem.at("sizes")) p.sizes[p.rank++] = size;
  const std::vector<int> axes = parse_axes(one.problem.at("axis"), std::size_t(p.rank));
  for (int d = 0; d < p.rank; ++d) p.reduced[d] = axes.empty() || std::find(axes.begin(), axes.end(), d) != axes.end();
  p.x.dtype = parse_dtype("dtype", one.dtype, dtypes);
  p.y.dtype = output_of(p.op, p.x.dtype);
  std::int64_t x_stride = 1, y_stride = 1;
  for (int d = p.rank - 1; d >= 0; --d) {
    p.x.strides[d] = x_stride;
    x_stride *= p.sizes[d];
    if (p.reduced[d]) continue;
    p.y.strides[d] = y_stride;
    y_stride *= p.sizes[d];
  }
  return p;
}

class ReduceOperator final : public Operator {
 public:
  std::string name() const override { return "reduce"; }
  std::string family() const override { return "reduce"; }
  std::string summary() const override {
    return "reductions; --problem SIZExSIZE..., --axis all|N|N+N..., --dtype bf16|f16|f32|i64|i32, --layout "
           "sum|product|mean|min|max|argmin|"
           "argmax|any|all|l1|l2|log_sum_exp|variance|deviation";
  }

  Choices defaults(bool small) const override {
    return {
        {"problem", {small ? "64x1000" : "16384x4096"}}, {"axis", {"all"}}, {"dtype", {"f32"}}, {"layout", {"sum"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout", "axis"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 0);
    const ReduceOp op = parse_op(settings.at("layout"));
    const std::string axis = value_or(settings, "axis", "all");
    parse_axes(axis, sizes.size());
    const DType x = parse_dtype("dtype", settings.at("dtype"), dtypes);
    return {name(), "", {{"sizes", sizes}, {"axis", axis}}, ckl::name(x), ckl::name(output_of(op, x)), ckl::name(op)};
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<ReduceWorkload>(problem_of(one), session);
    attempt(*workload, session, {"ckl", "ckl_batch_invariant"}, [&] { provide_ckl(*workload); });
    attempt(*workload, session, {"cub"}, [&] { provide_cub(*workload); });
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const ReduceProblem p = problem_of(one);
    std::vector<long double> y(std::size_t(reference::output_count(p))), slack(y.size());
    std::int64_t count = 1;
    for (int d = 0; d < p.rank; ++d) count *= p.sizes[d];
    reference::reduce(p, host_normal(p.x.dtype, count, 1).data(), y.data(), slack.data());
    return describe_reference(p.x.dtype, std::vector<double>(y.begin(), y.end()));
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return reduce_candidates(problem_of(one), device_info(session.gpu.index));
  }
};

}  // namespace

ReduceWorkload::ReduceWorkload(const ReduceProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t of_x = align(x_bytes()), of_y = align(y_bytes());
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * (of_x + of_y));
  for (std::size_t i = 0; i < sets; ++i) {
    char* at = memory_.at(i * (of_x + of_y));
    operands.push_back({at, at + of_x});
    session.kernels.fill_normal(at, p.x.dtype, std::int64_t(x_bytes() / size_of(p.x.dtype)), i + 1);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

std::size_t ReduceWorkload::x_bytes() const {
  std::size_t bytes = size_of(problem.x.dtype);
  for (int d = 0; d < problem.rank; ++d) bytes *= std::size_t(problem.sizes[d]);
  return bytes;
}
std::size_t ReduceWorkload::y_bytes() const {
  return std::size_t(reference::output_count(problem)) * size_of(problem.y.dtype);
}

Work ReduceWorkload::work() const { return {0, double(x_bytes() + y_bytes())}; }

Launch ReduceWorkload::ceiling() {
  std::vector<const void*> sources;
  for (const ReduceOperands& set : operands) sources.push_back(set.x);
  return read_of(sources, x_bytes(), session);
}

CeilingName ReduceWorkload::ceiling_name() const { return {"read", "a kernel that only reads the same bytes"}; }

Verdict ReduceWorkload::verify(const Implementation& implementation) {
  const ReduceOperands& set = operands.front();
  check(cudaMemset(set.y, 0xff, y_bytes()), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaMemset");
  Stream stream;
  implementation.launch(0, stream);
  stream.synchronize();
  const HostCopy y = download(set.y, y_bytes());
  if (expected_.empty()) {
    expected_.resize(std::size_t(reference::output_count(problem)));
    slack_.resize(expected_.size());
    reference::reduce(problem, download(set.x, x_bytes()).data(), expected_.data(), slack_.data());
  }
  const reference::Comparison comparison =
      reference::compare_reduce(problem, y.data(), expected_.data(), slack_.data());
  return {comparison.passed(), comparison.error, comparison.bound, comparison.first_wrong};
}

const Operator& reduce_operator() {
  static const ReduceOperator reduce;
  return reduce;
}

}  // namespace ckl::bench
