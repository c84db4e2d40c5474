#pragma once

// The launches of one product: of the kernel, and before it of the padded copies of what TMA cannot load.

#include <cstddef>
#include <memory>

#include "ckl/device.hpp"
#include "host/launch.hpp"
#include "ops/gemm/fused/params.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/params.hpp"

namespace ckl {

class PadLauncher;

/// D = epilogue(alpha * A * B + beta * C) by the GEMM kernel, bound to a choice and to a device; run() only launches.
class ProductLauncher {
 public:
  /// `problem` is canonical and can be served by `choice`, of which `kernel` is the entry; the device is the current one.
  ProductLauncher(const GemmProblem& problem, const GemmChoice& choice, cudaKernel_t kernel, const DeviceInfo& device);

  /// The workspace: flags, two for each part of each CTA (two parts, one CTA an SM, room for 512 SMs); the slots of cut tiles; the
  /// padded copies. Zeros are wanted in the flags alone, and they lie in the same place in all plans, so that plans may share it.
  static constexpr std::size_t flags_bytes = 8192;

  std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// How many of its first bytes must be zero before its first use.
  std::size_t zeroed_bytes() const { return cuts_tiles_ ? flags_bytes : 0; }

  /// The pointers are those of the canonical problem.
  void run(const GemmPointers& pointers, void* workspace, Stream stream) const;
  /// The same for a kernel whose epilogue has the `bytes` bytes at `epilogue` as params.
  void run_with(const GemmPointers& pointers, const void* epilogue, std::size_t bytes, void* workspace,
                Stream stream) const;

 private:
  // Problems are as the kernel sees them.
  void prepare_padding(const GemmProblem& problem);
  void fill_params(const GemmProblem& padded, const GemmConfig& config);
  /// The params of one run; launches what has to go before the kernel.
  GemmParams prepare_run(const GemmPointers& pointers, void* workspace, Stream stream) const;
  NamedEpilogueParams epilogue_params(const GemmPointers& pointers) const;
  void prepare_launch(const GemmChoice& choice, const DeviceInfo& device);

  bool swapped_;  // whether the kernel sees the mirror image
  bool loads_by_tma_ = false, cuts_tiles_ = false;
  std::size_t workspace_bytes_ = 0;
  GemmParams params_{};
  GemmEpilogue epilogue_;
  bool fused_;  // whether the kernel is one with the named epilogue
  host::Launch launch_;

  Padding padding_;
  std::size_t padded_a_ = 0, padded_b_ = 0;  // bytes from the beginning of the workspace
  std::shared_ptr<const PadLauncher> pad_;
};

}  // namespace ckl
