#pragma once

// Errors with one clear sentence each.

#include <sstream>
#include <string>

#include <cuda_runtime_api.h>

#include "ckl/error.hpp"

namespace ckl::host {

/// The parts, printed one after another.
template <class... Parts> std::string sentence(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts> [[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, sentence(parts...));
}

/// Throws invalid_argument with the sentence of `parts` unless `condition` holds.
template <class... Parts> void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(ErrorCode::invalid_argument, parts...);
}

/// Throws unsupported with the sentence of `parts` unless `condition` holds.
template <class... Parts> void require_supported(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(ErrorCode::unsupported, parts...);
}

/// Throws cuda (or out_of_memory) unless `status` is success; `what` is the call that returned it.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // it is reported here, so the next call should not report it again
  fail(status == cudaErrorMemoryAllocation ? ErrorCode::out_of_memory : ErrorCode::cuda, what,
       " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

}  // namespace ckl::host
