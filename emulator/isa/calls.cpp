#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>

#include "isa/dispatch.hpp"
#include "isa/synchronize.hpp"

// PTX ISA 9.7.12: call and ret, and the functions that CUDA's compiler calls and the device's runtime has: vprintf, __assertfail.
//
// Each lane has a stack of calls. Arguments and results are copied between the frames of caller and callee in local memory.
// The registers of a function have one place; where it may be called while it runs, a call saves what is there.
namespace emu::isa {

namespace {

using machine::CallSite;
using machine::FaultKind;
using machine::FunctionCode;
using machine::Group;
using machine::Wait;
using machine::Warp;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

// ---- Frames ----

std::uint64_t* frame_bases(const Context& c) {
  return reinterpret_cast<std::uint64_t*>(c.bases[0] + c.program->frame_bases);
}

std::byte* local_at(const Context& c, int lane, U64 address) {
  return c.warp->local + static_cast<U64>(lane) * c.program->local_bytes + address;
}

/// The registers of the function, all lanes.
std::shared_ptr<const std::vector<std::byte>> save_registers(const Context& c, const FunctionCode& callee) {
  const std::byte* from = c.bases[0] + callee.registers;
  return std::make_shared<const std::vector<std::byte>>(from, from + callee.register_bytes);
}

/// One lane of them.
void restore_registers(const Context& c, const FunctionCode& callee, const std::vector<std::byte>& saved, int lane) {
  std::byte* to = c.bases[0] + callee.registers;
  for (U32 slot = 0; slot < callee.slots[0]; ++slot) {
    const std::size_t at = callee.first[0] + slot * 4;
    U32 now, before;
    std::memcpy(&now, to + at, 4);
    std::memcpy(&before, saved.data() + at, 4);
    now = (now & ~(1u << lane)) | (before & 1u << lane);
    std::memcpy(to + at, &now, 4);
  }
  for (std::size_t size_class = 1; size_class < 4; ++size_class) {
    const std::size_t bytes = std::size_t{2} << size_class;  // of a lane: 4, 8, 16
    for (U32 slot = 0; slot < callee.slots[size_class]; ++slot) {
      const std::size_t at = callee.first[size_class] + (slot * lanes + static_cast<std::size_t>(lane)) * bytes;
      std::memcpy(to + at, saved.data() + at, bytes);
    }
  }
}

// ---- call and ret ----

/// The lanes enter `callee`: a group of its own.
Group enter(Context& c, const Decoded& in, U32 entering, const FunctionCode& callee) {
  const CallSite& site = c.program->calls[in.target];
  const FunctionCode& caller = c.program->functions[site.caller];
  const auto& parameters = callee.function->parameters;
  if (parameters.size() != site.arguments.size() || callee.function->results.size() != site.results.size())
    machine::fail(FaultKind::illegal_instruction,
                  "{} takes {} parameters and gives {} results, but the call has {} and {}", callee.function->name,
                  parameters.size(), callee.function->results.size(), site.arguments.size(), site.results.size());
  const auto saved = c.program->is_reentrant ? save_registers(c, callee) : nullptr;
  const auto number = static_cast<U32>(&callee - c.program->functions.data());
  for (U32 rest = entering; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    U64& frame = frame_bases(c)[lane];
    const U64 below = frame;
    frame += caller.frame_bytes;
    if (frame + callee.frame_bytes > c.program->local_bytes)
      machine::fail(FaultKind::illegal_address, "stack overflow: {} calls deep, {} bytes",
                    c.warp->frames[lane].size() + 1, frame + callee.frame_bytes);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      std::memcpy(local_at(c, lane, frame + callee.params + parameters[i].offset),
                  local_at(c, lane, below + site.arguments[i].offset),
                  std::min<std::size_t>(parameters[i].size, site.arguments[i].size));
    c.warp->frames[lane].push_back({in.target, c.group->pc + 1, number, saved});
  }
  return {callee.begin, entering};
}

Next call(Context& c, const Decoded& in) {
  std::vector<Group> parts = {enter(c, in, c.mask, *c.program->code_of(c.program->calls[in.target].callee))};
  return replace_lanes(c, parts);
}

/// Each lane calls the function whose address it has.
Next call_indirect(Context& c, const Decoded& in) {
  const std::byte* addresses = c.source(in.s[0]);
  std::vector<Group> parts;
  for (U32 rest = c.mask; rest;) {
    const auto address = read<U64>(addresses, std::countr_zero(rest));
    U32 same = 0;
    for (U32 others = rest; others; others &= others - 1) {
      const int lane = std::countr_zero(others);
      if (read<U64>(addresses, lane) == address) same |= 1u << lane;
    }
    rest &= ~same;
    const FunctionCode* callee = (address & machine::tag_mask) == machine::function_tag
                                     ? c.program->code_of(static_cast<ptx::Index>((address & ~machine::tag_mask) / 16))
                                     : nullptr;
    if (!callee) machine::fail(FaultKind::illegal_address, "{:#x} is not the address of a function", address);
    parts.push_back(enter(c, in, same, *callee));
  }
  return replace_lanes(c, parts);
}

/// Back to where each lane came from.
Next return_from(Context& c, const Decoded&) {
  std::vector<Group> parts;
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    auto& frames = c.warp->frames[lane];
    const Warp::Frame frame = std::move(frames.back());
    frames.pop_back();
    const CallSite& site = c.program->calls[frame.call];
    const FunctionCode& callee = c.program->functions[frame.callee];
    U64& base = frame_bases(c)[lane];
    const U64 above = base;
    base -= c.program->functions[site.caller].frame_bytes;
    for (std::size_t i = 0; i < site.results.size(); ++i)
      std::memcpy(local_at(c, lane, base + site.results[i].offset),
                  local_at(c, lane, above + callee.results + callee.function->results[i].offset),
                  std::min<std::size_t>(site.results[i].size, callee.function->results[i].size));
    if (frame.saved) restore_registers(c, callee, *frame.saved, lane);
    auto part = std::ranges::find(parts, frame.back, &Group::pc);
    if (part == parts.end()) part = parts.insert(part, Group{frame.back, 0});
    part->mask |= 1u << lane;
  }
  return replace_lanes(c, parts);
}

// ---- Functions that the device's runtime has ----

/// A value of the call's argument `i` in the caller's frame.
template <class T> T argument(const Context& c, const Decoded& in, int lane, std::size_t i) {
  T value;
  std::memcpy(&value, local_at(c, lane, frame_bases(c)[lane] + c.program->calls[in.target].arguments[i].offset),
              sizeof(T));
  return value;
}

template <class T> T read_memory(Context& c, int lane, U64 address) {
  T value;
  std::memcpy(&value, machine::place_of(c, Window::generic, lane, address, sizeof(T), sizeof(T)).pointer, sizeof(T));
  return value;
}

std::string read_string(Context& c, int lane, U64 address) {
  std::string text;
  while (const char letter = read_memory<char>(c, lane, address++)) text += letter;
  return text;
}

template <class T> std::string print(const std::string& format, T value) {
  const int size = std::snprintf(nullptr, 0, format.c_str(), value);
  std::string text(static_cast<std::size_t>(std::max(size, 0)), '\0');
  std::snprintf(text.data(), text.size() + 1, format.c_str(), value);
  return text;
}

/// What printf makes of a format and of arguments that lie one after the other, each at a multiple of its size.
std::string formatted(Context& c, int lane, U64 format_address, U64 arguments) {
  const std::string format = read_string(c, lane, format_address);
  std::string text;
  const auto next = [&]<class T>(std::type_identity<T>) {
    arguments = (arguments + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    const T value = read_memory<T>(c, lane, arguments);
    arguments += sizeof(T);
    return value;
  };
  for (std::size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      text += format[at++];
      continue;
    }
    std::size_t end = at + 1;
    std::string spec = "%";
    bool is_long = false;
    for (; end < format.size() && std::strchr("-+ #0123456789.*hlLjzt", format[end]); ++end) {
      if (format[end] == '*')
        spec += std::to_string(next(std::type_identity<int>()));
      else if (std::strchr("ljzt", format[end]))
        is_long = true;  // 64 bits, as long is on the host
      else if (format[end] != 'L')
        spec += format[end];
    }
    if (end == format.size()) return text + format.substr(at);
    const char kind = format[end];
    at = end + 1;
    if (kind == '%') {
      text += '%';
    } else if (std::strchr("diouxX", kind)) {
      text += is_long ? print(spec + "ll" + kind, static_cast<long long>(next(std::type_identity<std::int64_t>())))
                      : print(spec + kind, next(std::type_identity<int>()));
    } else if (kind == 'c') {
      text += print(spec + kind, next(std::type_identity<int>()));
    } else if (std::strchr("aAeEfFgG", kind)) {
      text += print(spec + kind, next(std::type_identity<double>()));
    } else if (kind == 's') {
      text += print(spec + kind, read_string(c, lane, next(std::type_identity<U64>())).c_str());
    } else if (kind == 'p') {
      text += print(spec + kind, reinterpret_cast<void*>(next(std::type_identity<U64>())));
    } else {
      text += format.substr(end - spec.size() + 1, spec.size());
    }
  }
  return text;
}

/// vprintf(format, arguments): one write for each lane, so that those of other threads do not come between.
Next call_printf(Context& c, const Decoded& in) {
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::string text = formatted(c, lane, argument<U64>(c, in, lane, 0), argument<U64>(c, in, lane, 1));
    std::fwrite(text.data(), 1, text.size(), stdout);
    const auto size = static_cast<std::int32_t>(text.size());
    for (const CallSite::Bytes& result : c.program->calls[in.target].results)
      std::memcpy(local_at(c, lane, frame_bases(c)[lane] + result.offset), &size, sizeof(size));
  }
  return Next::next;
}

/// __assertfail(message, file, line, function, size of a character).
Next call_assertfail(Context& c, const Decoded& in) {
  const int lane = std::countr_zero(c.mask);
  const U32 thread = c.warp->number * 32 + static_cast<U32>(lane);
  const machine::Dim3& block = c.grid->block;
  machine::fail(FaultKind::assertion, "{}:{}: {}: block: [{},{},{}], thread: [{},{},{}] Assertion `{}` failed.",
                read_string(c, lane, argument<U64>(c, in, lane, 1)), argument<U32>(c, in, lane, 2),
                read_string(c, lane, argument<U64>(c, in, lane, 3)), c.cta->index[0], c.cta->index[1], c.cta->index[2],
                thread % block.x, thread / block.x % block.y, thread / (block.x * block.y),
                read_string(c, lane, argument<U64>(c, in, lane, 0)));
}

// ---- Decoding ----

/// A call that is never reached does no harm, so that it fails only when it is executed.
Next call_missing(Context& c, const Decoded& in) {
  machine::fail(FaultKind::illegal_instruction, "{} is a function without a body, which is not modelled",
                c.program->module->functions[c.program->calls[in.target].callee].name);
}

bool bind_call(Binder& b) {
  const ptx::Call& site = b.function.calls[b.instruction.call];
  b.out.target = b.call(site);
  if (site.callee == ptx::no_index) {
    ptx::Operand address;
    address.kind = ptx::OperandKind::reg;
    address.index = site.callee_register;
    b.source(0, address, Type::b64);
    return b.handle(call_indirect);
  }
  const ptx::Function& callee = b.module.functions[site.callee];
  if (callee.has_body) return b.handle(call);
  if (callee.name == "vprintf" && site.argument_count == 2) return b.handle(call_printf);
  if (callee.name == "__assertfail" && site.argument_count == 5) return b.handle(call_assertfail);
  return b.handle(call_missing);
}

bool bind_return(Binder& b) {
  if (b.operand_count() != 0) return false;
  return b.handle(b.function.is_kernel ? leave : return_from);
}

}  // namespace

void register_calls(Registry& registry) {
  registry.add("call", bind_call);
  registry.add("ret", bind_return);
}

}  // namespace emu::isa
