#pragma once

#include "isa/binder.hpp"

namespace emu::isa {

/// The state space that an opcode names; generic if it names none.
Window window_of(const Binder& b);

}  // namespace emu::isa
