#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <optional>

#include "bench/guarded/guarded_tensor.hpp"
#include "ckl/gemm.hpp"
#include "fuzz/fuzz_case.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

const std::vector<std::string> in_words = {"bf16", "f16"}, out_words = {"f32", "f16", "bf16"},
                               order_words = {"rows", "columns"}, alpha_words = {"1", "0", "-1", "0.37", "nan"},
                               beta_words = {"0", "1", "-0.5", "nan"}, yes_words = {"no", "yes"},
                               special_words = {"none", "nan_in_a", "infinity_in_b", "nan_in_c"},
                               activation_words = {"none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid"},
                               residual_words = {"none", "there", "is_d"};
/// The vectors of an epilogue: bit i of the field `vectors` says whether vector i is there, of the field `scalars` whether it is a scalar.
constexpr Tensor GemmEpilogueTensors::*vectors[] = {&GemmEpilogueTensors::a_scale, &GemmEpilogueTensors::b_scale,
                                                    &GemmEpilogueTensors::d_scale, &GemmEpilogueTensors::row_bias,
                                                    &GemmEpilogueTensors::column_bias};
constexpr const void* GemmPointers::*vector_pointers[] = {&GemmPointers::a_scale, &GemmPointers::b_scale,
                                                          &GemmPointers::d_scale, &GemmPointers::row_bias,
                                                          &GemmPointers::column_bias};
/// What is spoiled in a malformed problem, and the argument that the error must name.
const std::vector<std::string> fault_words = {"none",
                                              "a_is_null",
                                              "b_is_null",
                                              "d_is_null",
                                              "a_has_a_row_more",
                                              "b_has_a_row_more",
                                              "d_is_narrow",
                                              "a_is_vector",
                                              "b_is_negative",
                                              "a_is_huge",
                                              "a_is_f32",
                                              "b_is_of_another_type",
                                              "d_is_integer",
                                              "d_rows_are_1",
                                              "d_within_a",
                                              "a_within_d",
                                              "d_is_b",
                                              "d_between_elements",
                                              "m_is_huge",
                                              "c_is_null",
                                              "c_is_narrow",
                                              "c_within_d",
                                              "c_is_of_another_type",
                                              "bias_is_long",
                                              "bias_is_d",
                                              "residual_is_narrow"};

DType dtype_named(const std::string& word) {
  return word == "bf16" ? DType::bf16 : word == "f16" ? DType::f16 : DType::f32;
}

/// Row and column stride of a (rows, columns) matrix, as the fields of operand `x` say.
Dimensions strides_of(const FuzzCase& one, const std::string& x, std::int64_t rows, std::int64_t columns) {
  const std::int64_t step = 1 + one[x + "_gap"], pad = one[x + "_pad"];
  Dimensions strides = {(columns + pad) * step, step};
  if (one.word(x + "_order") == "columns") strides = {step, (rows + pad) * step};
  for (std::size_t i = 0; i < 2; ++i) {
    if (x != "d" && x != "aux" && one[x + "_repeats"] >> i & 1) strides[i] = 0;
    if (one[x + "_backward"] >> i & 1) strides[i] = -strides[i];
  }
  return strides;
}

/// The operands of one case in guarded memory.
class Operands {
 public:
  explicit Operands(const FuzzCase& one)
      : one_(one),
        gated_(one.word("gated") == "yes"),
        m_(one["m"]),
        n_(gated_ ? one["n"] / 2 * 2 : one["n"]),
        d_columns_(gated_ ? n_ / 2 : n_),
        k_(one["k"]),
        in_(dtype_named(one.word("in"))),
        out_(dtype_named(one.word("out"))),
        alpha_(std::stof(one.word("alpha"))),
        beta_(std::stof(one.word("beta"))),
        in_place_(beta_ != 0 && !gated_ && one.word("in_place") == "yes"),
        residual_is_d_(one.word("residual") == "is_d"),
        a_(in_, {m_, k_}, strides_of(one, "a", m_, k_), one["a_offset"]),
        b_(in_, {k_, n_}, strides_of(one, "b", k_, n_), one["b_offset"]),
        d_(out_, {m_, d_columns_}, strides_of(one, "d", m_, d_columns_), one["d_offset"]) {
    // What a zero scalar switches off stays NaN: reading it would show.
    if (alpha_ != 0) a_.fill(1), b_.fill(2);
    if (in_place_ || residual_is_d_) d_.fill(3);
    if (beta_ != 0 && !in_place_) {
      c_.emplace(out_, Dimensions{m_, n_}, strides_of(one, "c", m_, n_), one["c_offset"]);
      c_->fill(3);
    }
    make_epilogue();
    spice();
  }

  GemmArguments arguments() {
    GemmArguments arguments{a_.tensor(), b_.tensor(), d_.tensor(), alpha_, beta_};
    if (beta_ != 0) arguments.c = c().tensor();
    GemmEpilogueTensors& e = arguments.epilogue;
    e.activation = Activation(one_["activation"]);
    e.gated = gated_;
    for (std::size_t i = 0; i < std::size(vectors); ++i) {
      if (!vectors_[i]) continue;
      e.*vectors[i] = vectors_[i]->tensor();
      if (is_scalar(i)) (e.*vectors[i]).rank = 0;
    }
    if (residual_) e.residual = residual_->tensor();
    if (residual_is_d_) e.residual = d_.tensor();
    if (aux_) e.aux = aux_->tensor();
    return arguments;
  }

  void compute_oracle() {
    problem_ = gemm_problem(arguments());
    expected_.resize(std::size_t(m_ * d_columns_));
    scale_.resize(expected_.size());
    aux_expected_.resize(std::size_t(m_ * n_));
    aux_scale_.resize(aux_expected_.size());
    reference::fused_gemm(problem_, pointers([](GuardedTensor& x) { return x.host(); }), expected_.data(),
                          scale_.data(), aux_expected_.data(), aux_scale_.data());
  }

  /// Config number `number` of those that can serve the problem, in a workspace of exactly the size that it asks for; number 0 is
  /// the one-line call.
  std::string launch(std::int64_t number) {
    if (number == 0) return ckl::gemm(arguments()), "";
    const std::vector<std::string> configs = gemm_candidates(problem_, device_info(0));
    const GemmPlan plan(problem_, 0, configs.empty() ? "" : configs[std::size_t(number - 1) % configs.size()]);
    GuardedMemory workspace(plan.workspace_bytes());
    std::fill_n(workspace.host(), workspace.bytes(), std::byte(0));
    workspace.upload();
    plan.run(pointers([](GuardedTensor& x) { return x.device(); }), workspace.bytes() ? workspace.device() : nullptr);
    const std::vector<std::byte> used = workspace.download();
    std::copy(used.begin(), used.end(), workspace.host());
    const std::string complaint = workspace.difference();
    return complaint.empty() ? "" : fmt::format("with {}, outside of the workspace {}", plan.config(), complaint);
  }

  std::string judge() {
    d_.receive();
    if (aux_) aux_->receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    const auto compare = [](const GemmProblem& problem, GuardedTensor& x, const std::vector<double>& want,
                            const std::vector<double>& scale, const char* name) {
      const reference::Comparison comparison = reference::compare_gemm(problem, x.host(), want.data(), scale.data());
      return comparison.passed() ? ""
                                 : fmt::format("{} of {} elements of {} are wrong: {}", comparison.wrong, want.size(),
                                               name, comparison.first_wrong);
    };
    std::string complaint = compare(problem_, d_, expected_, scale_, "D");
    if (!aux_) return complaint;
    GemmProblem aux = problem_;
    aux.d = problem_.epilogue.aux;
    aux.epilogue = {};
    return complaint + compare(aux, *aux_, aux_expected_, aux_scale_, "aux");
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const {
    const auto of = [](const char* name, const GuardedTensor& x) {
      const std::string complaint = x.difference();
      return complaint.empty() ? "" : fmt::format("of {}, {}", name, complaint);
    };
    std::string all = of("D", d_) + of("A", a_) + of("B", b_);
    if (c_) all += of("C", *c_);
    if (residual_) all += of("the residual", *residual_);
    if (aux_) all += of("aux", *aux_);
    for (const std::optional<GuardedTensor>& vector : vectors_)
      if (vector) all += of("a vector", *vector);
    return all;
  }

 private:
  GuardedTensor& c() { return in_place_ ? d_ : *c_; }
  bool is_scalar(std::size_t vector) const {
    const bool scale = vector < 3;
    return vectors[vector] == &GemmEpilogueTensors::d_scale || (scale && one_["scalars"] >> vector & 1);
  }

  void make_epilogue() {
    for (std::size_t i = 0; i < std::size(vectors); ++i) {
      if (!(one_["vectors"] >> i & 1)) continue;
      const bool of_rows = vectors[i] == &GemmEpilogueTensors::a_scale || vectors[i] == &GemmEpilogueTensors::row_bias;
      const std::int64_t length = is_scalar(i) ? 1 : of_rows ? m_ : n_;
      vectors_[i].emplace(dtype_named(one_.word("vector_type")), Dimensions{length}, Dimensions{1 + one_["vector_gap"]},
                          0);
      vectors_[i]->fill(10 + i);
    }
    if (one_.word("residual") == "there") {
      residual_.emplace(dtype_named(one_.word("residual_type")), Dimensions{m_, d_columns_},
                        strides_of(one_, "residual", m_, d_columns_), one_["residual_offset"]);
      residual_->fill(4);
    }
    if (one_.word("aux") == "yes")
      aux_.emplace(dtype_named(one_.word("residual_type")), Dimensions{m_, n_}, strides_of(one_, "aux", m_, n_),
                   one_["aux_offset"]);
  }

  /// The pointers of a run, by what `of` says of each tensor.
  template <class F> GemmPointers pointers(const F& of) {
    GemmPointers x{of(a_), of(b_), beta_ != 0 ? of(c()) : nullptr, of(d_)};
    for (std::size_t i = 0; i < std::size(vectors); ++i)
      if (vectors_[i]) x.*vector_pointers[i] = of(*vectors_[i]);
    if (residual_) x.residual = of(*residual_);
    if (residual_is_d_) x.residual = of(d_);
    if (aux_) x.aux = of(*aux_);
    return x;
  }

  /// A value that everything it meets turns into NaN or infinity.
  void spice() {
    const std::string& special = one_.word("special");
    if (m_ == 0 || n_ == 0) return;
    if (special == "nan_in_a" && alpha_ != 0 && k_ > 0) a_.set({m_ / 2, k_ - 1}, std::nan(""));
    // An activation that underflows in f32 alone makes infinity times it NaN there alone.
    if (special == "infinity_in_b" && alpha_ != 0 && k_ > 0 && !gated_)
      b_.set({0, n_ - 1}, std::numeric_limits<double>::infinity());
    if (special == "nan_in_c" && beta_ != 0) c().set({m_ - 1, n_ / 2}, std::nan(""));
  }

  const FuzzCase& one_;
  const bool gated_;
  const std::int64_t m_, n_, d_columns_, k_;
  const DType in_, out_;
  const float alpha_, beta_;
  const bool in_place_, residual_is_d_;
  GuardedTensor a_, b_, d_;
  std::optional<GuardedTensor> c_, residual_, aux_, vectors_[std::size(vectors)];
  GemmProblem problem_;
  std::vector<double> expected_, scale_, aux_expected_, aux_scale_;
};

void* moved(void* data, std::int64_t bytes) { return static_cast<char*>(data) + bytes; }

/// Makes well-formed arguments, with no extent below 2 and both scalars at work, malformed. Returns the word that the error must
/// have in it.
std::string spoil(GemmArguments& g, const std::string& fault) {
  if (fault == "a_is_null") return g.a.data = nullptr, "a ";
  if (fault == "b_is_null") return g.b.data = nullptr, "b ";
  if (fault == "c_is_null") return g.c.data = nullptr, "c ";
  if (fault == "d_is_null") return g.d.data = nullptr, "d ";
  if (fault == "a_has_a_row_more") return ++g.a.sizes[0], "a.sizes[0]";
  if (fault == "b_has_a_row_more") return ++g.b.sizes[0], "b.sizes[0]";
  if (fault == "c_is_narrow") return --g.c.sizes[1], "c.sizes[1]";
  if (fault == "d_is_narrow") return --g.d.sizes[1], "d.sizes[1]";
  if (fault == "a_is_vector") return g.a.rank = 1, "a.rank";
  if (fault == "b_is_negative") return g.b.sizes[1] = -g.b.sizes[1], "b.sizes[1]";
  if (fault == "a_is_huge") return g.a.strides[0] = std::int64_t(1) << 62, "a ";
  if (fault == "m_is_huge") return g.a.sizes[0] = g.c.sizes[0] = g.d.sizes[0] = std::int64_t(1) << 62, "2^63 bytes";
  if (fault == "a_is_f32") return g.a.dtype = DType::f32, "dtype";
  if (fault == "b_is_of_another_type") return g.b.dtype = g.a.dtype == DType::f16 ? DType::bf16 : DType::f16, "b.dtype";
  if (fault == "c_is_of_another_type") return g.c.dtype = DType::i32, "c.dtype";
  if (fault == "d_is_integer") return g.d.dtype = g.c.dtype = DType::i32, "d.dtype";
  if (fault == "d_rows_are_1") return g.d.strides[0] = 0, "d ";
  if (fault == "d_within_a") return g.d.data = moved(g.a.data, std::int64_t(size_of(g.d.dtype))), "d ";
  if (fault == "a_within_d") return g.a.data = moved(g.d.data, std::int64_t(size_of(g.d.dtype))), "d ";
  if (fault == "c_within_d") return g.c = g.d, g.c.data = moved(g.d.data, std::int64_t(size_of(g.d.dtype))), "c";
  if (fault == "d_is_b") return g.d.data = g.b.data, "d ";
  if (fault == "bias_is_long")
    return g.epilogue.column_bias = Tensor::contiguous(g.c.data, DType::f16, {g.b.sizes[1] + 1}),
           "epilogue.column_bias";
  if (fault == "bias_is_d")
    return g.epilogue.column_bias = Tensor::contiguous(g.d.data, g.d.dtype, {g.b.sizes[1]}), "epilogue.column_bias";
  if (fault == "residual_is_narrow")
    return g.epilogue.residual = g.c, --g.epilogue.residual.sizes[1], "epilogue.residual";
  if (fault == "d_between_elements") return g.d.data = moved(g.d.data, 1), "d ";
  throw std::logic_error("no such fault: " + fault);
}

class GemmFuzzTarget final : public FuzzTarget {
 public:
  std::string name() const override { return "gemm"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    // Around the edges of tiles and vectors, and anything.
    const auto extent = [&](std::int64_t largest) {
      const std::int64_t edge = draw.of<std::int64_t>({0, 1, 8, 16, 64, 128, 192, 256});
      const std::int64_t size = draw.one_in(2) ? edge + draw.of<std::int64_t>({-1, 0, 0, 1, 8}) : draw.below(largest);
      return std::clamp<std::int64_t>(size, 0, largest);
    };
    const std::int64_t largest = small ? 300 : 3000;
    one.add("m", extent(largest), 1);
    one.add("n", extent(largest), 1);
    one.add("k", extent(largest), 1);
    one.add("in", draw.below(2), in_words);
    one.add("out", draw.below(3), out_words);
    for (const std::string x : {"a", "b", "c", "d"}) {
      one.add(x + "_order", draw.below(2), order_words);
      one.add(x + "_pad", draw.of<std::int64_t>({0, 0, 8, 1, 3, draw.below(40)}), 0);
      one.add(x + "_offset", draw.of<std::int64_t>({0, 0, 8, 4, 1, draw.below(16)}), 0);
      one.add(x + "_gap", draw.one_in(12) ? 1 + draw.below(2) : 0, 0);
      // Bit i: stride i is 0, is negative.
      if (x != "d") one.add(x + "_repeats", draw.one_in(12) ? 1 + draw.below(3) : 0, 0, 3);
      one.add(x + "_backward", draw.one_in(12) ? 1 + draw.below(3) : 0, 0, 3);
    }
    add_epilogue(one, draw);
    one.add("alpha", draw.one_in(2) ? 0 : draw.below(std::int64_t(alpha_words.size())), alpha_words);
    one.add("beta", draw.one_in(3) ? 0 : draw.below(std::int64_t(beta_words.size())), beta_words);
    one.add("in_place", draw.one_in(4), yes_words);
    one.add("special", draw.one_in(4) ? draw.below(4) : 0, special_words);
    one.add("config", draw.one_in(3) ? 0 : 1 + draw.below(60), 0);
    one.add("fault", draw.one_in(5) ? 1 + draw.below(std::int64_t(fault_words.size()) - 1) : 0, fault_words);
    return one;
  }

  std::string run(const FuzzCase& one) const override {
    if (one.word("fault") != "none") return run_malformed(one);
    Operands operands(one);
    operands.compute_oracle();
    if (std::string complaint = operands.launch(one["config"]); !complaint.empty()) return complaint;
    return operands.judge();
  }

 private:
  /// In half of the cases something is fused.
  static void add_epilogue(FuzzCase& one, Draw& draw) {
    const bool fuses = draw.one_in(2);
    const auto drawn = [&](std::int64_t count, int of) { return fuses && draw.one_in(of) ? draw.below(count) : 0; };
    one.add("activation", drawn(std::int64_t(activation_words.size()), 1), activation_words);
    one.add("gated", drawn(2, 2), yes_words);
    one.add("vectors", drawn(32, 1), 0, 31);
    one.add("scalars", drawn(8, 2), 0, 7);
    one.add("vector_type", drawn(3, 1), out_words);
    one.add("vector_gap", drawn(3, 4), 0, 8);
    one.add("residual", drawn(std::int64_t(residual_words.size()), 1), residual_words);
    one.add("residual_type", drawn(3, 1), out_words);
    one.add("aux", drawn(2, 2), yes_words);
    for (const std::string x : {"residual", "aux"}) {
      one.add(x + "_order", drawn(2, 2), order_words);
      one.add(x + "_pad", drawn(9, 2), 0);
      one.add(x + "_offset", drawn(9, 2), 0);
      one.add(x + "_gap", drawn(3, 6), 0);
      if (x != "aux") one.add(x + "_repeats", drawn(4, 12), 0, 3);
      one.add(x + "_backward", drawn(4, 12), 0, 3);
    }
  }

  /// A malformed problem must be refused, with a sentence that names the argument, before anything is written.
  static std::string run_malformed(FuzzCase one) {
    for (std::size_t i = 0; i < one.fields().size(); ++i) {
      const Field& field = one.fields()[i];
      if (field.name == "m" || field.name == "n" || field.name == "k")
        one.set(i, std::max<std::int64_t>(field.value, 2));
      if (field.name == "alpha") one.set(i, 0);  // the word 1: the product is computed
      if (field.name == "beta") one.set(i, 1);   // the word 1: C is added
      for (const char* off : {"in_place", "special", "activation", "gated", "vectors", "residual", "aux"})
        if (field.name == off) one.set(i, 0);
      // A matrix may lie in the gaps of another, or begin where it ends.
      for (const char* way : {"_gap", "_pad", "_repeats", "_backward"})
        if (field.name.ends_with(way)) one.set(i, 0);
    }
    Operands operands(one);
    GemmArguments arguments = operands.arguments();
    const std::string word = spoil(arguments, one.word("fault"));
    const std::string complaint = expect_refusal(word, [&] { ckl::gemm(arguments); });
    return complaint.empty() ? operands.unchanged() : complaint;
  }
};

}  // namespace

const FuzzTarget& gemm_fuzz_target() {
  static const GemmFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
