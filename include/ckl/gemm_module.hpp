#pragma once

/// @file
/// Products with an epilogue of the user's own, compiled outside of the library by the CMake function ckl_add_module.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ckl/export.hpp"
#include "ckl/gemm.hpp"
#include "ckl/module.hpp"

namespace ckl {

/// What a module's kernels and the library must agree on: it changes when the kernels' parameters do.
constexpr int gemm_module_version = 2;

using GemmModuleEntry = ModuleEntry;  ///< Its config is one of `ckl candidates gemm`.
using GemmModule = Module;            ///< GEMM kernels with one epilogue.

/// D = epilogue(alpha * A * B + beta * C) with the epilogue of a module, bound to a kernel of it and to a device. It must not
/// outlive the module. As a GemmPlan it is made once and run many times, from many threads.
class CKL_API GemmModulePlan {
 public:
  /// Plans `problem`, whose own epilogue must be empty, for CUDA device `device` (-1: the current one).
  /// @param config  The config of an entry that can serve the problem, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem, a module of another version, or a config that cannot serve;
  ///         (unsupported) where no entry of the module serves the problem, or as GemmPlan::GemmPlan() does.
  GemmModulePlan(const GemmProblem& problem, const GemmModule& module, int device = -1, std::string_view config = {});

  /// Launches on `stream` with `params`, the Epilogue::Params of the module; otherwise as GemmPlan::run(), of which the pointers of
  /// a named epilogue are not used. What the epilogue reads and writes by itself is not checked.
  template <class Params> void run(const GemmPointers& pointers, const Params& params, void* workspace = nullptr,
                                   Stream stream = nullptr) const {
    static_assert(std::is_trivially_copyable<Params>::value, "an epilogue's Params are copied byte by byte");
    run_bytes(pointers, &params, sizeof(Params), workspace, stream);
  }

  /// The same for `params_bytes` bytes at `params`.
  /// @throws Error (invalid_argument) if params_bytes is not the module's, or as GemmPlan::run() does.
  void run_bytes(const GemmPointers& pointers, const void* params, std::size_t params_bytes, void* workspace,
                 Stream stream) const;

  std::size_t workspace_bytes() const noexcept;  ///< Exact size that run() needs, in bytes; see GemmPlan::run().
  const std::string& config() const noexcept;    ///< The config's name.

 private:
  class Implementation;
  std::shared_ptr<const Implementation> implementation_;
};

/// The configs of a module's entries that can serve `problem` on `device`, the best first.
/// @throws Error as GemmModulePlan::GemmModulePlan() does.
CKL_API std::vector<std::string> gemm_candidates(const GemmProblem& problem, const GemmModule& module,
                                                 const DeviceInfo& device);

}  // namespace ckl
