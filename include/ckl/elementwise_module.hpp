#pragma once

/// @file
/// Elementwise functions of the user's own, compiled outside of the library by the CMake function ckl_add_module.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ckl/elementwise.hpp"
#include "ckl/export.hpp"
#include "ckl/module.hpp"

namespace ckl {

/// What a module's kernels and the library must agree on: it changes when the kernels' parameters do.
constexpr int elementwise_module_version = 3;

/// An elementwise problem by the function of a module, bound to a kernel of it and to a device. It must not outlive the module. As an
/// ElementwisePlan it is made once and run many times, from many threads. The function is computed in f32, whatever the operands are.
class CKL_API ElementwiseModulePlan {
 public:
  /// Plans `problem`, whose op must be ElementwiseOp::custom, for CUDA device `device` (-1: the current one).
  /// @param config  One of elementwise_candidates() of the module, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem, one with other numbers of inputs and outputs than the function has, a
  ///         module of another version, or a config that cannot serve; (unsupported) where no entry of the module serves the problem, or
  ///         as ElementwisePlan::ElementwisePlan() does.
  ElementwiseModulePlan(const ElementwiseProblem& problem, const Module& module, int device = -1,
                        std::string_view config = {});

  /// Launches on `stream` with `params`, the Params of the module's function; otherwise as ElementwisePlan::run().
  template <class Params>
  void run(const void* const* in, void* const* out, const Params& params, Stream stream = nullptr) const {
    static_assert(std::is_trivially_copyable<Params>::value, "a function's Params are copied byte by byte");
    run_bytes(in, out, &params, sizeof(Params), stream);
  }

  /// The same for `params_bytes` bytes at `params`.
  /// @throws Error (invalid_argument) if params_bytes is not the module's, or as ElementwisePlan::run() does.
  void run_bytes(const void* const* in, void* const* out, const void* params, std::size_t params_bytes,
                 Stream stream) const;

  const std::string& config() const noexcept;  ///< The config's name.

 private:
  class Implementation;
  std::shared_ptr<const Implementation> implementation_;
};

/// The configs of a module's entries that can serve `problem`, the best first; empty where there are no elements.
/// @throws Error as ElementwiseModulePlan::ElementwiseModulePlan() does.
CKL_API std::vector<std::string> elementwise_candidates(const ElementwiseProblem& problem, const Module& module);

}  // namespace ckl
