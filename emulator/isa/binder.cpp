#include "isa/binder.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <stdexcept>

namespace emu::isa {

using ptx::Operand;
using ptx::OperandKind;
using ptx::Type;

Binder::Binder(const ptx::Module& m, const ptx::Function& f, const ptx::Instruction& i, Decoded& decoded,
               ptx::RegisterRoles& roles, Environment& environment)
    : module(m), function(f), instruction(i), out(decoded), roles_(roles), environment_(environment) {
  for (const std::string_view part : opcode().parts)
    if (const Type type = ptx::type_of(part); type != Type::none) types_.push_back(type);
  out.type = type();
}

bool Binder::has(std::string_view part) const {
  return !find_part([part](std::string_view each) { return each == part; }).empty();
}

std::string_view Binder::unknown_part() const {
  // What is the default, what the operands say too, and hints, which change no result.
  static constexpr std::string_view without_effect[] = {
      "sync", "aligned", "uni",  "ca",   "cg",    "cs",    "lu",         "cv",
      "wb",   "wt",      "nc",   "weak", "cta",   "gpu",   "sys",        "cluster",
      "lo",   "approx",  "full", "tile", "b1024", "noftz", "bulk_group", "mbarrier::complete_tx::bytes",
      "sc",   "gl",      "rn"};
  for (std::size_t i = 1; i < opcode().parts.size(); ++i) {
    const std::string_view part = opcode().parts[i];
    if (known_ >> i & 1 || ptx::type_of(part) != Type::none) continue;
    if (part.starts_with("L1::") || part.starts_with("L2::") || part == "L1" || part == "L2") continue;
    if (std::ranges::find(without_effect, part) == std::end(without_effect)) return part;
  }
  return {};
}

int Binder::which(std::initializer_list<std::string_view> names) const {
  int index = 0;
  for (const std::string_view name : names) {
    if (has(name)) return index;
    ++index;
  }
  return -1;
}

void Binder::refuse(const std::string& why) const { throw std::runtime_error(why); }

const Operand& Binder::operand(std::size_t i) const {
  if (i >= operand_count()) refuse(fmt::format("operand {} is missing", i + 1));
  return operands()[i];
}

Type Binder::register_type(const Operand& operand) const {
  return operand.kind == OperandKind::reg ? function.registers[operand.index].type : Type::none;
}

int Binder::register_bytes(const Operand& operand) const {
  if (operand.kind != OperandKind::reg) return 0;
  switch (ptx::slot_class_of(register_type(operand))) {
    case ptx::SlotClass::word: return 4;
    case ptx::SlotClass::double_word: return 8;
    case ptx::SlotClass::quad_word: return 16;
    default: return 0;
  }
}

std::uint32_t Binder::make_result(const Operand& operand, bool kills) {
  if (operand.kind == OperandKind::sink) return no_register;
  if (operand.kind != OperandKind::reg) refuse("a result must be a register");
  roles_.write(operand.index, kills && instruction.guard == ptx::no_index);
  return operand.index;
}

void Binder::result(const Operand& operand) {
  if (operand.kind == OperandKind::pair) {
    const auto pair = elements(operand);
    out.d = make_result(pair[0]);
    out.d2 = make_result(pair[1]);
    out.register_bytes = static_cast<std::uint8_t>(register_bytes(pair[0]));
    return;
  }
  out.d = make_result(operand);
  out.register_bytes = static_cast<std::uint8_t>(register_bytes(operand));
}

namespace {

/// Whether the symbol lies in the function's frame in local memory.
bool in_frame(const ptx::Function& function, const Operand& operand) {
  switch (operand.symbol) {
    case ptx::SymbolKind::local: return function.variables[operand.index].space != ptx::Space::shared;
    case ptx::SymbolKind::parameter: return !function.is_kernel;
    case ptx::SymbolKind::result: return true;
    default: return false;
  }
}

}  // namespace

std::optional<std::uint64_t> Binder::offset_in_frame(int s, const Operand& operand) {
  if (!in_frame(function, operand)) return std::nullopt;
  const Source frame = environment_.frame();
  if (!frame.exists()) return std::nullopt;
  out.s[s] = frame;
  return environment_.address_of(operand) + static_cast<std::uint64_t>(operand.value);
}

Source Binder::make_source(const Operand& operand, Type type) {
  const int bytes = type == Type::pred ? 0 : ptx::bits_of(type) <= 32 ? 4 : 8;
  switch (operand.kind) {
    case OperandKind::reg: {
      roles_.read(operand.index);
      return {operand.index, source_register, operand.negated};
    }
    case OperandKind::integer: {
      std::uint64_t value = static_cast<std::uint64_t>(operand.value);
      if (type == Type::f32) refuse("an integer where a float is expected");
      const int bits = ptx::bits_of(type);
      if (bits > 0 && bits < 32) value &= (std::uint64_t{1} << bits) - 1;
      return environment_.constant(type == Type::pred ? (value ? full_mask : 0) : value, bytes);
    }
    case OperandKind::floating: {
      std::uint64_t value = static_cast<std::uint64_t>(operand.value);
      const bool wide = ptx::bits_of(type) == 64;
      if (wide && operand.bits == 32)
        value =
            std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value))));
      if (!wide && operand.bits == 64)
        value = std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(value)));
      return environment_.constant(value, bytes);
    }
    case OperandKind::special: return environment_.special(operand.special);
    case OperandKind::symbol:
      if (in_frame(function, operand) && environment_.frame().exists())
        refuse("the address of what lies in a function's frame is modelled in mov alone");
      return environment_.constant(environment_.address_of(operand) + static_cast<std::uint64_t>(operand.value), bytes);
    default: refuse("an operand of a kind that is not expected there");
  }
}

void Binder::result_and_sources(int n, Type type) {
  result(0);
  for (int i = 0; i < n; ++i) source(i, static_cast<std::size_t>(i) + 1, type);
}

void Binder::address(int s, const Operand& operand) {
  if (operand.kind != OperandKind::address) refuse("an address is expected");
  out.immediate = operand.value;
  out.address_bytes = 8;
  if (operand.has_register_base()) {
    roles_.read(operand.index);
    out.s[s] = {operand.index, source_register, false};
    out.address_bytes = static_cast<std::uint8_t>(
        ptx::slot_class_of(function.registers[operand.index].type) == ptx::SlotClass::word ? 4 : 8);
  } else if (operand.symbol != ptx::SymbolKind::none) {
    // Parameters of functions lie in their frames.
    if (out.window == Window::param && in_frame(function, operand)) out.window = Window::local;
    if (const auto offset = offset_in_frame(s, operand))
      out.immediate = static_cast<std::int64_t>(*offset);
    else
      out.s[s] = environment_.constant(environment_.address_of(operand), 8);
  } else {
    out.s[s] = environment_.constant(0, 8);
  }
}

void Binder::plain_address(int s, const Operand& operand, int bytes) {
  if (operand.kind != OperandKind::address) refuse("an address is expected");
  if (operand.has_register_base()) {
    if (operand.value != 0 ||
        (ptx::slot_class_of(function.registers[operand.index].type) == ptx::SlotClass::word ? 4 : 8) != bytes)
      refuse(fmt::format("only an address in a register of {} bits without an offset is modelled here", bytes * 8));
    roles_.read(operand.index);
    out.s[s] = {operand.index, source_register, false};
  } else {
    const std::uint64_t base = operand.symbol != ptx::SymbolKind::none ? environment_.address_of(operand) : 0;
    out.s[s] = environment_.constant(base + static_cast<std::uint64_t>(operand.value), bytes);
  }
}

void Binder::begin_list() {
  out.list_first = static_cast<std::uint32_t>(environment_.lists().size());
  out.list_size = 0;
}

void Binder::list_sources(const Operand& operand, Type type) {
  if (operand.kind == OperandKind::vector) {
    for (const Operand& element : elements(operand)) list_sources(element, type);
    return;
  }
  const Source made = operand.kind == OperandKind::sink ? Source{} : make_source(operand, type);
  environment_.lists().push_back(made);
  ++out.list_size;
}

void Binder::list_results(const Operand& operand, bool kills) {
  if (operand.kind == OperandKind::vector) {
    for (const Operand& element : elements(operand)) list_results(element, kills);
    return;
  }
  environment_.lists().push_back({make_result(operand, kills), source_register, false});
  ++out.list_size;
}

void Binder::list_accumulators(const Operand& operand) {
  for (const Operand& element : elements(operand)) {
    if (element.kind != OperandKind::reg) refuse("accumulators must be registers");
    roles_.read(element.index);
    roles_.write(element.index, false);
    environment_.lists().push_back({element.index, source_register, false});
    ++out.list_size;
  }
}

std::int64_t Binder::immediate_of(std::size_t i) const {
  if (operand(i).kind != OperandKind::integer) refuse(fmt::format("operand {} must be a constant", i + 1));
  return operand(i).value;
}

const Registry& Registry::instance() {
  static const Registry registry = [] {
    Registry all;
    register_arithmetic(all);
    register_bits(all);
    register_conversion(all);
    register_moves(all);
    register_control(all);
    register_calls(all);
    register_memory(all);
    register_warp(all);
    register_mbarrier(all);
    register_copies(all);
    register_matrix(all);
    return all;
  }();
  return registry;
}

}  // namespace emu::isa
