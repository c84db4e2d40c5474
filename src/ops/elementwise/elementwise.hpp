#pragma once

// The engine behind the elementwise operators, for their public calls and for other operators' host side.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "ckl/elementwise.hpp"
#include "host/launch.hpp"
#include "ops/elementwise/config.hpp"
#include "ops/elementwise/params.hpp"

namespace ckl {

/// out[i] = op(in[i]...) over a common shape; broadcast dimensions have stride 0. All operands have one dtype.
struct ElementwiseProblem {
  ElementwiseOp op = ElementwiseOp::add;
  int rank = 0;
  std::array<std::int64_t, max_rank> sizes{};
  std::array<TensorOperand, max_elementwise_inputs> in;
  TensorOperand out;
  float scalar = 1.0f;
};

/// The configs that can serve `problem`, best first; empty where there are no elements.
std::vector<ElementwiseConfig> rank_configs(const ElementwiseProblem& problem);

/// A problem bound to a config and a device; run() only launches.
class ElementwiseLauncher {
 public:
  /// `config` empty: the best. @throws Error (invalid_argument) for a config that cannot serve the problem.
  ElementwiseLauncher(const ElementwiseProblem& problem, int device, std::string_view config);

  void run(const void* const* in, void* out, Stream stream) const;

  const std::string& config() const { return config_; }

 private:
  std::string config_;
  ElementwiseParams params_{};
  host::Launch launch_;
};

}  // namespace ckl
