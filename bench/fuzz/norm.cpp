#include <memory>

#include "ckl/norm.hpp"
#include "fuzz/operands_target.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16}, fp8[] = {DType::e4m3, DType::e5m2};
const std::vector<std::string> fault_words = {
    "none", "y_is_f64", "y_is_null", "y_is_longer", "epsilon_is_negative", "sum_without_residual", "scale_is_wrong"};

/// The tensors of a case.
class Operands {
 public:
  explicit Operands(const FuzzCase& one) : one_(one) {
    const DType dtype = dtypes[one["dtype"]], vectors = one["f32_weight"] ? DType::f32 : dtype;
    const Dimensions sizes = sizes_of(one), row = {sizes.back()}, rows(sizes.begin(), sizes.end() - 1);
    const auto strided = [&](const char* x, DType of) {
      return std::unique_ptr<GuardedTensor>(new GuardedTensor(make_operand(one, x, of, sizes)));
    };
    const auto vector = [&] {
      return std::make_unique<GuardedTensor>(vectors, row, Dimensions{1 + one["vector_gap"]});
    };
    const auto statistic = [&] {
      Dimensions strides(rows.size(), 1);
      for (std::size_t d = rows.size(); d-- > 1;) strides[d - 1] = strides[d] * rows[d];
      return std::make_unique<GuardedTensor>(DType::f32, rows, strides);
    };
    x_ = strided("x", dtype), y_ = strided("y", one["fp8"] ? fp8[one["fp8"] - 1] : dtype);
    if (one["weight"]) weight_ = vector();
    if (one["bias"]) bias_ = vector();
    if (one["residual"]) residual_ = strided("residual", dtype);
    if (one["residual"] && one["sum"]) sum_ = strided("sum", dtype);
    if (one["mean"]) mean_ = statistic();
    if (one["rstd"]) rstd_ = statistic();
    if (one["fp8"]) scale_ = statistic();
    std::uint64_t seed = 0;
    for (GuardedTensor* input : {x_.get(), weight_.get(), bias_.get(), residual_.get()})
      if (++seed; input) input->fill(seed);
  }

  static void call(const NormArguments& arguments) { ckl::norm(arguments); }
  static std::string spoil(NormArguments& arguments, const std::string& fault);

  NormArguments arguments() const {
    const auto tensor = [](const std::unique_ptr<GuardedTensor>& x) { return x ? x->tensor() : Tensor(); };
    NormArguments arguments{NormKind(one_["kind"]), tensor(x_), tensor(y_), tensor(weight_), tensor(bias_)};
    arguments.residual = tensor(residual_);
    arguments.sum = tensor(sum_);
    arguments.mean = tensor(mean_);
    arguments.rstd = tensor(rstd_);
    arguments.scale = tensor(scale_);
    return arguments;
  }

  /// Config number `number` of those that can serve the problem; number 0 is the one-line call.
  std::string launch(std::int64_t number) const {
    if (number == 0) return call(arguments()), "";
    const NormProblem problem = norm_problem(arguments());
    const std::vector<std::string> configs = norm_candidates(problem, device_info(0));
    const NormPlan plan(problem, 0, numbered(configs, number));
    const auto device = [](const std::unique_ptr<GuardedTensor>& x) { return x ? x->device() : nullptr; };
    NormPointers pointers{x_->device(), y_->device(), device(weight_), device(bias_), device(residual_), device(sum_)};
    pointers.mean = reinterpret_cast<float*>(device(mean_));
    pointers.rstd = reinterpret_cast<float*>(device(rstd_));
    pointers.scale = reinterpret_cast<float*>(device(scale_));
    plan.run(pointers);
    return "";
  }

  std::string judge() {
    for (GuardedTensor* output : {y_.get(), sum_.get(), mean_.get(), rstd_.get(), scale_.get()})
      if (output) output->receive();
    if (std::string complaint = unchanged(); !complaint.empty()) return complaint;
    const NormProblem problem = norm_problem(arguments());
    const auto host = [](const std::unique_ptr<GuardedTensor>& x) { return x ? x->host() : nullptr; };
    const auto expected = reference::norm(problem, x_->host(), host(weight_), host(bias_), host(residual_));
    const auto statistic = [](const std::unique_ptr<GuardedTensor>& x) {
      return reinterpret_cast<const float*>(x->host());
    };
    const float* scales = scale_ ? statistic(scale_) : nullptr;
    std::string complaints = complaint_about("y", reference::compare_norm(problem, y_->host(), expected, scales));
    if (sum_) complaints += complaint_about("sum", reference::compare_norm_sum(problem, sum_->host(), expected));
    if (mean_)
      complaints +=
          complaint_about("mean", reference::compare_norm_statistic(problem, statistic(mean_), expected, true));
    if (rstd_)
      complaints +=
          complaint_about("rstd", reference::compare_norm_statistic(problem, statistic(rstd_), expected, false));
    return complaints;
  }

  /// Empty if nothing was written but what the images say.
  std::string unchanged() const {
    std::string all;
    const std::pair<const char*, const GuardedTensor*> tensors[] = {{"x", x_.get()},
                                                                    {"y", y_.get()},
                                                                    {"weight", weight_.get()},
                                                                    {"bias", bias_.get()},
                                                                    {"residual", residual_.get()},
                                                                    {"sum", sum_.get()},
                                                                    {"mean", mean_.get()},
                                                                    {"rstd", rstd_.get()},
                                                                    {"scale", scale_.get()}};
    for (const auto& [name, tensor] : tensors)
      if (tensor) all += complaint_about(name, *tensor);
    return all;
  }

 private:
  const FuzzCase one_;
  std::unique_ptr<GuardedTensor> x_, y_, weight_, bias_, residual_, sum_, mean_, rstd_, scale_;
};

std::string Operands::spoil(NormArguments& arguments, const std::string& fault) {
  if (fault == "y_is_f64") return arguments.y.dtype = DType::f64, "y";
  if (fault == "y_is_null") return arguments.y.data = nullptr, "y";
  if (fault == "y_is_longer") return ++arguments.y.sizes[0], "y.sizes[0]";
  if (fault == "epsilon_is_negative") return arguments.epsilon = -1, "epsilon";
  if (fault == "sum_without_residual") return arguments.residual = Tensor(), arguments.sum = arguments.y, "sum";
  if (fault ==
      "scale_is_wrong") {  // absent where it must be there, or of another type, or there where it must be absent
    if (arguments.scale.data) return arguments.scale = Tensor(), "scale";
    arguments.scale = arguments.x, arguments.scale.dtype = DType::f32;
    --arguments.scale.rank;
    return "scale";
  }
  throw std::logic_error("no such fault: " + fault);
}

class NormFuzzTarget final : public OperandsFuzzTarget<Operands> {
 public:
  std::string name() const override { return "norm"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    one.add("kind", draw.below(2), {"layer", "rms"});
    draw_shape(one, draw, small, 1);
    one.add("dtype", draw.below(std::int64_t(std::size(dtypes))), {"f32", "f16", "bf16"});
    one.add("f32_weight", draw.one_in(3), 0, 1);
    for (const char* tensor : {"weight", "bias", "residual", "sum", "mean", "rstd"})
      one.add(tensor, draw.one_in(2), 0, 1);
    one.add("fp8", draw.one_in(3) ? 1 + draw.below(2) : 0, {"no", "e4m3", "e5m2"});
    one.add("vector_gap", draw.one_in(8), 0, 1);
    for (const char* x : {"x", "y", "residual", "sum"}) draw_operand(one, draw, x, false);
    draw_config_and_fault(one, draw, fault_words);
    return one;
  }
};

}  // namespace

const FuzzTarget& norm_fuzz_target() {
  static const NormFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
