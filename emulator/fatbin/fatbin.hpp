#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace emu {

/// A fat binary that is damaged, or of a kind that is not understood; what() is a sentence.
struct FatbinError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One PTX text of a fat binary. The family ('f') and architecture ('a') suffixes restrict where it may run.
struct PtxImage {
  int arch = 0;      // 90 for compute_90a
  char suffix = 0;   // 'a', 'f' or 0
  std::string text;  // decompressed
};

struct Fatbin {
  std::vector<PtxImage> ptx;
  std::vector<std::string> machine_code;  // "sm_90a", one for each entry of machine code

  /// The PTX that a GPU of compute capability 9.0 would compile: the newest architecture up to 9.0, 9.0a before 9.0.
  /// Several only if the fat binary holds several of that architecture. Empty if none fits.
  std::vector<const PtxImage*> for_hopper() const;

  /// Why for_hopper() is empty, and what to compile with, as a sentence.
  std::string why_no_ptx() const;
};

/// Whether `image` starts as the fat binary that `nvcc -fatbin` writes, or as the wrapper that nvcc embeds in a program.
bool is_fatbin(const void* image);
bool is_fatbin_wrapper(const void* image);

/// Reads the fat binary in `bytes`; never reads outside of them.
Fatbin read_fatbin(std::span<const std::byte> bytes);

/// Reads the fat binary at `image`, whose size is in its header.
Fatbin read_fatbin(const void* image);

/// Reads what the wrapper at `wrapper` points to.
Fatbin read_fatbin_wrapper(const void* wrapper);

}  // namespace emu
