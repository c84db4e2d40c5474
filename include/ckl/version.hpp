#pragma once

#include "ckl/export.hpp"

/// The version of these headers. CMake reads it here: this is the one place to change it.
#define CKL_VERSION_MAJOR 0
#define CKL_VERSION_MINOR 1
#define CKL_VERSION_PATCH 0

namespace ckl {

/// The version of the library that is loaded, as "MAJOR.MINOR.PATCH". It differs from the macros
/// above when a program was compiled against other headers than the library it runs with.
CKL_API const char* version() noexcept;

}  // namespace ckl
