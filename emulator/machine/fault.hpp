#pragma once

#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace emu::machine {

/// What a kernel did that ends its launch; each becomes an error of the runtime.
enum class FaultKind { illegal_address, misaligned_address, illegal_instruction, trap, assertion, deadlock, hazard };

/// Thrown by what executes an instruction; the scheduler adds the kernel, the place and the warp.
struct Fault : std::runtime_error {
  Fault(FaultKind fault, const std::string& what) : std::runtime_error(what), kind(fault) {}
  FaultKind kind;
};

template <class... A> [[noreturn]] void fail(FaultKind kind, fmt::format_string<A...> format, A&&... arguments) {
  throw Fault(kind, fmt::format(format, std::forward<A>(arguments)...));
}

}  // namespace emu::machine
