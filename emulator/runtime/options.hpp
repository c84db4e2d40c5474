#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

#include "async/vector_path.hpp"
#include "runtime/device.hpp"

namespace emu {

/// What the environment says. docs/emulator.md explains each variable.
struct Options {
  const GpuModel* gpu = nullptr;  // CKL_EMU_GPU
  int sm_count = 0;               // CKL_EMU_SMS
  int threads = 0;                // CKL_EMU_THREADS: host threads that execute clusters
  bool checks = true;             // CKL_EMU_CHECK
  std::uint64_t seed = 0;         // CKL_EMU_SEED
  bool log = false;               // CKL_EMU_LOG
  VectorPath vectors{};           // CKL_EMU_VECTORS
  // CKL_EMU_MODE
  bool late_loads = false, late_mma = false, late_stores = false;
  bool random_priorities = false;
};

/// A variable with a value that it cannot have; what() is a sentence.
struct OptionsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads the variables whose names start with CKL_EMU_. A name that is not known is an error, since it is a mistyped one.
Options parse_options(const std::map<std::string, std::string>& variables);

/// The process's options, read once. If they are malformed this says so, once, and the device is unusable from then on.
const Options& options();

}  // namespace emu
