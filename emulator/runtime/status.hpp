#pragma once

#include <exception>
#include <fmt/format.h>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "runtime/cuda_api.hpp"

namespace emu {

/// Ends an API call with `code`; `why` is a sentence for CKL_EMU_LOG.
struct ApiError : std::exception {
  ApiError(cudaError_t error, std::string reason) : code(error), why(std::move(reason)) {}
  const char* what() const noexcept override { return why.c_str(); }
  cudaError_t code;
  std::string why;
};

template <class... A> [[noreturn]] void fail(cudaError_t code, fmt::format_string<A...> format, A&&... arguments) {
  throw ApiError(code, fmt::format(format, std::forward<A>(arguments)...));
}

template <class... A>
void require(bool condition, cudaError_t code, fmt::format_string<A...> format, A&&... arguments) {
  if (!condition) [[unlikely]]
    fail(code, format, std::forward<A>(arguments)...);
}

/// For arguments that the documentation calls invalid: cudaErrorInvalidValue.
template <class... A> void require_value(bool condition, fmt::format_string<A...> format, A&&... arguments) {
  if (!condition) [[unlikely]]
    fail(cudaErrorInvalidValue, format, std::forward<A>(arguments)...);
}

/// What a call does beyond its body.
enum class ApiKind {
  usual,     // returns the device's fault, if there was one
  harmless,  // works after a fault: queries of the device, destruction
};

namespace status {

/// The error that every usual call returns since a kernel faulted; cudaSuccess before.
cudaError_t fault();
void set_fault(cudaError_t error);

/// The calling thread's last error, as cudaGetLastError and cudaPeekAtLastError want it.
cudaError_t take_last_error();
cudaError_t last_error();

/// Records and logs the outcome of `api`; returns `code`.
cudaError_t finish(const char* api, cudaError_t code, const char* why);

/// A sentence on stderr, which is always said: something that the emulator lacks, or a bug that it found.
void say(const std::string& text);
/// A sentence on stderr if CKL_EMU_LOG is set.
void log(const std::string& text);

/// Every call holds it, so the device's state needs no other lock.
std::mutex& api_mutex();

}  // namespace status

/// Runs the body of the API function `name`: locked, with the errors that it throws turned into its result.
template <class Body> cudaError_t api(const char* name, Body&& body, ApiKind kind = ApiKind::usual) noexcept {
  try {
    std::lock_guard lock(status::api_mutex());
    if (kind == ApiKind::usual && status::fault() != cudaSuccess)
      return status::finish(name, status::fault(), "a kernel has faulted before");
    body();
    return cudaSuccess;
  } catch (const ApiError& error) {
    return status::finish(name, error.code, error.what());
  } catch (const std::bad_alloc&) {
    return status::finish(name, cudaErrorMemoryAllocation, "the host has no memory left");
  } catch (const std::exception& error) {
    status::say(fmt::format("{}: {}", name, error.what()));
    return status::finish(name, cudaErrorUnknown, error.what());
  }
}

/// The result of something that the emulator lacks: names it on stderr, once for each name.
cudaError_t not_supported(const char* what) noexcept;
[[noreturn]] void fail_not_supported(const std::string& what);

}  // namespace emu
