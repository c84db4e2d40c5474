#pragma once

#include <stdexcept>
#include <string>

#include "ckl/export.hpp"

namespace ckl {

/// What kind of failure an Error reports.
enum class ErrorCode {
  invalid_argument,  ///< The request contradicts itself or the documented requirements.
  unsupported,       ///< The request is well formed, but this library or this device cannot serve it.
  out_of_memory,     ///< Device memory for a workspace could not be had.
  cuda,              ///< A CUDA call failed for a reason of its own, e.g. an earlier kernel's fault.
};

/// The name of `code`, e.g. "invalid_argument".
CKL_API const char* name(ErrorCode code) noexcept;

/// The one exception this library throws. what() names the argument, the requirement and the actual
/// value. When it is thrown, nothing was launched and no output was written.
class CKL_API Error : public std::runtime_error {
 public:
  /// An error of kind `code`; what() is `message`.
  Error(ErrorCode code, const std::string& message);
  ~Error() override;

  /// The kind of failure.
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace ckl
