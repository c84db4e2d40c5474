#include <cctype>
#include <map>
#include <string>

#include "runtime/cuda_api.hpp"

namespace {

struct ErrorName {
  cudaError_t code;
  const char* name;
};

// The enumerators of cudaError, listed at configure time from the toolkit's header.
constexpr ErrorName names[] = {
#define CKL_EMU_ERROR(name) {name, #name},
#include "cuda_error_names.inc"
#undef CKL_EMU_ERROR
};

constexpr const char* unrecognized = "unrecognized error code";

/// "cudaErrorStreamCaptureUnjoined" becomes "stream capture unjoined".
std::string words_of(const std::string& name) {
  static const std::string prefix = "cudaError";
  std::string words;
  for (char c : name.starts_with(prefix) ? name.substr(prefix.size()) : name) {
    if (std::isupper(static_cast<unsigned char>(c)) && !words.empty()) words += ' ';
    words += char(std::tolower(static_cast<unsigned char>(c)));
  }
  return words;
}

struct Texts {
  std::map<int, std::string> by_code;
  Texts() {
    for (const ErrorName& error : names) by_code.emplace(int(error.code), words_of(error.name));
    // Where the name says too little.
    by_code[cudaSuccess] = "no error";
    by_code[cudaErrorInvalidValue] = "invalid argument";
    by_code[cudaErrorMemoryAllocation] = "out of memory";
    by_code[cudaErrorLaunchFailure] = "a kernel failed; the emulator's report on stderr says how";
    by_code[cudaErrorIllegalAddress] =
        "a kernel accessed an illegal address; the emulator's report on stderr says where";
    by_code[cudaErrorMisalignedAddress] =
        "a kernel accessed a misaligned address; the emulator's report on stderr says where";
    by_code[cudaErrorLaunchTimeout] =
        "a kernel cannot make progress; the emulator's report on stderr says who waits for what";
    by_code[cudaErrorNoKernelImageForDevice] = "the program embeds no PTX that the emulator can execute";
    by_code[cudaErrorInvalidPtx] = "the program's PTX is not understood by the emulator";
    by_code[cudaErrorNotSupported] = "not supported by the emulator";
  }
};

const Texts& texts() {
  static const auto* all = new Texts;  // programs ask in destructors that run after main
  return *all;
}

}  // namespace

CKL_EMU_API const char* cudaGetErrorName(cudaError_t error) {
  for (const ErrorName& entry : names)
    if (entry.code == error) return entry.name;
  return unrecognized;
}

CKL_EMU_API const char* cudaGetErrorString(cudaError_t error) {
  auto at = texts().by_code.find(int(error));
  return at == texts().by_code.end() ? unrecognized : at->second.c_str();
}
