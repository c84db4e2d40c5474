#pragma once

// Where the library keeps what is the user's: his tuning database, the kernels that he has compiled.

#include <string>

namespace ckl::host {

/// What the environment variable `variable` says, where it is set, even if to nothing; else ckl/`name` in $XDG_CACHE_HOME, else in
/// ~/.cache; empty where none of them is set.
std::string user_file(const char* variable, const char* name);

}  // namespace ckl::host
