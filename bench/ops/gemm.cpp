#include "ops/gemm.hpp"

#include <cmath>

#include <fmt/format.h>

#include "ckl/tuning.hpp"
#include "ops/gemm_epilogue.hpp"
#include "ops/gemm_oracle.hpp"
#include "ops/memory.hpp"
#include "ops/parse.hpp"
#include "providers/providers.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

/// Everybody who computes a GEMM.
void provide(GemmWorkload& workload) {
  attempt(workload, workload.session, {"ckl", "ckl_batch_invariant", without_epilogue}, [&] { provide_ckl(workload); });
  attempt(workload, workload.session, {"cublaslt_top1", "cublaslt_best"}, [&] { provide_cublaslt(workload); });
  attempt(workload, workload.session, {"cutlass_best"}, [&] { provide_cutlass(workload); });
  provide_ladder(workload);
}

std::size_t bytes_of(const GemmOperand& operand, std::int64_t rows, std::int64_t columns) {
  return std::size_t(rows * columns) * size_of(operand.dtype);
}

GemmOperand row_major(DType dtype, std::int64_t columns) { return {dtype, columns, 1, 0, 16}; }
GemmOperand column_major(DType dtype, std::int64_t rows) { return {dtype, 1, rows, 0, 16}; }

DType dtype_named(const std::string& text) { return parse_dtype("dtype", text, {DType::bf16, DType::f16, DType::f32}); }

GemmProblem problem_of(const Case& one) {
  GemmProblem p;
  p.m = one.problem.at("m");
  p.n = one.problem.at("n");
  p.k = one.problem.at("k");
  p.alpha = one.problem.value("alpha", 1.0f);
  p.beta = one.problem.value("beta", 0.0f);
  const DType in = dtype_named(one.dtype), out = dtype_named(one.dtype_out);
  // cuBLAS's letters, for A (M, K) and B (K, N): t is row-major, n is column-major.
  p.a = one.layout[0] == 't' ? row_major(in, p.k) : column_major(in, p.m);
  p.b = one.layout[1] == 't' ? row_major(in, p.n) : column_major(in, p.k);
  p.c = row_major(out, p.n);
  p.epilogue = parse_epilogue(one.problem.value("epilogue", ""), out, p.m, p.n);
  p.d = row_major(out, p.d_columns());
  return p;
}

class GemmOperator final : public Operator {
 public:
  std::string name() const override { return "gemm"; }
  std::string family() const override { return "gemm"; }
  std::string summary() const override {
    return "D = alpha A B + beta C; --problem MxNxK, --dtype bf16|f16, --dtype-out bf16|f16|f32, --layout tn|nn|nt|tt, "
           "--alpha, --beta, --epilogue bias+gelu_tanh";
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "384x512x320" : "4096x4096x4096"}}, {"dtype", {"bf16"}}, {"layout", {"tn"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "dtype-out", "layout", "alpha", "beta", "epilogue"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 3);
    Case one{name(), "", {{"m", sizes[0]}, {"n", sizes[1]}, {"k", sizes[2]}}, settings.at("dtype"), "", ""};
    parse_dtype("dtype", one.dtype, {DType::bf16, DType::f16});
    one.dtype_out = value_or(settings, "dtype-out", one.dtype);
    parse_dtype("dtype-out", one.dtype_out, {DType::bf16, DType::f16, DType::f32});
    one.layout = parse_choice("layout", settings.at("layout"), {"tn", "nn", "nt", "tt"});
    for (const char* scalar : {"alpha", "beta"})
      if (settings.count(scalar)) one.problem[scalar] = parse_number(scalar, settings.at(scalar));
    if (settings.count("epilogue")) {
      one.problem["epilogue"] = settings.at("epilogue");
      parse_epilogue(settings.at("epilogue"), DType::f32, sizes[0], sizes[1]);
    }
    return one;
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    auto workload = std::make_unique<GemmWorkload>(problem_of(one), session);
    provide(*workload);
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const GemmProblem p = problem_of(one);
    const std::vector<char> a = host_normal(p.a.dtype, p.m * p.k, 1), b = host_normal(p.b.dtype, p.k * p.n, 2),
                            c = host_normal(p.c.dtype, p.m * p.n, 3);
    GemmPointers pointers{a.data(), b.data(), c.data()};
    std::vector<std::vector<char>> inputs;
    for_each_epilogue_input(p, [&](auto pointer, DType dtype, std::int64_t count) {
      inputs.push_back(host_normal(dtype, count, 4 + inputs.size()));
      pointers.*pointer = inputs.back().data();
    });
    std::vector<double> d(std::size_t(p.m * p.d_columns())), scale(d.size());
    reference::fused_gemm(p, pointers, d.data(), scale.data());
    return describe_reference(p.d.dtype, d);
  }

  std::vector<std::string> candidates(const Case& one, const Session& session) const override {
    return gemm_candidates(problem_of(one), device_info(session.gpu.index));
  }

  bool can_be_tuned() const override { return true; }

  void store_tuning(const Case& one, const Session& session, const std::string& config, double time_us) const override {
    ckl::store_tuning(problem_of(one), device_info(session.gpu.index), config, time_us);
  }

  std::unique_ptr<Case> peak_case(const std::string& dtype) const override {
    return std::make_unique<Case>(parse({{"problem", "8192x8192x8192"}, {"dtype", dtype}, {"layout", "tn"}}));
  }
};

}  // namespace

GemmWorkload::GemmWorkload(const GemmProblem& p, const Session& s) : problem(p), session(s) {
  const std::size_t a = align(bytes_of(p.a, p.m, p.k)), b = align(bytes_of(p.b, p.k, p.n)),
                    d = align(bytes_of(p.d, p.m, p.n)), c = p.beta != 0 ? d : 0;  // also of a product without a gate
  std::size_t set_bytes = a + b + c + d;
  for_each_epilogue_input(
      p, [&](auto, DType dtype, std::int64_t count) { set_bytes += align(std::size_t(count) * size_of(dtype)); });
  sets = rotation_sets(session, double(set_bytes));
  memory_ = Buffer(sets * set_bytes);
  const Kernels& kernels = session.kernels;
  for (std::size_t i = 0; i < sets; ++i) {
    char* at = memory_.at(i * set_bytes);
    operands.push_back({at, at + a, c ? at + a + b : nullptr, at + a + b + c});
    kernels.fill_normal(at, p.a.dtype, p.m * p.k, 3 * i + 1);
    kernels.fill_normal(at + a, p.b.dtype, p.k * p.n, 3 * i + 2);
    if (c) kernels.fill_normal(at + a + b, p.c.dtype, p.m * p.n, 3 * i + 3);
    at += a + b + c + d;
    std::uint64_t seed = 3 * sets;
    for_each_epilogue_input(p, [&](auto pointer, DType dtype, std::int64_t count) {
      operands.back().*pointer = at;
      kernels.fill_normal(at, dtype, count, ++seed);
      at += align(std::size_t(count) * size_of(dtype));
    });
  }
  check(cudaDeviceSynchronize(), "filling the operands");
}

GemmWorkload::~GemmWorkload() = default;

Work GemmWorkload::work() const {
  double addend_bytes = problem.beta != 0 ? double(bytes_of(problem.c, problem.m, problem.n)) : 0;
  for_each_epilogue_input(
      problem, [&](auto, DType dtype, std::int64_t count) { addend_bytes += double(count) * double(size_of(dtype)); });
  return {2.0 * double(problem.m) * double(problem.n) * double(problem.k),
          double(bytes_of(problem.a, problem.m, problem.k)) + double(bytes_of(problem.b, problem.k, problem.n)) +
              addend_bytes + double(bytes_of(problem.d, problem.m, problem.d_columns()))};
}

Verdict GemmWorkload::verify(const Implementation& implementation) {
  const GemmOperands& set = operands.front();
  const bool plain = implementation.name == without_epilogue;
  std::unique_ptr<GemmOracle>& oracle = plain ? plain_oracle_ : oracle_;
  if (!oracle) oracle = std::make_unique<GemmOracle>(plain ? plain_problem(problem) : problem, set, session);
  // All ones are a NaN in every type, so that an element nobody wrote is found.
  check(cudaMemset(set.d, 0xff, bytes_of(problem.d, problem.m, problem.n)), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaMemset");
  Stream stream;
  implementation.launch(0, stream);
  stream.synchronize();
  return oracle->judge(set.d);
}

GemmProblem plain_problem(const GemmProblem& problem) {
  GemmProblem plain = problem;
  plain.epilogue = {};
  plain.d = row_major(problem.d.dtype, problem.n);
  return plain;
}

const Operator& gemm_operator() {
  static const GemmOperator gemm;
  return gemm;
}

}  // namespace ckl::bench
