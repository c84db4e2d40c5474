#pragma once

#include <memory>
#include <vector>

#include "ops/gemm.hpp"

namespace ckl::bench {

/// What a problem gives, in double precision, and the scale of its errors, in device memory: both dense, as D.
struct GpuResult {
  explicit GpuResult(std::int64_t elements)
      : expected(std::size_t(elements) * sizeof(double)), scale(std::size_t(elements) * sizeof(float)) {}

  double* values() const { return static_cast<double*>(expected.data()); }
  float* scales() const { return static_cast<float*>(scale.data()); }

  Buffer expected, scale;
};

/// The right answer to one product: on the CPU for small ones, in double precision on the GPU for large ones.
class GemmOracle {
 public:
  GemmOracle(const GemmProblem& problem, const GemmOperands& operands, const Session& session);

  /// Judges `d`, in device memory.
  Verdict judge(const void* d) const;

 private:
  Verdict judge_on_host(const void* d) const;
  Verdict judge_on_gpu(const void* d) const;

  const GemmProblem problem_;
  const Session& session_;
  bool on_gpu_;
  std::vector<double> host_expected_, host_scale_;
  std::unique_ptr<GpuResult> gpu_expected_;
};

}  // namespace ckl::bench
