#include <fmt/format.h>

#include "ckl/elementwise.hpp"
#include "fuzz/operand_fields.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {
namespace {

using reference::Draw;

const std::vector<std::string> dtype_words = {"f32", "f16", "bf16"}, where_words = {"separate", "into_a", "into_b"};
const std::vector<std::string> fault_words = {
    "none",      "a_is_null", "b_is_null", "d_is_null", "a_differs",  "b_differs",  "d_is_negative",
    "a_is_huge", "a_is_i8",   "d_is_f64",  "d_repeats", "d_within_a", "b_within_d", "a_between_elements"};

DType dtype_named(const std::string& word) {
  return word == "f32" ? DType::f32 : word == "f16" ? DType::f16 : DType::bf16;
}

GuardedTensor make(const FuzzCase& one, const std::string& x, const Dimensions& sizes) {
  return make_operand(one, x, dtype_named(one.word("dtype")), sizes);
}

void* moved(void* data, std::int64_t bytes) { return static_cast<char*>(data) + bytes; }

/// Makes well-formed tensors, of rank 2 and with no extent below 2, malformed. Returns the word that the error must have in it.
std::string spoil(Tensor& a, Tensor& b, Tensor& d, const std::string& fault) {
  const auto element = std::int64_t(size_of(d.dtype));
  if (fault == "a_is_null") return a.data = nullptr, "in[0] ";
  if (fault == "b_is_null") return b.data = nullptr, "in[1] ";
  if (fault == "d_is_null") return d.data = nullptr, "out[0] ";
  if (fault == "a_differs") return ++a.sizes[0], "in[0].sizes[0]";
  if (fault == "b_differs") return ++b.sizes[1], "in[1].sizes[1]";
  if (fault == "d_is_negative") return d.sizes[0] = -1, "out[0].sizes[0]";
  if (fault == "a_is_huge") return a.strides[0] = std::int64_t(1) << 62, "in[0] ";
  if (fault == "a_is_i8") return a.dtype = DType::i8, "in[0].dtype";
  if (fault == "d_is_f64") return d.dtype = DType::f64, "out[0].dtype";
  if (fault == "d_repeats") return d.strides[0] = 0, "out[0] ";
  if (fault == "d_within_a") return a = d, d.data = moved(a.data, element), "out[0] ";
  if (fault == "b_within_d") return b = d, b.data = moved(d.data, element), "out[0] ";
  if (fault == "a_between_elements") return a.data = moved(a.data, 1), "in[0] ";
  throw std::logic_error("no such fault: " + fault);
}

class AddFuzzTarget final : public FuzzTarget {
 public:
  std::string name() const override { return "add"; }

  FuzzCase draw(Draw& draw, bool small) const override {
    FuzzCase one;
    one.add("dtype", draw.below(3), dtype_words);
    draw_shape(one, draw, small);
    for (const std::string x : {"a", "b", "d"}) draw_operand(one, draw, x, x != "d");
    one.add("where", draw.one_in(3) ? draw.below(3) : 0, where_words);
    one.add("config", draw.one_in(2) ? 0 : 1 + draw.below(3), 0);
    one.add("fault", draw.one_in(5) ? 1 + draw.below(std::int64_t(fault_words.size()) - 1) : 0, fault_words);
    return one;
  }

  std::string run(const FuzzCase& one) const override {
    if (one.word("fault") != "none") return run_malformed(one);
    const std::string& where = one.word("where");
    const Dimensions sizes = sizes_of(one);
    GuardedTensor d = make(one, "d", sizes), a = make(one, "a", input_sizes(one, "a")),
                  b = make(one, "b", input_sizes(one, "b"));
    a.fill(1);
    b.fill(2);
    if (where != "separate") d.fill(3);  // one of the inputs is D itself
    GuardedTensor &left = where == "into_a" ? d : a, &right = where == "into_b" ? d : b;
    const ElementwiseProblem problem =
        elementwise_problem({ElementwiseOp::add, {left.tensor(), right.tensor()}, {d.tensor()}, {}});
    const std::vector<std::byte> left_before = left.image(), right_before = right.image();  // D may replace one
    launch(problem, left.tensor(), right.tensor(), d.tensor(), one["config"]);

    d.receive();
    if (std::string complaint = unchanged(a, b, d); !complaint.empty()) return complaint;
    const void* in[] = {left_before.data() + left.first_byte(), right_before.data() + right.first_byte()};
    const void* out = d.host();
    const reference::Comparison comparison = reference::compare_elementwise(problem, in, &out);
    return comparison.passed() ? ""
                               : fmt::format("{} of {} elements are wrong: {}", comparison.wrong,
                                             reference::element_count(problem), comparison.first_wrong);
  }

 private:
  /// Config number `number` of those that can serve the problem; number 0 is the one-line call.
  static void launch(const ElementwiseProblem& problem, const Tensor& a, const Tensor& b, const Tensor& d,
                     std::int64_t number) {
    if (number == 0) return ckl::add(a, b, d);
    const std::vector<std::string> configs = elementwise_candidates(problem, device_info(0));
    const ElementwisePlan plan(problem, 0, configs.empty() ? "" : configs[std::size_t(number - 1) % configs.size()]);
    const void* in[] = {a.data, b.data};
    plan.run(in, &d.data);
  }

  static std::string unchanged(const GuardedTensor& a, const GuardedTensor& b, const GuardedTensor& d) {
    return complaint_about("D", d) + complaint_about("A", a) + complaint_about("B", b);
  }

  static std::string run_malformed(FuzzCase one) {
    keep_operands_plain(one);
    for (std::size_t i = 0; i < one.fields().size(); ++i)
      if (one.fields()[i].name == "where") one.set(i, 0);
    const Dimensions sizes = sizes_of(one);
    GuardedTensor d = make(one, "d", sizes), a = make(one, "a", sizes), b = make(one, "b", sizes);
    a.fill(1);
    b.fill(2);
    Tensor left = a.tensor(), right = b.tensor(), out = d.tensor();
    const std::string word = spoil(left, right, out, one.word("fault"));
    const std::string complaint = expect_refusal(word, [&] { ckl::add(left, right, out); });
    return complaint.empty() ? unchanged(a, b, d) : complaint;
  }
};

}  // namespace

const FuzzTarget& add_fuzz_target() {
  static const AddFuzzTarget target;
  return target;
}

}  // namespace ckl::bench
