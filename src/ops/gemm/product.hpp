#pragma once

// The launches of one product: of the kernel, and before it of the padded copies of what TMA cannot load.

#include <cstddef>
#include <memory>

#include "ckl/device.hpp"
#include "host/launch.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/params.hpp"

namespace ckl {

class PadLauncher;

/// D = alpha * A * B + beta * C by the GEMM kernel, bound to a choice and to a device; run() only launches.
class ProductLauncher {
 public:
  /// `problem` is canonical and can be served by `choice`; the device is the current one.
  ProductLauncher(const GemmProblem& problem, const GemmChoice& choice, const DeviceInfo& device);

  /// The workspace: flags, two for each part of each CTA (two parts, one CTA an SM, room for 512 SMs); the slots of cut tiles; the
  /// padded copies. Zeros are wanted in the flags alone, and they lie in the same place in all plans, so that plans may share it.
  static constexpr std::size_t flags_bytes = 8192;

  std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// How many of its first bytes must be zero before its first use.
  std::size_t zeroed_bytes() const { return cuts_tiles_ ? flags_bytes : 0; }

  /// `a` and `b` are those of the canonical problem.
  void run(const void* a, const void* b, const void* c, void* d, void* workspace, Stream stream) const;

 private:
  void prepare_padding(const GemmProblem& problem);
  void fill_params(const GemmProblem& padded, const GemmConfig& config);
  void prepare_launch(const GemmChoice& choice, const DeviceInfo& device);

  bool loads_by_tma_ = false, cuts_tiles_ = false;
  std::size_t workspace_bytes_ = 0;
  GemmParams params_{};
  host::Launch launch_;

  Padding padding_;
  std::size_t padded_a_ = 0, padded_b_ = 0;  // bytes from the beginning of the workspace
  std::shared_ptr<const PadLauncher> pad_;
};

}  // namespace ckl
