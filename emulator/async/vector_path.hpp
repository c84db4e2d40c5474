#pragma once

#include <cstdint>

// Which vector instructions of the host the emulator uses. Results do not depend on it.
namespace emu {

enum class VectorPath : std::uint8_t { portable, avx2, avx512 };

/// The best that the host has.
VectorPath best_vector_path();
/// The one that is used: the best one, unless use_vector_path() says otherwise.
VectorPath vector_path();
/// Before any kernel is decoded: handlers are chosen then. The host must have it.
void use_vector_path(VectorPath path);

}  // namespace emu

// What the compiler may use in functions of a path.
#define CKL_EMU_AVX2_FEATURES   "avx2,fma,f16c"
#define CKL_EMU_AVX512_FEATURES "avx512f,avx512bw,avx512dq,avx512vl," CKL_EMU_AVX2_FEATURES
#define CKL_EMU_AVX2            __attribute__((target(CKL_EMU_AVX2_FEATURES)))
#define CKL_EMU_AVX512          __attribute__((target(CKL_EMU_AVX512_FEATURES)))
