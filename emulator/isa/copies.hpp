#pragma once

#include <fmt/format.h>
#include <span>
#include <utility>

#include "isa/binder.hpp"
#include "isa/checks.hpp"
#include "machine/state.hpp"

// What copies into shared memory have in common.
namespace emu::isa {

inline std::uint32_t shared_address(std::uint64_t address) { return machine::shared_address(Window::generic, address); }

inline machine::SharedLocation locate(Context& c, std::uint64_t address, std::uint32_t alignment) {
  return machine::locate_shared(*c.cta, shared_address(address), 1, alignment);
}

/// The CTA's memory from the location on, if the bytes lie in it.
inline std::span<std::byte> bytes_at(const machine::SharedLocation& at, std::uint64_t bytes) {
  if (bytes > at.cta->shared.size() - at.offset)
    machine::fail(machine::FaultKind::illegal_address, "{} bytes at shared address {:#x} leave the memory of the CTA",
                  bytes, at.offset);
  return at.cta->shared.subspan(at.offset, bytes);
}

/// Does what lands in shared memory, now or as late as can be, and signals it at the barrier.
template <class Move> void land(Context& c, const Decoded& in, const machine::SharedLocation& barrier_at,
                                check::Time phase, std::uint32_t bytes, Move&& move) {
  const check::Site site = site_of(c, in);
  const machine::Program* program = c.program;
  auto all = [=, move = std::forward<Move>(move)] {
    try {
      move();
    } catch (const machine::Fault& fault) {
      throw machine::Fault(fault.kind, fmt::format("{}: {}", program->describe(site.where), fault.what()));
    }
    if (check::Checker* checker = barrier_at.cta->cluster->checker.get())
      checker->copy_landed(site, machine::shared_address_of(barrier_at), phase, bytes);
    machine::complete_transactions(barrier_at, bytes);
  };
  if (c.grid->options.late_loads)
    c.cluster->late.emplace_back(std::move(all));
  else
    all();
}

/// cp.async of 4, 8 or 16 bytes a thread, its groups, and its arrival at an mbarrier: small_copies.cpp.
bool bind_small_copy(Binder& b);
/// st.async and red.async: store_async.cpp.
bool bind_st_async(Binder& b);
bool bind_red_async(Binder& b);

}  // namespace emu::isa
