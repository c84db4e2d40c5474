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

/// Stores in tuning_database_path() that `config` was measured to be the fastest for `problem` on `device`, taking `time_us`
/// microseconds. Processes that start afterwards choose it. Safe while others read and write the file.
/// @throws Error (invalid_argument) if the config is none that gemm_candidates() lists, or the file is malformed or cannot be written.
CKL_API void store_tuning(const GemmProblem& problem, const DeviceInfo& device, std::string_view config,
                          double time_us);

}  // namespace ckl
