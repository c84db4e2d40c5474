#include "ops/gemm_oracle.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "ops/gemm_epilogue.hpp"
#include "reference/numeric.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

/// Products above which the CPU would take longer than the measurement.
constexpr double host_oracle_products = 1 << 24;

/// Elements from the first to the last of a matrix, inclusive.
std::int64_t span(const GemmOperand& operand, std::int64_t rows, std::int64_t columns) {
  if (rows == 0 || columns == 0) return 0;
  return (rows - 1) * operand.row_stride + (columns - 1) * operand.column_stride + 1;
}

std::vector<char> download(const GemmOperand& operand, std::int64_t rows, std::int64_t columns, const void* data) {
  std::vector<char> bytes(std::size_t(span(operand, rows, columns)) * size_of(operand.dtype));
  check(cudaMemcpy(bytes.data(), data, bytes.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  return bytes;
}

void reference_result(const GemmProblem& p, const GemmOperands& operands, std::vector<double>& d,
                      std::vector<double>& scale) {
  const std::vector<char> a = download(p.a, p.m, p.k, operands.a);
  const std::vector<char> b = download(p.b, p.k, p.n, operands.b);
  std::vector<char> c;
  if (p.beta != 0) c = download(p.c, p.m, p.n, operands.c);
  GemmPointers host{a.data(), b.data(), c.data()};
  std::vector<std::vector<char>> inputs;
  for_each_epilogue_input(p, [&](auto pointer, DType dtype, std::int64_t count) {
    inputs.emplace_back(std::size_t(count) * size_of(dtype));
    check(cudaMemcpy(inputs.back().data(), operands.*pointer, inputs.back().size(), cudaMemcpyDeviceToHost),
          "cudaMemcpy");
    host.*pointer = inputs.back().data();
  });
  d.resize(std::size_t(p.m * p.d_columns()));
  scale.resize(d.size());
  reference::fused_gemm(p, host, d.data(), scale.data());
}

MatrixView view(const GemmOperand& operand, const void* data) {
  return {data, operand.row_stride, operand.column_stride};
}

GpuResult product_on_gpu(const GemmProblem& p, const GemmOperands& operands, const Kernels& kernels, double beta) {
  GpuResult result(p.m * p.n);
  const OracleParams params{view(p.a, operands.a),
                            view(p.b, operands.b),
                            view(p.c, operands.c),
                            result.values(),
                            result.scales(),
                            p.m,
                            p.n,
                            p.k,
                            double(p.alpha),
                            beta};
  kernels.oracle(p.a.dtype, p.d.dtype, params);
  return result;
}

GpuResult gpu_result(const GemmProblem& p, const GemmOperands& operands, const Kernels& kernels) {
  if (p.epilogue.empty()) return product_on_gpu(p, operands, kernels, double(p.beta));
  const GpuResult product = product_on_gpu(p, operands, kernels, 0);
  GpuResult result(p.m * p.d_columns());
  const GemmEpilogue& e = p.epilogue;
  const auto vector = [](const GemmVector& x, const void* data) {
    return VectorView{x.used ? data : nullptr, x.stride};
  };
  const OracleEpilogueParams params{product.values(),
                                    product.scales(),
                                    result.values(),
                                    result.scales(),
                                    p.m,
                                    p.n,
                                    view(p.c, p.beta != 0 ? operands.c : nullptr),
                                    view(e.residual, e.has_residual ? operands.residual : nullptr),
                                    double(p.beta),
                                    vector(e.a_scale, operands.a_scale),
                                    vector(e.b_scale, operands.b_scale),
                                    vector(e.d_scale, operands.d_scale),
                                    vector(e.row_bias, operands.row_bias),
                                    vector(e.column_bias, operands.column_bias),
                                    OracleActivation(e.activation),
                                    e.gated,
                                    reference::activation_error / reference::gemm_tolerance(p.k),
                                    reference::steepest};
  kernels.oracle_epilogue(p.d.dtype, params);
  check(cudaDeviceSynchronize(), "the oracle of the epilogue");  // the product's result lives until here
  return result;
}

Findings compare_on_gpu(const GemmProblem& p, const void* d, const GpuResult& want, const Kernels& kernels) {
  return kernels.compare(p.d.dtype, {view(p.d, d), want.values(), want.scales(), p.m, p.d_columns(),
                                     reference::gemm_tolerance(p.k), nullptr});
}

/// The same kind of problem in a size that the CPU computes at once and that fits no tile.
GemmProblem small_like(GemmProblem p) {
  const auto shrink = [](GemmOperand& operand, std::int64_t rows, std::int64_t columns) {
    if (operand.column_stride == 1)
      operand.row_stride = columns;
    else
      operand.row_stride = 1, operand.column_stride = rows;
  };
  p.m = 150, p.n = 100, p.k = 70;
  shrink(p.a, p.m, p.k);
  shrink(p.b, p.k, p.n);
  shrink(p.c, p.m, p.n);
  shrink(p.d, p.m, p.d_columns());
  shrink(p.epilogue.residual, p.m, p.d_columns());
  return p;
}

void require(bool condition, const GemmProblem& p, const char* what) {
  if (!condition)
    throw std::runtime_error(fmt::format("the GPU oracle disagrees with the CPU on {}: {}", p.to_string(), what));
}

/// Checks the GPU oracle against the CPU's for problems like `like`, and that it does find a wrong element.
void check_gpu_oracle(const GemmProblem& like, const Session& session) {
  const GemmProblem p = small_like(like);
  const auto bytes = [](const GemmOperand& x, std::int64_t count) { return std::size_t(count) * size_of(x.dtype); };
  Buffer a(bytes(p.a, p.m * p.k)), b(bytes(p.b, p.k * p.n)), c(bytes(p.c, p.m * p.n)),
      d(bytes(p.d, p.m * p.d_columns()));
  session.kernels.fill_normal(a.data(), p.a.dtype, p.m * p.k, 11);
  session.kernels.fill_normal(b.data(), p.b.dtype, p.k * p.n, 12);
  session.kernels.fill_normal(c.data(), p.c.dtype, p.m * p.n, 13);
  GemmOperands operands{a.data(), b.data(), c.data(), d.data()};
  std::vector<Buffer> inputs;
  for_each_epilogue_input(p, [&](auto pointer, DType dtype, std::int64_t count) {
    inputs.emplace_back(std::size_t(count) * size_of(dtype));
    session.kernels.fill_normal(inputs.back().data(), dtype, count, 13 + inputs.size());
    operands.*pointer = inputs.back().data();
  });

  std::vector<double> want, want_scale;
  reference_result(p, operands, want, want_scale);
  const GpuResult result = gpu_result(p, operands, session.kernels);
  std::vector<double> got(want.size());
  std::vector<float> got_scale(want.size());
  check(cudaMemcpy(got.data(), result.expected.data(), result.expected.bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  check(cudaMemcpy(got_scale.data(), result.scale.data(), result.scale.bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  for (std::size_t i = 0; i < want.size(); ++i) {
    require(std::abs(got[i] - want[i]) <= 1e-13 * want_scale[i], p, "a result differs");
    require(std::abs(double(got_scale[i]) - want_scale[i]) <= 1e-4 * want_scale[i], p, "a sum of magnitudes differs");
  }

  // The comparison: a correctly rounded D passes with the error that the CPU finds, and one wrong element is found.
  const reference::Numeric numeric(p.d.dtype);
  std::vector<char> rounded(d.bytes());
  for (std::size_t i = 0; i < want.size(); ++i) numeric.write(rounded.data(), std::int64_t(i), want[i]);
  check(cudaMemcpy(d.data(), rounded.data(), d.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  const Findings right = compare_on_gpu(p, d.data(), result, session.kernels);
  const double error = reference::compare_gemm(p, rounded.data(), want.data(), want_scale.data()).error;
  require(right.wrong == 0, p, "a correctly rounded result was called wrong");
  require(std::abs(max_error(right) - error) <= 1e-4 * error + 1e-15, p, "the error of a rounded result differs");
  const std::int64_t spoiled = std::int64_t(want.size()) - 1;
  numeric.write(rounded.data(), spoiled, want[std::size_t(spoiled)] + 0.1 * want_scale[std::size_t(spoiled)]);
  check(cudaMemcpy(d.data(), rounded.data(), d.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  require(compare_on_gpu(p, d.data(), result, session.kernels).wrong == 1, p, "a wrong element was not found");
}

/// Once for each combination of types and layout.
void check_gpu_oracle_once(const GemmProblem& p, const Session& session) {
  static std::set<std::string> checked;
  const std::string kind = fmt::format("{} {} {} {} {} {}", name(p.a.dtype), name(p.d.dtype), p.a.column_stride == 1,
                                       p.b.column_stride == 1, p.beta != 0, p.epilogue.to_string());
  if (checked.count(kind)) return;
  check_gpu_oracle(p, session);
  checked.insert(kind);
}

}  // namespace

GemmOracle::GemmOracle(const GemmProblem& problem, const GemmOperands& operands, const Session& session)
    : problem_(problem),
      session_(session),
      on_gpu_(!session.gpu.emulated &&
              double(problem.m) * double(problem.n) * double(problem.k) > host_oracle_products) {
  if (!on_gpu_) {
    reference_result(problem, operands, host_expected_, host_scale_);
    return;
  }
  check_gpu_oracle_once(problem, session);
  gpu_expected_ = std::make_unique<GpuResult>(gpu_result(problem, operands, session.kernels));
  check(cudaDeviceSynchronize(), "the GEMM oracle");
}

Verdict GemmOracle::judge(const void* d) const { return on_gpu_ ? judge_on_gpu(d) : judge_on_host(d); }

Verdict GemmOracle::judge_on_host(const void* d) const {
  const std::vector<char> actual = download(problem_.d, problem_.m, problem_.d_columns(), d);
  const reference::Comparison comparison =
      reference::compare_gemm(problem_, actual.data(), host_expected_.data(), host_scale_.data());
  return {comparison.passed(), comparison.error, comparison.bound, comparison.first_wrong};
}

Verdict GemmOracle::judge_on_gpu(const void* d) const {
  const Findings findings = compare_on_gpu(problem_, d, *gpu_expected_, session_.kernels);
  Verdict verdict{findings.wrong == 0, max_error(findings), reference::gemm_bound(problem_), ""};
  if (!verdict.right)
    verdict.what = fmt::format("{} of {} elements are wrong", findings.wrong, problem_.m * problem_.d_columns());
  return verdict;
}

}  // namespace ckl::bench
