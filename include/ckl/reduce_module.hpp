#pragma once

/// @file
/// Reductions with a monoid of the user's own, compiled outside of the library by the CMake function ckl_add_module.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ckl/export.hpp"
#include "ckl/module.hpp"
#include "ckl/reduce.hpp"

namespace ckl {

/// What a module's kernels and the library must agree on: it changes when the kernels' parameters do.
constexpr int reduce_module_version = 4;

/// A reduction by the monoid of a module, bound to a kernel of it and to a device. It must not outlive the module. As a ReducePlan it is
/// made once and run many times, from many threads, and as deterministic.
class CKL_API ReduceModulePlan {
 public:
  /// Plans `problem`, whose op must be ReduceOp::custom, for CUDA device `device` (-1: the current one).
  /// @param config  One of reduce_candidates() of the module, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem, a module of another version, or a config that cannot serve;
  ///         (unsupported) where no entry of the module serves the problem, or as ReducePlan::ReducePlan() does.
  ReduceModulePlan(const ReduceProblem& problem, const Module& module, int device = -1, std::string_view config = {});

  /// Launches on `stream` with `params`, the Params of the module's monoid; otherwise as ReducePlan::run().
  template <class Params>
  void run(const void* x, void* y, const Params& params, void* workspace = nullptr, Stream stream = nullptr) const {
    static_assert(std::is_trivially_copyable<Params>::value, "a monoid's Params are copied byte by byte");
    run_bytes(x, y, &params, sizeof(Params), workspace, stream);
  }

  /// The same for `params_bytes` bytes at `params`.
  /// @throws Error (invalid_argument) if params_bytes is not the module's, or as ReducePlan::run() does.
  void run_bytes(const void* x, void* y, const void* params, std::size_t params_bytes, void* workspace,
                 Stream stream) const;

  std::size_t workspace_bytes() const noexcept;  ///< Exact size that run() needs, in bytes; see ReducePlan::run().
  const std::string& config() const noexcept;    ///< The config's name.

 private:
  class Implementation;
  std::shared_ptr<const Implementation> implementation_;
};

/// The configs of a module's entries that can serve `problem` on `device`, the best first; empty where y has no elements.
/// @throws Error as ReduceModulePlan::ReduceModulePlan() does.
CKL_API std::vector<std::string> reduce_candidates(const ReduceProblem& problem, const Module& module,
                                                   const DeviceInfo& device);

}  // namespace ckl
