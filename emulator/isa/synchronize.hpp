#pragma once

#include <bit>
#include <vector>

#include "machine/state.hpp"

// What instructions that wait, or send lanes elsewhere, have in common.
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

/// Calls body() for those lanes at a time that name the same members, with c.mask set to them, when all members that live are
/// there. Lanes that name others may execute the instruction at the same time; they do not wait for each other.
template <class Body> Next among_members(Context& c, const Source& source, Body&& body) {
  const std::byte* at = c.source(source);
  const std::uint32_t all = c.mask, live = c.warp->live;
  if (const auto first = read<std::uint32_t>(at, std::countr_zero(all)); (first & live) == all) {
    std::uint32_t differing = 0;
    for_lanes(all, [&](int lane) { differing |= read<std::uint32_t>(at, lane) ^ first; });
    if (differing == 0) {
      body();
      return Next::next;
    }
  }
  std::uint32_t parts[lanes], waiting = 0, missing = 0;
  int count = 0;
  for (std::uint32_t rest = all; rest;) {
    const auto members = read<std::uint32_t>(at, std::countr_zero(rest));
    std::uint32_t part = 0;
    for (std::uint32_t others = rest; others; others &= others - 1) {
      const int lane = std::countr_zero(others);
      if (read<std::uint32_t>(at, lane) == members) part |= 1u << lane;
    }
    rest &= ~part;
    if (part & ~members)
      machine::fail(machine::FaultKind::hazard,
                    "lanes {:#010x} execute the instruction for the members {:#010x}, to which they "
                    "do not belong",
                    part & ~members, members);
    if (members & live & all & ~part)
      machine::fail(machine::FaultKind::hazard, "lanes {:#010x} are among the members {:#010x}, but name others",
                    members & live & all & ~part, members);
    if (members & live & ~part) {
      waiting |= part;
      missing |= members & live & ~part;
    } else {
      parts[count++] = part;
    }
  }
  if (waiting == all) {
    gather(c, missing | all);
    return Next::block;
  }
  if (waiting) {  // the others go on without them
    c.group->mask &= ~waiting;
    c.group->resumed = machine::Wait::lanes;
    machine::Group rest = *c.group;
    rest.mask = waiting;
    rest.resumed = machine::Wait::none;
    rest.wait = machine::Wait::lanes;
    rest.lanes = waiting | missing;
    rest.address = rest.value = 0;
    c.warp->groups.push_back(rest);
    return Next::regroup;
  }
  for (int i = 0; i < count; ++i) {
    c.mask = parts[i];
    body();
  }
  c.mask = all;
  return Next::next;
}

/// Puts `parts`, of which there is at least one, in the place of the lanes that execute the instruction; the group's others go on
/// behind it.
inline Next replace_lanes(Context& c, std::vector<machine::Group>& parts) {
  machine::Group& group = *c.group;
  group.mask &= ~c.mask;
  if (group.mask) {
    ++group.pc;
    group.resumed = machine::Wait::none;
  } else {
    group = parts.back();
    parts.pop_back();
  }
  c.warp->groups.insert(c.warp->groups.end(), parts.begin(), parts.end());
  return Next::regroup;
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
