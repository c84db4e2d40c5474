#include "ptx/describe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace emu::ptx {
namespace {

class Describer {
 public:
  Describer(const Module& module, std::string& out) : module_(module), out_(out) {}

  void module() {
    add(".version {}.{}\n.target {}\n.address_size {}\n", module_.version_major, module_.version_minor, module_.target,
        module_.address_bits);
    // All functions first: initial values and calls may name any of them.
    for (const Function& function : module_.functions)
      if (!function.is_kernel) header(function), add(";\n");
    for (const Variable& each : module_.variables) {
      if (each.external) add(".extern ");
      variable(each, each.name);
    }
    for (const Function& function : module_.functions)
      if (function.has_body) body(function);
    for (const Function& function : module_.functions)
      if (function.alias_of != no_index)
        add(".alias {}, {};\n", function.name, module_.functions[function.alias_of].name);
  }

  void instruction(const Function& function, const Instruction& instruction) {
    function_ = &function;
    if (instruction.guard != no_index) add("@{}%v{} ", instruction.guard_negated ? "!" : "", instruction.guard);
    add("{}", module_.opcode_of(instruction).text);
    if (instruction.control == Control::call) return call(function.calls[instruction.call]);
    if (instruction.operand_count > 0) add(" ");
    list(function.operands_of(instruction));
  }

 private:
  template <class... Args> void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  void parameters(const std::vector<Parameter>& parameters) {
    add("(");
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& each = parameters[i];
      add("{}.param .align {} .{} {}", i ? ", " : "", each.alignment, name_of(each.type), each.name);
      if (each.is_array) add("[{}]", each.size / static_cast<std::uint64_t>(bytes_of(each.type)));
    }
    add(")");
  }

  void limit(const char* directive, const std::array<Index, 3>& extents) {
    if (extents[0] != 0) add(" {} {}, {}, {}", directive, extents[0], extents[1], extents[2]);
  }

  void limit(const char* directive, Index value) {
    if (value != 0) add(" {} {}", directive, value);
  }

  void header(const Function& function) {
    add("{} ", function.is_kernel ? ".entry" : ".func");
    if (!function.results.empty()) parameters(function.results);
    add(" {}", function.name);
    parameters(function.parameters);
    const LaunchBounds& bounds = function.bounds;
    limit(".maxntid", bounds.max_threads);
    limit(".reqntid", bounds.required_threads);
    limit(".reqnctapercluster", bounds.required_cluster);
    limit(".minnctapersm", bounds.min_ctas_per_sm);
    limit(".maxnreg", bounds.max_registers);
    limit(".maxclusterrank", bounds.max_cluster_rank);
    if (bounds.explicit_cluster) add(" .explicitcluster");
    if (bounds.blocks_are_clusters) add(" .blocksareclusters");
    if (function.no_return) add(" .noreturn");
  }

  template <class Label> void variable(const Variable& variable, const Label& name) {
    const auto element = static_cast<std::uint64_t>(bytes_of(variable.type));
    add(".{}{} .align {} .{} {}", name_of(variable.space), variable.managed ? " .attribute(.managed)" : "",
        variable.alignment, name_of(variable.type), name);
    if (variable.size == 0)
      add("[]");
    else if (variable.size != element)
      add("[{}]", variable.size / element);
    if (!variable.initial.empty()) initial_value(variable, element);
    add(";\n");
  }

  void initial_value(const Variable& variable, std::uint64_t element) {
    const bool is_list = variable.size != element;
    add(" = {}", is_list ? "{" : "");
    auto relocation = variable.relocations.begin();
    for (std::uint64_t at = 0; at < variable.initial.size(); at += element) {
      if (at > 0) add(", ");
      if (relocation != variable.relocations.end() && relocation->offset == at) {
        symbol_value(*relocation++);
        continue;
      }
      std::uint64_t value = 0;
      std::memcpy(&value, variable.initial.data() + at, std::min<std::uint64_t>(element, 8));
      add("0x{:x}", value);
    }
    if (is_list) add("}}");
  }

  void symbol_value(const Relocation& relocation) {
    const std::string_view name = relocation.symbol == SymbolKind::function ? module_.functions[relocation.index].name
                                                                            : module_.variables[relocation.index].name;
    if (relocation.bytes == 1) add("0x{:x}(", std::uint64_t{0xFF} << relocation.shift);
    if (relocation.generic)
      add("generic({})", name);
    else
      add("{}", name);
    if (relocation.addend != 0) add("+{}", relocation.addend);
    if (relocation.bytes == 1) add(")");
  }

  void body(const Function& function) {
    function_ = &function;
    header(function);
    add("\n{{\n");
    for (std::size_t i = 0; i < function.registers.size(); ++i)
      add(".reg .{} %v{};\n", name_of(function.registers[i].type), i);
    for (std::size_t i = 0; i < function.variables.size(); ++i) variable(function.variables[i], fmt::format("$v{}", i));
    std::vector<bool> is_target(function.instructions.size(), false);
    for (const Operand& operand : function.operands)
      if (operand.kind == OperandKind::label) is_target[operand.index] = true;
    for (std::size_t i = 0; i < function.branch_tables.size(); ++i) {
      add("$T{}: .branchtargets ", i);
      const auto& targets = function.branch_tables[i].targets;
      for (std::size_t t = 0; t < targets.size(); ++t) {
        add("{}$L{}", t ? ", " : "", targets[t]);
        is_target[targets[t]] = true;
      }
      add(";\n");
    }
    for (std::size_t i = 0; i < function.prototypes.size(); ++i) {
      add("$P{}: .callprototype ", i);
      if (!function.prototypes[i].results.empty()) parameters(function.prototypes[i].results);
      add(" _ ");
      parameters(function.prototypes[i].parameters);
      add(";\n");
    }
    call_targets(function);
    for (std::size_t i = 0; i < function.instructions.size(); ++i) {
      if (is_target[i]) add("$L{}:\n", i);
      instruction(function, function.instructions[i]);
      add(";\n");
    }
    add("}}\n");
  }

  void call_targets(const Function& function) {
    for (std::size_t i = 0; i < function.calls.size(); ++i) {
      const auto& targets = function.calls[i].targets;
      if (targets.empty()) continue;
      add("$C{}: .calltargets ", i);
      for (std::size_t t = 0; t < targets.size(); ++t) add("{}{}", t ? ", " : "", module_.functions[targets[t]].name);
      add(";\n");
    }
  }

  void call(const Call& call) {
    add(" ");
    if (call.result_count > 0) {
      add("(");
      list({function_->operands.data() + call.first_result, call.result_count});
      add("), ");
    }
    if (call.callee != no_index)
      add("{}", module_.functions[call.callee].name);
    else
      add("%v{}", call.callee_register);
    if (call.argument_count > 0) {
      add(", (");
      list({function_->operands.data() + call.first_argument, call.argument_count});
      add(")");
    }
    if (call.prototype != no_index) add(", $P{}", call.prototype);
    if (!call.targets.empty()) add(", $C{}", &call - function_->calls.data());
  }

  void list(std::span<const Operand> operands) {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (i > 0) add(", ");
      operand(operands[i]);
    }
  }

  /// A register or a symbol.
  void base(const Operand& operand) {
    switch (operand.symbol) {
      case SymbolKind::none: add("%v{}", operand.index); break;
      case SymbolKind::variable: add("{}", module_.variables[operand.index].name); break;
      case SymbolKind::local: add("$v{}", operand.index); break;
      case SymbolKind::parameter: add("{}", function_->parameters[operand.index].name); break;
      case SymbolKind::result: add("{}", function_->results[operand.index].name); break;
      case SymbolKind::function: add("{}", module_.functions[operand.index].name); break;
    }
  }

  void operand(const Operand& operand) {
    if (operand.negated) add("!");
    switch (operand.kind) {
      case OperandKind::reg: add("%v{}", operand.index); break;
      case OperandKind::integer: add("{}", operand.value); break;
      case OperandKind::floating:
        if (operand.bits == 32)
          add("0f{:08X}", static_cast<std::uint32_t>(operand.value));
        else
          add("0d{:016X}", static_cast<std::uint64_t>(operand.value));
        break;
      case OperandKind::special: add("{}", name_of(operand.special)); break;
      case OperandKind::symbol:
        base(operand);
        if (operand.value != 0) add("+{}", operand.value);
        break;
      case OperandKind::address: address(operand); break;
      case OperandKind::vector:
        add("{{");
        list(function_->elements_of(operand));
        add("}}");
        break;
      case OperandKind::pair: {
        const auto elements = function_->elements_of(operand);
        this->operand(elements[0]);
        add("|");
        this->operand(elements[1]);
        break;
      }
      case OperandKind::sink: add("_"); break;
      case OperandKind::label: add("$L{}", operand.index); break;
      case OperandKind::branch_table: add("$T{}", operand.index); break;
    }
  }

  void address(const Operand& operand) {
    add("[");
    if (operand.index == no_index) {
      add("{}", operand.value);
    } else {
      base(operand);
      if (operand.value != 0) add("+{}", operand.value);
    }
    if (operand.count > 0) {
      add(", ");
      list(function_->elements_of(operand));
    }
    add("]");
  }

  const Module& module_;
  std::string& out_;
  const Function* function_ = nullptr;
};

}  // namespace

std::string describe(const Module& module) {
  std::string out;
  Describer(module, out).module();
  return out;
}

std::string describe(const Module& module, const Function& function, const Instruction& instruction) {
  std::string out;
  Describer(module, out).instruction(function, instruction);
  return out;
}

}  // namespace emu::ptx
