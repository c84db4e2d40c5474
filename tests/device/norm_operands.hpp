#pragma once

#include <gtest/gtest.h>

#include "cases/norm_cases.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"

namespace ckl::test {

/// A normalization of dense rows, with a weight and a bias of the same dtype.
inline NormCase rows_of(NormKind kind, DType dtype, std::int64_t rows, std::int64_t columns) {
  NormCase one;
  one.kind = kind, one.dtype = one.affine = dtype;
  one.x = one.y = one.residual = one.sum = dense({rows, columns});
  return one;
}

/// Makes the operands of a case on the device: what the tests of a normalization and of its gradients share.
class NormOperands {
 protected:
  explicit NormOperands(const NormCase& norm) : case_(norm) {}

  static void expect_passed(const char* what, const reference::Comparison& comparison) {
    EXPECT_TRUE(comparison.passed()) << what << ": " << comparison.wrong
                                     << " elements are wrong: " << comparison.first_wrong;
  }
  /// As large as x.
  OperandBuffer buffer(const OperandLayout& layout) const { return buffer(layout, case_.dtype); }
  static OperandBuffer buffer(const OperandLayout& layout, DType dtype) {
    return OperandBuffer(dtype, layout.sizes, layout.strides, layout.offset);
  }
  /// One element a column: a weight, a bias or the gradient of one.
  OperandBuffer vector() const {
    return OperandBuffer(case_.affine, {case_.x.sizes.back()}, {case_.affine_step}, case_.affine_offset);
  }
  /// One f32 a row.
  OperandBuffer statistic() const {
    const OperandLayout layout = dense(Sizes(case_.x.sizes.begin(), case_.x.sizes.end() - 1));
    return OperandBuffer(DType::f32, layout.sizes, layout.strides);
  }

  NormCase case_;
};

}  // namespace ckl::test
