#include "runtime/status.hpp"

#include <atomic>
#include <cstdio>
#include <set>

#include "runtime/options.hpp"

namespace emu {

namespace status {

namespace {

std::atomic<cudaError_t> device_fault{cudaSuccess};
thread_local cudaError_t thread_last_error = cudaSuccess;

// cudaErrorNotReady is an answer: it is not recorded as an error.
bool is_error(cudaError_t code) { return code != cudaSuccess && code != cudaErrorNotReady; }

}  // namespace

cudaError_t fault() {
  options();  // malformed ones are a fault
  return device_fault;
}
void set_fault(cudaError_t error) { device_fault = error; }

cudaError_t last_error() { return thread_last_error; }

cudaError_t take_last_error() {
  // A fault stays: the API calls such errors sticky.
  return std::exchange(thread_last_error, fault());
}

cudaError_t finish(const char* api, cudaError_t code, const char* why) {
  if (is_error(code)) {
    thread_last_error = code;
    log(fmt::format("{}: {}: {}", api, cudaGetErrorName(code), why));
  }
  return code;
}

void say(const std::string& text) { std::fprintf(stderr, "ckl emulator: %s\n", text.c_str()); }

void log(const std::string& text) {
  if (options().log) say(text);
}

std::mutex& api_mutex() {
  // Never destroyed: programs call the runtime from destructors that run after main.
  static auto* mutex = new std::mutex;
  return *mutex;
}

}  // namespace status

namespace {

void say_once_not_supported(const std::string& what) {
  static auto* said = new std::set<std::string>;
  static auto* mutex = new std::mutex;
  std::lock_guard lock(*mutex);
  if (said->insert(what).second) status::say(what + " is not supported by the emulator");
}

}  // namespace

cudaError_t not_supported(const char* what) noexcept {
  say_once_not_supported(what);
  return status::finish(what, cudaErrorNotSupported, "not supported by the emulator");
}

/// For stubs.cpp, which cannot see CUDA's header: that declares what it defines with other parameters.
int not_supported_stub(const char* name) noexcept { return not_supported(name); }

void fail_not_supported(const std::string& what) {
  say_once_not_supported(what);
  throw ApiError(cudaErrorNotSupported, what + " is not supported by the emulator");
}

}  // namespace emu
