#pragma once

#include "machine/state.hpp"

// How handlers tell the checker what they do.
namespace emu::isa {

inline check::Site site_of(const Context& c, const Decoded& in) { return machine::site_of(*c.warp, in.where); }

/// Checks the registers that an instruction touches against the wgmmas in flight, and executes it.
Next check_registers(Context& c, const Decoded& in);

}  // namespace emu::isa
