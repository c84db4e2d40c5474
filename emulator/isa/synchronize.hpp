#pragma once

#include <bit>

#include "machine/state.hpp"

// What instructions that wait have in common.
namespace emu::isa {

/// Whether all of `lanes` that live execute the instruction. If not, the group waits until they do: the handler returns
/// Next::block, and is called again.
inline bool gather(Context& c, std::uint32_t lanes) {
  const std::uint32_t missing = lanes & c.warp->live & ~c.mask;
  if (missing == 0) return true;
  if (c.group->resumed == machine::Wait::lanes)
    machine::fail(machine::FaultKind::hazard,
                  "lanes {:#010x} must execute the instruction too, but their guard is false", missing);
  c.group->wait = machine::Wait::lanes;
  c.group->lanes = lanes;
  c.group->address = c.group->value = 0;
  return false;
}
/// .aligned: all lanes of the warp.
inline bool gather_warp(Context& c) { return gather(c, c.warp->live); }

/// The group waits, and the handler is called again with Group::resumed == `wait`.
inline Next wait_for(Context& c, machine::Wait wait, std::uint64_t address, std::uint64_t value,
                     std::uint32_t cta = 0) {
  c.group->wait = wait;
  c.group->address = address;
  c.group->value = value;
  c.group->cta = cta;
  return Next::block;
}

/// The lanes exit: control.cpp.
Next leave(Context& c, const Decoded& in);

/// The value in the first lane that executes the instruction.
template <class T> T first_value(const Context& c, const Source& source) {
  return read<T>(c.source(source), std::countr_zero(c.mask));
}

/// Whether all lanes that execute the instruction have that value.
template <class T> bool is_uniform(const Context& c, const Source& source) {
  const std::byte* at = c.source(source);
  const auto first = first_value<T>(c, source);
  T differing = 0;
  for_lanes(c.mask, [&](int lane) { differing |= read<T>(at, lane) ^ first; });
  return differing == 0;
}

}  // namespace emu::isa
