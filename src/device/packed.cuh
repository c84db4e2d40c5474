#pragma once

// Elements that share a register.

#include <cute/tensor.hpp>
#include <cutlass/array.h>
#include <cutlass/numeric_types.h>
#include <cutlass/platform/platform.h>

#include "device/arch.cuh"

namespace ckl::device {

/// Element `i` of a dense register tensor as a float: one instruction for bf16, whose halves the compiler would first take apart.
template <class Packed> CUTE_DEVICE float unpacked(Packed const& elements, int i) {
  if constexpr (cute::is_same_v<typename Packed::value_type, cutlass::bfloat16_t>) {
    cute::Tensor pairs = cute::recast<uint32_t const>(elements);  // (elements / 2)
    uint32_t bits = i % 2 ? pairs(i / 2) & 0xffff0000u : pairs(i / 2) << 16;
    return cutlass::platform::bit_cast<float>(bits);
  } else {
    return float(elements(i));
  }
}

/// x[i][j] <-> x[j][i], of unsigned integers: rows of registers become columns, which takes instructions only among those that share one.
template <class Bits, int N> CUTE_DEVICE void transpose(cutlass::Array<Bits, N> (&x)[N]) {
  constexpr int PACKED = cute::min(N, cute::max(1, int(sizeof(uint32_t) / sizeof(Bits))));  // elements of a word
  using Word = cute::uint_bit_t<PACKED * cute::sizeof_bits_v<Bits>>;
  using Words = Word[N][N / PACKED];
  static_assert(N % PACKED == 0 && sizeof(Words) == sizeof(x));
  Words y;
  auto const& words = reinterpret_cast<Words const&>(x);
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < N; i += PACKED) {
    CUTLASS_PRAGMA_UNROLL
    for (int j = 0; j < N / PACKED; ++j) {  // word j of rows i and on -> word i / PACKED of rows j * PACKED and on
      auto to = [&](int row) -> Word& { return y[j * PACKED + row][i / PACKED]; };
      if constexpr (PACKED == 1) {
        to(0) = words[i][j];
      } else if constexpr (PACKED == 2) {
        constexpr uint32_t low = sizeof(Bits) == 2 ? 0x5410 : 0x40, high = sizeof(Bits) == 2 ? 0x7632 : 0x51;
        to(0) = Word(permute_bytes(words[i][j], words[i + 1][j], low));
        to(1) = Word(permute_bytes(words[i][j], words[i + 1][j], high));
      } else {
        uint32_t even01 = permute_bytes(words[i][j], words[i + 1][j], 0x6240);  // bytes 0 and 2 of rows 0 and 1
        uint32_t odd01 = permute_bytes(words[i][j], words[i + 1][j], 0x7351);   // bytes 1 and 3
        uint32_t even23 = permute_bytes(words[i + 2][j], words[i + 3][j], 0x6240);
        uint32_t odd23 = permute_bytes(words[i + 2][j], words[i + 3][j], 0x7351);
        to(0) = permute_bytes(even01, even23, 0x5410);
        to(1) = permute_bytes(odd01, odd23, 0x5410);
        to(2) = permute_bytes(even01, even23, 0x7632);
        to(3) = permute_bytes(odd01, odd23, 0x7632);
      }
    }
  }
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < N; ++i) x[i] = reinterpret_cast<cutlass::Array<Bits, N> const&>(y[i]);
}

}  // namespace ckl::device
