// Every function of the toolkit's libcudart, so that any program loads. A stub is weak: what the emulator implements takes
// its place at link time. A stub names itself on stderr and returns cudaErrorNotSupported, whatever its parameters are
// (the caller's registers hold them, and the caller cleans up).

namespace emu {
int not_supported_stub(const char* name) noexcept;
}

#define CKL_EMU_STUB(name) \
  extern "C" __attribute__((weak, visibility("default"))) int name() { return emu::not_supported_stub(#name); }
#include "cudart_symbols.inc"
