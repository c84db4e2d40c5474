#pragma once

#include <string>
#include <string_view>

#include "ckl/device.hpp"
#include "ckl/export.hpp"
#include "ckl/gemm.hpp"

namespace ckl {

/// The user's tuning database, a JSON file that is read once a process: the file that the environment variable
/// CKL_TUNING_DATABASE names, else ckl/tuning.json in $XDG_CACHE_HOME, else in ~/.cache. Empty where none of them is set.
/// The library chooses by its entries before its own model; those of another GPU model or another version of the library, and those of
/// configs that are not shipped any more, do not count. `ckl tune` fills it.
CKL_API std::string tuning_database_path();

/// The folder of the user's own kernels of operator `op` ("gemm"), one file CONFIG.fatbin each, which is read once a process:
/// VERSION/`op` in the folder that the environment variable CKL_KERNELS names, else in ckl/kernels in $XDG_CACHE_HOME, else in ~/.cache.
/// Empty where none of them is set. They serve where a plan or the tuning database names them. `ckl compile` fills it. VERSION is this
/// library's, and that of what its host code and its kernels must agree on.
CKL_API std::string compiled_kernels_folder(std::string_view op);

/// Why a kernel for `config` of GEMM cannot be added to those: empty if it can, else the reason, such as that it is shipped.
CKL_API std::string gemm_config_obstacle(std::string_view config);

/// Checks that store_tuning() can write to tuning_database_path(), before anything is measured for it. Makes its folder.
/// @throws Error (invalid_argument) as store_tuning() does of the file.
CKL_API void check_tuning_database();

/// Stores in tuning_database_path() that `config` was measured to be the fastest for `problem` on `device`, taking `time_us`
/// microseconds. Processes that start afterwards choose it. Safe while others read and write the file.
/// @throws Error (invalid_argument) if the config is none that gemm_candidates() lists, or the file is malformed or cannot be written.
CKL_API void store_tuning(const GemmProblem& problem, const DeviceInfo& device, std::string_view config,
                          double time_us);

}  // namespace ckl
