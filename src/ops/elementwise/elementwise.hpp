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

/// The configs that can serve `problem`, best first; empty where there are no elements.
std::vector<ElementwiseConfig> rank_configs(const ElementwiseProblem& problem);

/// A problem bound to a config and a device; run() only launches.
class ElementwiseLauncher {
 public:
  /// `config` empty: the best. @throws Error (invalid_argument) for a config that cannot serve the problem.
  ElementwiseLauncher(const ElementwiseProblem& problem, int device, std::string_view config);

  /// As many pointers as the op has inputs and outputs.
  void run(const void* const* in, void* const* out, Stream stream) const;

  const std::string& config() const { return config_; }

 private:
  std::string config_;
  ElementwiseParams params_{};
  host::Launch launch_;
};

}  // namespace ckl
