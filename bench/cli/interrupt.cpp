#include "cli/interrupt.hpp"

#include <csignal>

namespace ckl::bench {

namespace {
volatile std::sig_atomic_t seen = 0;
}  // namespace

void listen_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { seen = 1; };
  action.sa_flags = int(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return seen != 0; }

}  // namespace ckl::bench
