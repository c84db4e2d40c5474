#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "cases/gemm_cases.hpp"
#include "ckl/gemm.hpp"
#include "operand_buffer.hpp"
#include "reference/reference.hpp"
#include "workspace.hpp"

namespace ckl::test {

/// The operands of one GEMM on the device, and what it has to give.
class GemmData {
 public:
  explicit GemmData(const GemmCase& gemm)
      : case_(gemm),
        a_(gemm.in, {gemm.m, gemm.k}, {gemm.a.row_stride, gemm.a.column_stride}, gemm.a.offset),
        b_(gemm.in, {gemm.k, gemm.n}, {gemm.b.row_stride, gemm.b.column_stride}, gemm.b.offset),
        d_(gemm.out, {gemm.m, gemm.n}, {gemm.d.row_stride, gemm.d.column_stride}, gemm.d.offset) {
    // What a zero scalar switches off stays NaN: reading it would show.
    if (gemm.alpha != 0) a_.fill(1), b_.fill(2);
    if (gemm.beta == 0) return;
    if (gemm.in_place) {
      d_.fill(3);
    } else {
      c_.emplace(gemm.out, Dimensions{gemm.m, gemm.n}, Dimensions{gemm.c.row_stride, gemm.c.column_stride},
                 gemm.c.offset);
      c_->fill(3);
    }
  }

  OperandBuffer& a() { return a_; }
  OperandBuffer& b() { return b_; }
  OperandBuffer& c() { return case_.in_place ? d_ : *c_; }
  OperandBuffer& d() { return d_; }
  bool has_c() const { return case_.beta != 0; }

  /// Device pointer of C; null where it is not read.
  const void* c_device() { return has_c() ? c().device() : nullptr; }

  GemmArguments arguments() {
    GemmArguments arguments{a_.tensor(), b_.tensor(), d_.tensor(), case_.alpha, case_.beta};
    if (has_c()) arguments.c = c().tensor();
    return arguments;
  }

  GemmProblem problem() { return gemm_problem(arguments()); }

  /// Launches `plan` with a workspace of exactly the size that it asks for, and checks that it stays within it.
  void run(const GemmPlan& plan, cudaStream_t stream = nullptr) {
    Workspace workspace(plan.workspace_bytes());
    plan.run(a_.device(), b_.device(), c_device(), d_.device(), plan.workspace_bytes() ? workspace.device() : nullptr,
             stream);
    const std::vector<std::byte> used = workspace.download();
    std::copy(used.begin(), used.end(), workspace.host());
    workspace.expect_unchanged("what surrounds the workspace");
  }

  /// Computes the oracle's result from the images of the inputs; call it before the results are received.
  void expect() {
    const GemmProblem problem = this->problem();
    expected_.resize(case_.m * case_.n);
    scale_.resize(case_.m * case_.n);
    reference::gemm(problem, a_.host(), b_.host(), has_c() ? c().host() : nullptr, expected_.data(), scale_.data());
  }

  /// Judges what is in D on the device now, and that nothing else was written.
  void check() {
    d_.receive("D");
    a_.expect_unchanged("A");
    b_.expect_unchanged("B");
    if (c_) c_->expect_unchanged("C");
    const reference::Comparison comparison =
        reference::compare_gemm(problem(), d_.host(), expected_.data(), scale_.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " of " << case_.m * case_.n
                                     << " elements are wrong: " << comparison.first_wrong;
  }

  /// Puts D back to what it was before anything ran: C where it is in place, else NaN.
  void reset() {
    if (case_.in_place)
      d_.fill(3);
    else
      d_.fill_with(std::nan(""));
  }

 private:
  GemmCase case_;
  OperandBuffer a_, b_, d_;
  std::optional<OperandBuffer> c_;
  std::vector<double> expected_, scale_;
};

/// Runs `plan` on `data` and judges the result.
inline void run_and_check(GemmData& data, const GemmPlan& plan) {
  data.expect();
  data.run(plan);
  data.check();
}

}  // namespace ckl::test
