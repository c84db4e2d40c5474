#pragma once

// A reduction bound to a kernel and a device; it only launches.

#include <cstddef>

#include "host/launch.hpp"
#include "ops/reduce/choice.hpp"

namespace ckl {

class ReduceLauncher {
 public:
  ReduceLauncher() = default;  ///< For a problem without outputs.
  /// @throws Error (unsupported) for a problem that takes too many blocks.
  ReduceLauncher(const ReduceProblem& problem, const ReduceShape& shape, const ReduceChoice& choice,
                 cudaKernel_t kernel, int device);

  std::size_t workspace_bytes() const { return work_.mailbox_bytes; }

  /// All having been checked. `monoid_params`: what is handed to a monoid of the user's own.
  void run(const void* x, void* y, void* workspace, Stream stream, const void* monoid_params = nullptr,
           std::size_t monoid_params_bytes = 0) const;

 private:
  int device_ = 0;
  ReduceWork work_;
  host::Launch launch_;
};

}  // namespace ckl
