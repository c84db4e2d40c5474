#pragma once

namespace ckl::bench {

/// From now on Ctrl-C only sets interrupted(): the case at hand is finished, and the rest is left out. A second Ctrl-C ends the
/// program at once.
void listen_for_interrupts();

bool interrupted();

}  // namespace ckl::bench
