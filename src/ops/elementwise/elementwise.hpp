#pragma once

// The elementwise operations, for their public calls and for other operators' host side.

#include <string>
#include <string_view>
#include <vector>

#include "ckl/elementwise.hpp"
#include "device/elementwise_config.hpp"
#include "device/elementwise_params.hpp"
#include "host/launch.hpp"

namespace ckl {

/// Whether `dtype` is one of those that are computed with in integers where all operands are.
bool is_integer(DType dtype);

/// Those of the configs called `names` that can serve `problem`, best first; empty where there are no elements.
std::vector<ElementwiseConfig> rank_configs(const ElementwiseProblem& problem, const std::vector<std::string>& names);

/// A problem bound to a config and a device; run() only launches.
class ElementwiseLauncher {
 public:
  /// Of the library's kernels. `config` empty: the best. @throws Error (invalid_argument) for a config that cannot serve the problem.
  ElementwiseLauncher(const ElementwiseProblem& problem, int device, std::string_view config);

  /// Of kernel `kernel`, whose config can serve the problem.
  ElementwiseLauncher(const ElementwiseProblem& problem, int device, const ElementwiseConfig& config,
                      cudaKernel_t kernel);

  /// As many pointers as there are inputs and outputs. `user_params`: what is handed to a function of the user's own.
  void run(const void* const* in, void* const* out, Stream stream, const void* user_params = nullptr,
           std::size_t user_params_bytes = 0) const;

  const std::string& config() const { return config_; }

 private:
  void prepare(const ElementwiseProblem& problem, int device, const ElementwiseConfig& config, cudaKernel_t kernel);

  std::string config_;
  ElementwiseParams params_{};
  host::Launch launch_;
};

}  // namespace ckl
