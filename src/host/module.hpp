#pragma once

// The device-only kernel modules that are embedded in the library.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <cuda_runtime_api.h>

#include "ckl/module.hpp"

namespace ckl::host {

/// A config of a shipped kernel. One that has not been `measured` is taken only where it is asked for by name or tuned: the choice
/// between the others stays as it was measured.
struct ShippedConfig {
  const char* name;
  bool measured;
};

/// One module: a fatbin, and the configs of the kernels in it. The kernel of config X of operator OP is ckl_OP_X.
struct ModuleImage {
  const char* op;              ///< Operator, e.g. "gemm".
  const char* name;            ///< Module, e.g. "gemm_tn".
  const unsigned char* begin;  ///< The fatbin's bytes.
  const unsigned char* end;
  const ShippedConfig* entries;
  std::size_t entry_count;
};

/// All modules; the build makes this table from the instance lists of src/ops.
extern const ModuleImage kModules[];
extern const std::size_t kModuleCount;

/// The shipped config names of operator `op`, in the order of the instance lists.
std::vector<std::string> shipped_configs(const char* op);
/// Those that have been measured, and those that have not.
std::vector<std::string> measured_configs(const char* op);
std::vector<std::string> unmeasured_configs(const char* op);

/// The configs of operator `op` whose kernels the user has compiled, in compiled_kernels_folder(op); sorted, and read once a process.
const std::vector<std::string>& compiled_configs(const std::string& op);

/// The config to take of `candidates`, best first: the one that is `wanted`, or the best if that is empty; an empty one where there are no
/// candidates, since nothing has to be computed.
/// @throws Error (invalid_argument) if the wanted one is not among them.
std::string chosen(const std::vector<std::string>& candidates, std::string_view wanted);

/// The kernel of `config` of operator `op`, a shipped one or else one that the user has compiled. Its module is loaded when it is first
/// asked for, and never unloaded.
/// @throws Error (unsupported) if there is no such kernel; (cuda) if it cannot be loaded.
cudaKernel_t find_kernel(const char* op, const std::string& config);

/// The first kernel of the smallest module: for questions to the driver that any kernel answers.
cudaKernel_t any_kernel();

/// The kernel called `symbol` of the fatbin at `image`, which is loaded when it is first asked for, and never unloaded.
/// @throws Error (cuda) if it cannot be loaded or has no such kernel.
cudaKernel_t find_kernel_of(const unsigned char* image, const char* symbol);

/// Throws invalid_argument unless `module` was compiled with headers of `version`, and its Params have at most `max_params` bytes.
void require_module(const Module& module, int version, int max_params);

/// The user's entry for `config`, or nullptr.
const ModuleEntry* find_entry(const Module& module, std::string_view config);

/// Throws unless `bytes`, of the parameters of a run, are those of the Params of module `module`.
void require_params(std::size_t bytes, std::size_t of_module, const std::string& module);

}  // namespace ckl::host
