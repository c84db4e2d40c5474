#include "isa/checks.hpp"

#include <fmt/format.h>

namespace emu::isa {

Next check_registers(Context& c, const Decoded& in) {
  const machine::RegisterTouch& touch = c.program->touches[in.touch];
  if (c.checker) {
    machine::Warp& warp = *c.warp;
    if (!warp.in_flight.empty()) {
      const char* what = nullptr;
      for (const std::uint32_t slot : touch.reads)
        if (warp.in_flight.conflicts_with_read(slot)) what = "reads an accumulator";
      for (const std::uint32_t slot : touch.writes)
        if (warp.in_flight.conflicts_with_write(slot)) what = "writes a register";
      if (what)
        c.checker->report(check::Hazard::registers_in_flight, site_of(c, in), warp.in_flight.where(), [&] {
          return fmt::format("{} of the wgmma issued at {} with no wgmma.wait_group before", what,
                             c.program->place(warp.in_flight.where()));
        });
    }
    for (const std::uint32_t slot : touch.to_fence) warp.unfenced.write(slot, in.where);
  }
  return touch.handler(c, in);
}

}  // namespace emu::isa
