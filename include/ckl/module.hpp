#pragma once

/// @file
/// Modules: kernels with a function of the user's own, compiled outside of the library by the CMake function ckl_add_module.

#include <cstddef>

namespace ckl {

/// One kernel of a Module.
struct ModuleEntry {
  const char* symbol;  ///< The kernel's name in the image.
  const char* config;  ///< How it runs, e.g. "bf16_tn_128x128x64_1x2_s6_ping".
};

/// A module as ckl_add_module makes it: kernels of one operator with one function.
struct Module {
  const char* name;            ///< For messages.
  const unsigned char* image;  ///< The fatbin.
  const ModuleEntry* entries;  ///< Its kernels.
  std::size_t entry_count;     ///< How many there are.
  std::size_t params_bytes;    ///< sizeof(Params) of the function, at most 256.
  int inputs;                  ///< How many an elementwise function has; 0 for others.
  int outputs;                 ///< The same.
  int version;                 ///< gemm_module_version or another operator's, of the headers that it was compiled with.
};

}  // namespace ckl
