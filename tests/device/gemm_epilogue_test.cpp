// The fused epilogues against the oracle: each piece alone on every way that D takes, all of them together, and drawn mixtures.

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cases/gemm_cases.hpp"
#include "device_test.hpp"
#include "gemm_data.hpp"
#include "ops/gemm/epilogue.hpp"

namespace ckl::test {
namespace {

/// A GEMM and what is fused into it.
struct FusedCase {
  GemmCase gemm;
  Activation activation = Activation::none;
  bool gated = false;
  /// Vectors and scalars by name of GemmEpilogueTensors' member: "a_scale", ...; the value says whether it is a scalar.
  std::map<std::string, bool> vectors;
  DType vector_type = DType::f32;
  std::optional<MatrixLayout> residual, aux;
  DType residual_type = DType::bf16, aux_type = DType::bf16;
  bool residual_is_d = false;

  std::int64_t d_columns() const { return gated ? gemm.n / 2 : gemm.n; }
};

class FusedData {
 public:
  explicit FusedData(const FusedCase& fused) : case_(fused) {
    const GemmCase& g = fused.gemm;
    const auto make = [](std::optional<OperandBuffer>& matrix, DType type, std::int64_t rows, std::int64_t columns,
                         const MatrixLayout& layout) -> OperandBuffer& {
      return matrix.emplace(type, Dimensions{rows, columns}, Dimensions{layout.row_stride, layout.column_stride},
                            layout.offset);
    };
    make(a_, g.in, g.m, g.k, g.a);
    make(b_, g.in, g.k, g.n, g.b);
    make(d_, g.out, g.m, fused.d_columns(), g.d);
    if (g.alpha != 0) a_->fill(1), b_->fill(2);
    if (g.beta != 0) make(c_, g.out, g.m, g.n, g.c).fill(3);
    if (fused.residual) make(residual_, fused.residual_type, g.m, fused.d_columns(), *fused.residual).fill(4);
    if (fused.residual_is_d) d_->fill(4);
    if (fused.aux) make(aux_, fused.aux_type, g.m, g.n, *fused.aux);
    int seed = 5;
    for (const auto& [name, scalar] : fused.vectors) {
      const std::int64_t length = scalar ? 1 : name == "a_scale" || name == "row_bias" ? g.m : g.n;
      auto [at, is_new] = vectors_.try_emplace(name, fused.vector_type, Dimensions{length}, Dimensions{1});
      at->second.fill(seed++);
    }
  }

  GemmArguments arguments() {
    GemmArguments x{a_->tensor(), b_->tensor(), d_->tensor(), case_.gemm.alpha, case_.gemm.beta};
    if (c_) x.c = c_->tensor();
    x.epilogue.activation = case_.activation;
    x.epilogue.gated = case_.gated;
    for (const auto& [name, scalar] : case_.vectors) {
      Tensor t = vectors_.at(name).tensor();
      if (scalar) t.rank = 0;
      member(x.epilogue, name) = t;
    }
    if (residual_) x.epilogue.residual = residual_->tensor();
    if (case_.residual_is_d) x.epilogue.residual = d_->tensor();
    if (aux_) x.epilogue.aux = aux_->tensor();
    return x;
  }

  OperandBuffer& a() { return *a_; }
  OperandBuffer& d() { return *d_; }
  OperandBuffer& vector(const std::string& name) { return vectors_.at(name); }

  void expect() {
    problem_ = gemm_problem(arguments());
    GemmPointers host;
    host.a = a_->host();
    host.b = b_->host();
    if (c_) host.c = c_->host();
    host.d = d_->host();
    const auto vector = [&](const char* name) -> const void* {
      const auto at = vectors_.find(name);
      return at == vectors_.end() ? nullptr : at->second.host();
    };
    host.a_scale = vector("a_scale");
    host.b_scale = vector("b_scale");
    host.d_scale = vector("d_scale");
    host.row_bias = vector("row_bias");
    host.column_bias = vector("column_bias");
    if (residual_) host.residual = residual_->host();
    if (case_.residual_is_d) host.residual = d_->host();
    const std::size_t count = case_.gemm.m * case_.d_columns(), all = case_.gemm.m * case_.gemm.n;
    d_want_.resize(count), d_scale_.resize(count), aux_want_.resize(all), aux_scale_.resize(all);
    reference::fused_gemm(problem_, host, d_want_.data(), d_scale_.data(), aux_want_.data(), aux_scale_.data());
  }

  void check() {
    d_->receive("D");
    if (aux_) aux_->receive("aux");
    a_->expect_unchanged("A");
    b_->expect_unchanged("B");
    if (c_) c_->expect_unchanged("C");
    if (residual_) residual_->expect_unchanged("the residual");
    for (const auto& [name, buffer] : vectors_) buffer.expect_unchanged(name.c_str());
    judge(problem_, d_->host(), d_want_, d_scale_, "D");
    if (!aux_) return;
    GemmProblem aux = problem_;
    aux.d = problem_.epilogue.aux;
    aux.epilogue = {};
    judge(aux, aux_->host(), aux_want_, aux_scale_, "aux");
  }

  void reset() {
    if (case_.residual_is_d)
      d_->fill(4);
    else
      d_->fill_with(std::nan(""));
    if (aux_) aux_->fill_with(std::nan(""));
  }

  /// Runs `config` through a plan.
  void run(const std::string& config) {
    const GemmPlan plan(gemm_problem(arguments()), -1, config);
    const GemmArguments x = arguments();
    GemmPointers pointers{x.a.data, x.b.data, x.c.data, x.d.data};
    GemmProblem problem = plan.problem();
    for_each_vector(problem, [&](auto&, const char*, std::int64_t, auto tensor, auto pointer) {
      pointers.*pointer = (x.epilogue.*tensor).data;
    });
    pointers.residual = x.epilogue.residual.data;
    pointers.aux = x.epilogue.aux.data;
    Workspace workspace(plan.workspace_bytes());
    plan.run(pointers, workspace.device());
  }

 private:
  static Tensor& member(GemmEpilogueTensors& x, const std::string& name) {
    return name == "a_scale"    ? x.a_scale
           : name == "b_scale"  ? x.b_scale
           : name == "d_scale"  ? x.d_scale
           : name == "row_bias" ? x.row_bias
                                : x.column_bias;
  }

  static void judge(const GemmProblem& problem, const void* actual, const std::vector<double>& want,
                    const std::vector<double>& scale, const char* name) {
    const reference::Comparison comparison = reference::compare_gemm(problem, actual, want.data(), scale.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " of " << want.size() << " elements of " << name
                                     << " are wrong: " << comparison.first_wrong;
  }

  FusedCase case_;
  std::optional<OperandBuffer> a_, b_, c_, d_, residual_, aux_;
  std::map<std::string, OperandBuffer> vectors_;
  GemmProblem problem_;
  std::vector<double> d_want_, d_scale_, aux_want_, aux_scale_;
};

/// A product with nothing fused; `d` says how D lies: "row", "column", "odd" (no vector fits) or "f32".
FusedCase plain(std::int64_t m, std::int64_t n, std::int64_t k, const std::string& d = "row") {
  FusedCase fused;
  fused.gemm = dense_gemm("", "", m, n, k);
  fused.gemm.d = fused.gemm.c = d == "column" ? column_major(m) : row_major(n, d == "odd" ? 1 : 0);
  if (d == "f32") fused.gemm.out = DType::f32;
  return fused;
}

using Change = void (*)(FusedCase&);

/// Every piece of the epilogue alone, by name.
const std::vector<std::pair<std::string, Change>> pieces = {
    {"a_scale", [](FusedCase& f) { f.vectors["a_scale"] = false; }},
    {"b_scale", [](FusedCase& f) { f.vectors["b_scale"] = false; }},
    {"scalar_scales",
     [](FusedCase& f) {
       f.vectors = {{"a_scale", true}, {"b_scale", true}, {"d_scale", true}};
     }},
    {"row_bias", [](FusedCase& f) { f.vectors["row_bias"] = false; }},
    {"column_bias", [](FusedCase& f) { f.vectors["column_bias"] = false, f.vector_type = DType::bf16; }},
    {"relu", [](FusedCase& f) { f.activation = Activation::relu; }},
    {"gelu", [](FusedCase& f) { f.activation = Activation::gelu; }},
    {"gelu_tanh", [](FusedCase& f) { f.activation = Activation::gelu_tanh; }},
    {"silu", [](FusedCase& f) { f.activation = Activation::silu; }},
    {"sigmoid", [](FusedCase& f) { f.activation = Activation::sigmoid; }},
    {"residual", [](FusedCase& f) { f.residual = f.gemm.d; }},
    {"residual_f32_column", [](FusedCase& f) { f.residual = column_major(f.gemm.m), f.residual_type = DType::f32; }},
    {"residual_in_place", [](FusedCase& f) { f.residual_is_d = true; }},
    {"aux", [](FusedCase& f) { f.aux = f.gemm.d, f.activation = Activation::relu; }},
    {"aux_f16_odd",
     [](FusedCase& f) { f.aux = row_major(f.gemm.n, 3), f.aux_type = DType::f16, f.activation = Activation::silu; }},
};

/// Everything at once.
void everything(FusedCase& f) {
  f.vectors = {{"a_scale", false}, {"b_scale", false}, {"d_scale", true}, {"row_bias", false}, {"column_bias", false}};
  f.activation = Activation::gelu;
  f.residual = row_major(f.d_columns(), (8 - f.d_columns() % 8) % 8);
  f.aux = row_major(f.gemm.n, 8);
  f.gemm.alpha = 0.125f, f.gemm.beta = -0.5f;
}

void run_and_check(FusedData& data, const std::string& config = {}) {
  data.expect();
  data.run(config);
  data.check();
}

class GemmEpilogues : public DeviceTest {};

TEST_F(GemmEpilogues, EachPieceAloneOnEachWayOfD) {
  for (const char* d : {"row", "column", "odd", "f32"})
    for (const auto& [name, change] : pieces) {
      SCOPED_TRACE(name + " on " + d);
      FusedCase fused = plain(72, 88, 40, d);
      change(fused);
      FusedData data(fused);
      run_and_check(data);
    }
}

TEST_F(GemmEpilogues, AllPiecesTogetherAtOddSizes) {
  for (const char* d : {"row", "column", "odd"}) {
    SCOPED_TRACE(d);
    FusedCase fused = plain(67, 131, 33, d);
    everything(fused);
    FusedData data(fused);
    run_and_check(data);
  }
}

TEST_F(GemmEpilogues, GatedFormsHaveHalfTheColumns) {
  for (const Activation activation : {Activation::none, Activation::sigmoid, Activation::relu, Activation::gelu,
                                      Activation::gelu_tanh, Activation::silu})
    for (const std::int64_t n : {88, 70, 2})
      for (const bool column : {false, true}) {
        SCOPED_TRACE(std::string(name(activation)) + " n=" + std::to_string(n) + (column ? " column-major" : ""));
        FusedCase fused = plain(70, n, 40);
        fused.gated = true;
        everything(fused);
        fused.activation = activation;
        fused.gemm.d = column ? column_major(70) : row_major(n / 2);
        FusedData data(fused);
        run_and_check(data);
      }
}

/// Everything that fragments of accumulators take at once: of C and the residual, one passes through shared memory.
void everything_by_fragments(FusedCase& f, bool residual) {
  everything(f);
  if (residual)
    f.gemm.beta = 0;
  else
    f.residual.reset();
  f.gemm.d = f.gemm.c = row_major(f.gemm.n, 8);
  if (residual) f.residual = f.gemm.d;
}

// Every shipped kernel, whole tiles and cut ones: the functor sees each sum once, and whole. 136 columns leave each tile a partial
// one beside it, 72 rows a partial one below; 1032 is no multiple of a K tile.
TEST_F(GemmEpilogues, EveryConfigTakesEveryPiece) {
  const std::map<std::string, Change> ways = {
      {"gated", [](FusedCase& f) { f.gated = true, everything(f), f.gemm.d = row_major(f.d_columns(), 4); }},
      {"all", [](FusedCase& f) { everything(f), f.gemm.d = row_major(f.d_columns(), 4); }},
      {"residual", [](FusedCase& f) { everything_by_fragments(f, true); }},
      {"c", [](FusedCase& f) { everything_by_fragments(f, false), f.activation = Activation::gelu_tanh; }},
  };
  for (const DType type : {DType::bf16, DType::f16})
    for (const std::string layout : {"tn", "nn", "nt", "tt"})
      for (const auto& [way, change] : ways) {
        if (type == DType::f16 && short_list() && (way == "gated" || way == "c")) continue;
        FusedCase fused = plain(72, 136, 1032);
        GemmCase& g = fused.gemm;
        g.in = g.out = type;
        g.a = layout[0] == 't' ? row_major(g.k) : column_major(g.m);
        g.b = layout[1] == 'n' ? column_major(g.k) : row_major(g.n);
        change(fused);
        FusedData data(fused);
        data.expect();
        const std::vector<std::string> configs = gemm_candidates(gemm_problem(data.arguments()), device_info(0));
        EXPECT_GE(configs.size(), 4u) << layout;
        for (const std::string& config : configs) {
          SCOPED_TRACE(config + " " + way);
          data.reset();
          data.run(config);
          data.check();
        }
      }
}

// More than one tile for each consumer and more than one piece for each tile: staging buffers are used again, also those of the last tile.
TEST_F(GemmEpilogues, FollowEachOtherInOneBlock) {
  for (const bool residual : {true, false}) {
    SCOPED_TRACE(residual ? "residual" : "c");
    // The short list is for an emulated GPU of few multiprocessors, as the test of its modes has it.
    FusedCase fused = short_list() ? plain(520, 1032, 72) : plain(3080, 2568, 72);
    everything_by_fragments(fused, residual);
    FusedData data(fused);
    data.expect();
    for (const char* config :
         {"bf16_tn_128x256x64_2x1_s4_coopm", "bf16_tn_128x192x64_2x1_s4_ping", "bf16_tn_64x64x64_1x1_s12_ping"}) {
      SCOPED_TRACE(config);
      data.reset();
      data.run(config);
      data.check();
    }
  }
}

// Without a product, the epilogue of beta C is left; A and B stay unread.
TEST_F(GemmEpilogues, WorkWithoutAProduct) {
  for (const bool empty_sum : {true, false}) {
    SCOPED_TRACE(empty_sum ? "k = 0" : "alpha = 0");
    FusedCase fused = plain(67, 70, empty_sum ? 0 : 40);
    everything(fused);
    fused.gemm.alpha = empty_sum ? std::nanf("") : 0;  // nor is alpha looked at where there is nothing to scale
    FusedData data(fused);
    run_and_check(data);
  }
}

TEST_F(GemmEpilogues, TheOneLineCallGivesThePlansBits) {
  FusedCase fused = plain(72, 136, 200);
  everything(fused);
  FusedData data(fused);
  run_and_check(data);
  const std::vector<std::byte> by_plan = data.d().download();
  data.reset();
  ckl::gemm(data.arguments());
  EXPECT_EQ(data.d().download(), by_plan);
}

TEST_F(GemmEpilogues, NaNAndInfinityPropagate) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const Activation activation : {Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu}) {
    SCOPED_TRACE(name(activation));
    FusedCase fused = plain(72, 88, 40, "f32");
    fused.activation = activation;
    fused.vectors["column_bias"] = false;
    FusedData data(fused);
    data.vector("column_bias").set({3}, std::nan(""));
    data.vector("column_bias").set({5}, infinity);
    data.vector("column_bias").set({7}, -infinity);
    data.a().set({4, 0}, infinity);
    run_and_check(data);
  }
}

}  // namespace
}  // namespace ckl::test
