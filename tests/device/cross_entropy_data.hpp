#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "cases/cross_entropy_cases.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"

namespace ckl::test {

/// The target of rows that do not count, in these tests.
constexpr std::int64_t ignored = -7;

/// What a cross-entropy and its gradient have in common: logits, and targets that hold each class sooner or later, one in 5 of which are
/// ignored.
class LogitsAndTargets {
 public:
  explicit LogitsAndTargets(const CrossEntropyCase& one)
      : case_(one),
        logits_(one.dtype, one.logits.sizes, one.logits.strides, one.logits.offset),
        targets_(of_rows(one.target_dtype)) {}

  OperandBuffer& logits() { return logits_; }
  OperandBuffer& targets() { return targets_; }

  void set_target(std::int64_t row, std::int64_t target) {
    const OperandLayout layout = case_.one_a_row();
    std::int64_t offset = 0;
    for (std::size_t d = layout.sizes.size(); d-- > 0; row /= layout.sizes[d])
      offset += row % layout.sizes[d] * layout.strides[d];
    write_target(offset, target);
    targets_.upload();
  }

  /// Puts everything back to what it was before anything ran.
  void reset() {
    logits_.fill(1);
    reference::Draw draw(5);
    const OperandLayout layout = case_.one_a_row();
    for_each_element(layout.sizes, layout.strides, [&](std::int64_t offset) {
      write_target(offset, draw.one_in(5) ? ignored : draw.below(case_.classes()));
    });
    targets_.upload();
  }

 protected:
  OperandBuffer of_rows(DType dtype) const {
    const OperandLayout layout = case_.one_a_row();
    return OperandBuffer(dtype, layout.sizes, layout.strides);
  }
  static const float* floats(OperandBuffer& buffer) { return reinterpret_cast<const float*>(buffer.host()); }
  static float* device_floats(OperandBuffer& buffer) { return reinterpret_cast<float*>(buffer.device()); }
  static void expect_passed(const char* what, const reference::Comparison& comparison) {
    EXPECT_TRUE(comparison.passed()) << what << ": " << comparison.wrong
                                     << " elements are wrong: " << comparison.first_wrong;
  }

  CrossEntropyCase case_;

 private:
  void write_target(std::int64_t offset, std::int64_t target) {
    const auto narrow = std::int32_t(target);
    std::byte* to = targets_.host() + offset * std::int64_t(size_of(case_.target_dtype));
    if (case_.target_dtype == DType::i32)
      std::memcpy(to, &narrow, sizeof(narrow));
    else
      std::memcpy(to, &target, sizeof(target));
  }

  OperandBuffer logits_, targets_;
};

/// Dense rows.
inline CrossEntropyCase classes_of(DType dtype, std::int64_t rows, std::int64_t classes) {
  CrossEntropyCase one;
  one.dtype = dtype;
  one.logits = one.dlogits = dense({rows, classes});
  return one;
}

}  // namespace ckl::test
