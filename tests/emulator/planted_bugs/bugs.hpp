#pragma once

// The corpus: kernels that are correct as they stand, and copies of them with one bug each. A kernel is a template over the bug;
// the places that its report must name carry a comment, "// @<bug>", at their end or on the line before.
#include <cstdint>
#include <string>
#include <vector>

/// What a kernel gets: buffers of 64 KB each, the first filled with numbers.
struct Buffers {
  uint32_t* in;
  uint32_t* out;
};

struct Bug {
  std::string name;    // of the bug; "none" for the correct kernel
  std::string family;  // the kernel
  std::string hazard;  // what the report says, in brackets or in words; empty for the correct kernel
  std::string file;    // the source file
  void (*launch)(Buffers);
};

std::vector<Bug> generic_bugs();
std::vector<Bug> copy_bugs();
std::vector<Bug> wgmma_bugs();
std::vector<Bug> machine_bugs();
