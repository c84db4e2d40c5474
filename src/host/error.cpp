#include "ckl/error.hpp"

#include "ckl/version.hpp"

namespace ckl {

Error::Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
Error::~Error() = default;

const char* name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::cuda: return "cuda";
  }
  return "invalid";
}

#define CKL_TEXT(x)                           #x
#define CKL_VERSION_TEXT(major, minor, patch) CKL_TEXT(major) "." CKL_TEXT(minor) "." CKL_TEXT(patch)

const char* version() noexcept { return CKL_VERSION_TEXT(CKL_VERSION_MAJOR, CKL_VERSION_MINOR, CKL_VERSION_PATCH); }

}  // namespace ckl
