#pragma once

#include <cstdint>

// Addresses of the windows other than global memory, whose addresses are the host's.
//
// An address in shared memory has 32 bits: bits 0 to 23 are the offset in a CTA's memory; bits 24 to 31 are 0 for the CTA of
// the thread, else 1 + the rank of a CTA of the cluster (mapa). A generic address of a window carries its tag in bits 56 to 63,
// which no address of the host's has.
namespace emu::machine {

inline constexpr std::uint32_t shared_offset_bits = 24;
inline constexpr std::uint32_t shared_offset_mask = (1u << shared_offset_bits) - 1;
/// Where a CTA's variables begin; the first 1024 bytes are reserved, as on hardware.
inline constexpr std::uint32_t shared_base = 1024;

inline constexpr std::uint64_t tag_mask = 0xffull << 56;
inline constexpr std::uint64_t shared_tag = 0x81ull << 56, local_tag = 0x82ull << 56, param_tag = 0x83ull << 56;
/// What the address of a function looks like: its number in the module, times 16.
inline constexpr std::uint64_t function_tag = 0x84ull << 56;

}  // namespace emu::machine
