#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "async/vector_path.hpp"
#include "ptx/module.hpp"

// A decoded instruction, and how the function that executes it sees the registers of a warp.
//
// A register is an array of 32 lanes: of std::uint32_t for types of up to 32 bits (narrower values are zero-extended in
// it), of std::uint64_t, or of 16 bytes. A predicate is one std::uint32_t with a bit for each lane. Constants, addresses of
// variables and special registers are lane arrays too, so that a handler never asks what kind of operand it has.
namespace emu {

namespace check {
class Checker;
}
namespace machine {
struct Warp;
struct Cta;
struct Cluster;
struct Grid;
struct Group;
struct Program;
}  // namespace machine

namespace isa {

inline constexpr std::uint32_t no_register = ~0u;
inline constexpr std::uint32_t full_mask = ~0u;
inline constexpr int lanes = 32;

/// State spaces of memory instructions.
enum class Window : std::uint8_t { generic, global, shared_cta, shared_cluster, local, param, constant };

/// What the warp does after an instruction.
enum class Next : std::uint8_t {
  next,     // the next instruction
  jump,     // the group's pc has been set
  regroup,  // the groups of lanes have changed
  block,    // the group waits; its state and its pc have been set
  yield,    // the next instruction, but let other warps run first
};

struct Context;
struct Decoded;
using Handler = Next (*)(Context&, const Decoded&);

/// Where an operand's lanes are: `offset` bytes from the start of the register file (base 0) or of the program's constants
/// (base 1). While a function is being bound, registers have no place yet: `offset` is the number of a register, or of a special
/// one in Program::specials, with a base of its own.
inline constexpr std::uint8_t source_register = 2, source_special = 3;
struct Source {
  std::uint32_t offset = no_register;
  std::uint8_t base = 0;
  bool negated = false;  // a predicate !p

  bool exists() const { return offset != no_register; }
};

/// One instruction, ready to execute.
struct Decoded {
  Handler handler = nullptr;
  std::uint32_t guard = no_register;  // offset of the guard's predicate
  bool guard_negated = false;
  Window window = Window::generic;
  std::uint8_t vector = 1;           // elements of ld.v4 and the like
  std::uint8_t register_bytes = 4;   // of a lane of the destination register: 4, 8 or 16
  std::uint8_t address_bytes = 8;    // of a lane of the register that holds the address
  ptx::Type type = ptx::Type::none;  // the last one in the opcode; type2: of the result, where that differs
  ptx::Type type2 = ptx::Type::none;
  std::uint32_t d = no_register;   // offset of the result; no_register for a sink
  std::uint32_t d2 = no_register;  // the second one: setp p|q, shfl d|p
  Source s[5];
  std::uint32_t flags = 0;                      // of the handler's own
  std::int64_t immediate = 0;                   // the same; for memory: the offset of the address
  std::uint32_t list_first = 0, list_size = 0;  // in Program::lists: operands that do not fit s
  std::uint32_t target = 0;                     // of a branch or call
  std::uint32_t where = 0;                      // in the program: its text, its line
  std::uint32_t touch = 0;                      // in Program::touches, if the checks look at its registers
};

/// What a handler works on.
struct Context {
  std::byte* bases[2] = {};  // the register file, the constants
  std::uint32_t mask = 0;    // lanes that execute the instruction: active, and their guard is true. Never 0
  machine::Warp* warp = nullptr;
  machine::Group* group = nullptr;
  machine::Cta* cta = nullptr;
  machine::Cluster* cluster = nullptr;
  machine::Grid* grid = nullptr;
  const machine::Program* program = nullptr;
  check::Checker* checker = nullptr;  // null: no checks

  const std::byte* source(const Source& source) const { return bases[source.base] + source.offset; }
  std::byte* target(std::uint32_t offset) const { return bases[0] + offset; }
  /// The predicate, with its negation.
  std::uint32_t predicate(const Source& source) const {
    std::uint32_t value;
    std::memcpy(&value, this->source(source), sizeof(value));
    return source.negated ? ~value : value;
  }
  /// Writes the lanes of `mask`.
  void set_predicate(std::uint32_t offset, std::uint32_t value) const {
    if (offset == no_register) return;
    auto* at = reinterpret_cast<std::uint32_t*>(target(offset));
    *at = (*at & ~mask) | (value & mask);
  }
};

/// The value of lane `lane` as a T: an integer or float of 8 to 64 bits, in a register of at least that size.
template <class T> inline T read(const std::byte* at, int lane) {
  if constexpr (sizeof(T) >= 4)
    return reinterpret_cast<const T*>(at)[lane];
  else
    return static_cast<T>(reinterpret_cast<const std::uint32_t*>(at)[lane]);
}

/// Writes a T into a register of its size, or of 32 bits if it is narrower.
template <class T> inline void write(std::byte* at, int lane, T value) {
  if constexpr (sizeof(T) >= 4)
    reinterpret_cast<T*>(at)[lane] = value;
  else
    reinterpret_cast<std::uint32_t*>(at)[lane] = static_cast<std::make_unsigned_t<T>>(value);
}

/// Calls body(lane) for the lanes of the mask. A body may read and write only its own lane: the loop is vectorized.
template <class Body> inline void for_lanes(std::uint32_t mask, Body&& body) {
  if (mask == full_mask) {
#pragma GCC ivdep
    for (int lane = 0; lane < lanes; ++lane) body(lane);
  } else {
    for (; mask; mask &= mask - 1) body(std::countr_zero(mask));
  }
}

/// `handler`, compiled once more for each set of vector instructions: its loops over lanes become a few instructions. What it calls
/// is inlined, to be compiled likewise.
template <Handler handler> [[gnu::flatten]] CKL_EMU_AVX2 Next on_avx2(Context& c, const Decoded& in) {
  return handler(c, in);
}
template <Handler handler> [[gnu::flatten]] CKL_EMU_AVX512 Next on_avx512(Context& c, const Decoded& in) {
  return handler(c, in);
}
/// The one of them that is used.
template <Handler handler> Handler vectorized() {
  switch (vector_path()) {
    case VectorPath::avx512: return on_avx512<handler>;
    case VectorPath::avx2: return on_avx2<handler>;
    default: return handler;
  }
}

/// d = operation(s0), d = operation(s0, s1), ...: R(T), R(T, T), R(T, T, T), each lane by itself. `Operation` is a type without state
/// whose operator() takes T.
template <class R, class T, class Operation> Next unary(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) { write<R>(d, lane, Operation{}(read<T>(a, lane))); });
  return Next::next;
}
template <class R, class T, class Operation> Next binary(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  for_lanes(c.mask, [=](int lane) { write<R>(d, lane, Operation{}(read<T>(a, lane), read<T>(b, lane))); });
  return Next::next;
}
template <class R, class T, class Operation> Next ternary(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]), *e = c.source(in.s[2]);
  for_lanes(c.mask,
            [=](int lane) { write<R>(d, lane, Operation{}(read<T>(a, lane), read<T>(b, lane), read<T>(e, lane))); });
  return Next::next;
}

}  // namespace isa
}  // namespace emu
