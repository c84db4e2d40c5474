#include "machine/program.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "isa/binder.hpp"
#include "isa/checks.hpp"
#include "machine/windows.hpp"
#include "ptx/analysis.hpp"

namespace emu::machine {

using isa::Decoded;
using isa::Source;

namespace {

/// Stack for functions whose depth is not known: of recursion and of indirect calls.
constexpr std::uint64_t deep_stack_bytes = 16 * 1024;

/// What the functions of a kernel share while they are decoded.
struct Shared {
  const ptx::Module& module;
  const LoadedModule& loaded;
  Program& program;
  std::map<std::pair<std::uint64_t, int>, Source> constants;
};

std::uint32_t aligned(std::uint64_t bytes) { return static_cast<std::uint32_t>((bytes + 15) / 16 * 16); }

/// Binds the instructions of one function and gives its registers places.
class FunctionDecoder final : public isa::Binder::Environment {
 public:
  FunctionDecoder(Shared& shared, ptx::Index function)
      : shared_(shared),
        module_(shared.module),
        index_(function),
        function_(shared.module.functions[function]),
        program_(shared.program) {}

  /// Appends the function's code to the program; its registers start at `registers` bytes in the register file.
  FunctionCode decode(std::uint32_t registers) {
    code_.function = &function_;
    code_.index = index_;
    code_.begin = static_cast<std::uint32_t>(program_.code.size());
    code_.end = code_.begin + static_cast<std::uint32_t>(function_.instructions.size());
    code_.registers = registers;
    code_.call_params = aligned(function_.local_bytes);
    code_.params = code_.call_params + aligned(function_.call_param_bytes);
    code_.results = code_.params + (function_.is_kernel ? 0 : aligned(function_.parameter_bytes));
    code_.frame_bytes = code_.results + aligned(function_.result_bytes);
    first_list_ = program_.lists.size();
    program_.code.resize(code_.end);
    for (ptx::Index i = 0; i < function_.instructions.size(); ++i) bind(i);
    analysis_.emplace(ptx::analyze(function_, roles_, steps_));
    constexpr std::uint32_t slot_bytes[] = {4, 4 * isa::lanes, 8 * isa::lanes, 16 * isa::lanes};
    for (int c = 0; c < 4; ++c) {
      code_.slots[c] = analysis_->slots.count[c];
      code_.first[c] = code_.register_bytes;
      code_.register_bytes += (code_.slots[c] * slot_bytes[c] + 63) / 64 * 64;
    }
    return code_;
  }

  /// Turns numbers of registers into places, when all functions have been decoded.
  void place_registers() {
    const auto place = [&](std::uint32_t& reg) {
      if (reg != isa::no_register) reg = offset_of(reg);
    };
    const auto place_source = [&](Source& source) {
      if (source.base == isa::source_register) {
        place(source.offset);
        source.base = 0;
      } else if (source.base == isa::source_special) {
        source.offset = program_.register_bytes + source.offset * Program::special_bytes;
        source.base = 0;
      }
    };
    for (std::uint32_t i = code_.begin; i < code_.end; ++i) {
      Decoded& decoded = program_.code[i];
      place(decoded.guard);
      place(decoded.d);
      place(decoded.d2);
      for (Source& source : decoded.s)
        if (source.exists()) place_source(source);
    }
    for (std::size_t i = first_list_; i < end_list_; ++i)
      if (program_.lists[i].exists()) place_source(program_.lists[i]);
    for (const auto& [number, i] : wgmmas_) {
      // The list of a wgmma: its accumulators, then A.
      const Decoded& decoded = program_.code[code_.begin + i];
      WgmmaSite& site = program_.wgmmas[number];
      for (std::uint32_t l = 0; l < decoded.list_size; ++l)
        (l < site.kind.accumulator_registers() ? site.accumulators : site.a)
            .push_back(program_.lists[decoded.list_first + l].offset);
    }
  }

  /// Instructions that read or write registers of wgmmas get a handler that checks that first. `slots`: numbers by offset.
  void find_touches(const std::unordered_map<std::uint32_t, std::uint32_t>& slots) {
    std::size_t next_wgmma = 0;
    for (std::uint32_t i = 0; i < function_.instructions.size(); ++i) {
      if (next_wgmma < wgmmas_.size() && wgmmas_[next_wgmma].second == i) {
        ++next_wgmma;
        continue;
      }
      RegisterTouch touch;
      const bool is_move = module_.opcode_of(function_.instructions[i]).name() == "mov";
      for (const auto& item : roles_.of(i)) {
        if (ptx::slot_class_of(function_.registers[item.reg].type) != ptx::SlotClass::word) continue;
        const auto slot = slots.find(offset_of(item.reg));
        if (slot == slots.end()) continue;
        const bool reads = item.role == ptx::RegisterRoles::Role::read;
        (reads ? touch.reads : touch.writes).push_back(slot->second);
        if (!reads && !is_move && wgmma_registers_.contains(item.reg)) touch.to_fence.push_back(slot->second);
      }
      if (touch.reads.empty() && touch.writes.empty()) continue;
      Decoded& decoded = program_.code[code_.begin + i];
      touch.handler = decoded.handler;
      decoded.handler = isa::check_registers;
      decoded.touch = static_cast<std::uint32_t>(program_.touches.size());
      program_.touches.push_back(std::move(touch));
    }
  }

  std::uint64_t address_of(const ptx::Operand& operand) override {
    switch (operand.symbol) {
      case ptx::SymbolKind::variable: {
        const ptx::Variable& variable = module_.variables[operand.index];
        if (variable.space == ptx::Space::shared)
          return shared_base + program_.shared.offset_of(ptx::no_index, operand.index);
        return shared_.loaded.address_of(operand.index);
      }
      case ptx::SymbolKind::local: {
        const ptx::Variable& variable = function_.variables[operand.index];
        if (variable.space == ptx::Space::shared) return shared_base + program_.shared.offset_of(index_, operand.index);
        return variable.offset + (variable.space == ptx::Space::param ? code_.call_params : 0);
      }
      case ptx::SymbolKind::parameter:
        return function_.parameters[operand.index].offset + (function_.is_kernel ? 0 : code_.params);
      case ptx::SymbolKind::result: return function_.results[operand.index].offset + code_.results;
      case ptx::SymbolKind::function: return function_tag | std::uint64_t{operand.index} * 16;
      default: throw std::runtime_error("the operand has no address");
    }
  }

  Source constant(std::uint64_t value, int bytes) override {
    const auto [at, is_new] = shared_.constants.try_emplace({value, bytes}, Source{});
    if (is_new) {
      auto& constants = program_.constants;
      at->second = {static_cast<std::uint32_t>(constants.size()), 1, false};
      const std::size_t lane_bytes = bytes == 0 ? 4 : static_cast<std::size_t>(bytes);
      const std::size_t lanes = bytes == 0 ? 1 : isa::lanes;
      constants.resize(constants.size() + (lanes * lane_bytes + 63) / 64 * 64);
      for (std::size_t lane = 0; lane < lanes; ++lane)
        std::memcpy(constants.data() + at->second.offset + lane * lane_bytes, &value, lane_bytes);
    }
    return at->second;
  }

  Source special(ptx::SpecialRegister special) override {
    auto& specials = program_.specials;
    std::uint32_t i = 0;
    while (i < specials.size() && specials[i] != special) ++i;
    if (i == specials.size()) specials.push_back(special);
    return {i, isa::source_special, false};
  }

  std::vector<Source>& lists() override { return program_.lists; }

  std::uint32_t wgmma(const async::WgmmaKind& kind) override {
    const auto number = static_cast<std::uint32_t>(program_.wgmmas.size());
    const auto instruction = static_cast<ptx::Index>(roles_.size());
    program_.wgmmas.push_back({kind, code_.begin + instruction, {}, {}, {}, {}});
    wgmmas_.emplace_back(number, instruction);
    return number;
  }

  Source frame() override { return function_.is_kernel ? Source{} : Source{Program::frame_bases, 0, false}; }

  std::uint32_t call(const ptx::Call& call) override {
    CallSite site;
    site.caller = static_cast<std::uint32_t>(program_.functions.size());
    site.callee = call.callee;
    const auto list = [&](ptx::Index first, ptx::Index count, std::vector<CallSite::Bytes>& bytes) {
      for (ptx::Index i = first; i < first + count; ++i) {
        const ptx::Operand& operand = function_.operands[i];
        if (operand.symbol != ptx::SymbolKind::local || function_.variables[operand.index].space != ptx::Space::param)
          throw std::runtime_error("only calls with arguments and results in .param variables are modelled");
        bytes.push_back({static_cast<std::uint32_t>(address_of(operand)),
                         static_cast<std::uint32_t>(function_.variables[operand.index].size)});
      }
    };
    list(call.first_argument, call.argument_count, site.arguments);
    list(call.first_result, call.result_count, site.results);
    program_.calls.push_back(std::move(site));
    return static_cast<std::uint32_t>(program_.calls.size()) - 1;
  }

  std::uint32_t first_instruction() const override { return code_.begin; }

 private:
  void bind(ptx::Index i) {
    const ptx::Instruction& instruction = function_.instructions[i];
    Decoded& out = program_.code[code_.begin + i];
    out.where = code_.begin + i;
    if (instruction.guard != ptx::no_index) {
      out.guard = instruction.guard;
      out.guard_negated = instruction.guard_negated;
      roles_.read(instruction.guard);
    }
    try {
      isa::Binder binder(module_, function_, instruction, out, roles_, *this);
      const isa::BindFunction bind = isa::Registry::instance().find(binder.name());
      if (!bind || !bind(binder)) throw std::runtime_error("the instruction is not known");
      if (const std::string_view part = binder.unknown_part(); !part.empty())
        throw std::runtime_error(fmt::format("the modifier .{} is not known here", part));
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("{}: line {} of the PTX, {}: \"{}\": {}", function_.name, instruction.line,
                                           module_.place_of(instruction), module_.text_of(instruction), error.what()));
    }
    note_async_step(i, instruction);
    roles_.next();
    end_list_ = program_.lists.size();
  }

  void note_async_step(ptx::Index i, const ptx::Instruction& instruction) {
    const ptx::Opcode& opcode = module_.opcode_of(instruction);
    if (opcode.name() != "wgmma") return;
    ptx::AsyncStep step{i, ptx::AsyncStep::Kind::issue, 0, {}};
    if (opcode.has("mma_async")) {
      for (const ptx::Operand& operand : function_.operands_of(instruction))
        if (operand.kind == ptx::OperandKind::vector)
          for (const ptx::Operand& element : function_.elements_of(operand)) {
            step.registers.push_back(element.index);
            wgmma_registers_.insert(element.index);
          }
    } else if (opcode.has("commit_group")) {
      step.kind = ptx::AsyncStep::Kind::commit;
    } else if (opcode.has("wait_group")) {
      step.kind = ptx::AsyncStep::Kind::wait;
      step.pending = static_cast<ptx::Index>(function_.operands_of(instruction)[0].value);
    } else {
      return;
    }
    steps_.push_back(std::move(step));
  }

  std::uint32_t offset_of(std::uint32_t reg) const {
    constexpr std::uint32_t slot_bytes[] = {4, 4 * isa::lanes, 8 * isa::lanes, 16 * isa::lanes};
    const auto c = static_cast<int>(analysis_->slots.slot_class[reg]);
    return code_.registers + code_.first[c] + analysis_->slots.slot[reg] * slot_bytes[c];
  }

  Shared& shared_;
  const ptx::Module& module_;
  const ptx::Index index_;
  const ptx::Function& function_;
  Program& program_;
  FunctionCode code_;
  std::size_t first_list_ = 0, end_list_ = 0;  // its part of Program::lists
  ptx::RegisterRoles roles_;
  std::vector<ptx::AsyncStep> steps_;
  std::vector<std::pair<std::uint32_t, ptx::Index>> wgmmas_;  // of Program::wgmmas, and their instructions
  std::unordered_set<ptx::Index> wgmma_registers_;
  std::optional<ptx::Analysis> analysis_;
};

/// Numbers the registers of wgmmas, by their offset in the register file.
std::unordered_map<std::uint32_t, std::uint32_t> number_wgmma_slots(Program& program) {
  std::unordered_map<std::uint32_t, std::uint32_t> slots;
  for (WgmmaSite& site : program.wgmmas) {
    const auto number = [&](const std::vector<std::uint32_t>& offsets, check::SlotSet& numbers) {
      for (const std::uint32_t offset : offsets)
        numbers.add(slots.try_emplace(offset, static_cast<std::uint32_t>(slots.size())).first->second);
    };
    number(site.accumulators, site.accumulator_slots);
    number(site.a, site.a_slots);
  }
  return slots;
}

/// The kernel and all functions that it reaches, which come before it.
std::unique_ptr<Program> decode_kernel(const ptx::Module& module, const LoadedModule& loaded, ptx::Index kernel) {
  auto program = std::make_unique<Program>();
  const ptx::CallGraph graph = ptx::call_graph_of(module, kernel);
  program->module = &module;
  program->function = &module.functions[kernel];
  program->shared = ptx::layout_shared(module, graph);
  program->is_reentrant = graph.is_recursive || graph.has_indirect_call;
  Shared shared{module, loaded, *program, {}};
  std::deque<FunctionDecoder> decoders;
  std::uint32_t end = program->function->calls.empty() ? 0 : Program::frame_bases_bytes;
  for (auto at = graph.functions.rbegin(); at != graph.functions.rend(); ++at) {
    if (!module.functions[*at].has_body) continue;
    const FunctionCode code = decoders.emplace_back(shared, *at).decode(end);
    end += code.register_bytes;
    program->functions.push_back(code);
    program->local_bytes += code.frame_bytes;
    program->registers = std::max(program->registers, code.slots[1] + 2 * code.slots[2] + 4 * code.slots[3] + 8);
  }
  if (!program->has_calls()) program->local_bytes = program->function->local_bytes;
  if (program->is_reentrant) program->local_bytes += deep_stack_bytes;
  program->entry = program->functions.back().begin;
  program->register_bytes = end;
  for (FunctionDecoder& decoder : decoders) decoder.place_registers();
  const auto slots = number_wgmma_slots(*program);
  if (!slots.empty())
    for (FunctionDecoder& decoder : decoders) decoder.find_touches(slots);
  return program;
}

bool is_kernel(const ptx::Function& function) { return function.is_kernel && function.has_body; }

}  // namespace

std::string Program::name() const {
  const std::string symbol(function->name);
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  std::string name = status == 0 ? readable.get() : symbol;
  // nvcc gives the unnamed namespace of each file a name.
  for (std::size_t at; (at = name.find("_GLOBAL__N__")) != std::string::npos;)
    name.replace(at, name.find("::", at) - at, "(anonymous namespace)");
  return name;
}

const FunctionCode& Program::function_at(std::uint32_t pc) const {
  return *std::ranges::find_if(functions, [pc](const FunctionCode& code) { return pc < code.end; });
}

const FunctionCode* Program::code_of(ptx::Index wanted) const {
  const auto at = std::ranges::find(functions, wanted, &FunctionCode::index);
  return at == functions.end() ? nullptr : &*at;
}

const ptx::Instruction& Program::instruction_at(std::uint32_t pc) const {
  const FunctionCode& code = function_at(pc);
  return code.function->instructions[pc - code.begin];
}

std::string Program::describe(std::uint32_t pc) const {
  const ptx::Instruction& instruction = instruction_at(pc);
  return fmt::format("{}: {}", module->place_of(instruction), module->text_of(instruction));
}

std::string Program::place(std::uint32_t pc) const { return module->place_of(instruction_at(pc)); }

std::shared_ptr<LoadedModule> LoadedModule::load(const std::string& text, GlobalMemory& memory) {
  std::shared_ptr<LoadedModule> loaded(new LoadedModule(ptx::Module::parse(text), memory));
  loaded->place_variables();
  return loaded;
}

LoadedModule::LoadedModule(ptx::Module module, GlobalMemory& memory) : module_(std::move(module)), memory_(memory) {}

LoadedModule::~LoadedModule() {
  for (const std::uint64_t address : variables_)
    if (address) memory_.release(address);
}

void LoadedModule::place_variables() {
  variables_.assign(module_.variables.size(), 0);
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    const ptx::Variable& variable = module_.variables[i];
    if (variable.space == ptx::Space::shared) continue;
    if (variable.external)
      throw std::runtime_error(
          fmt::format("variable {} is defined in another module, which is not modelled", variable.name));
    const std::uint64_t size = std::max<std::uint64_t>(variable.size, 1);
    variables_[i] = memory_.allocate(size);
    if (!variables_[i])
      throw std::runtime_error(fmt::format("no memory for variable {} of {} bytes", variable.name, size));
    memory_.fill(variables_[i], 0, size);  // CUDA: what has no initial value is zero
    memory_.copy_in(variables_[i], variable.initial.data(), variable.initial.size());
  }
  for (std::size_t i = 0; i < variables_.size(); ++i)
    for (const ptx::Relocation& relocation : module_.variables[i].relocations) {
      const bool is_function = relocation.symbol == ptx::SymbolKind::function;
      if (!is_function && (relocation.symbol != ptx::SymbolKind::variable || !variables_[relocation.index]))
        throw std::runtime_error(
            fmt::format("the initial value of {} holds an address that is not modelled", module_.variables[i].name));
      const std::uint64_t address =
          is_function ? function_tag | std::uint64_t{relocation.index} * 16 : variables_[relocation.index];
      const std::uint64_t value = (address + static_cast<std::uint64_t>(relocation.addend)) >> relocation.shift;
      memory_.copy_in(variables_[i] + relocation.offset, &value, relocation.bytes);
    }
}

const Program* LoadedModule::kernel(std::string_view name) {
  const ptx::Index index = module_.find_function(name);
  if (index == ptx::no_index || !is_kernel(module_.functions[index])) return nullptr;
  kernels_.resize(module_.functions.size());
  if (!kernels_[index]) kernels_[index] = decode_kernel(module_, *this, index);
  return kernels_[index].get();
}

std::vector<std::string> LoadedModule::kernel_names() const {
  std::vector<std::string> names;
  for (const ptx::Function& function : module_.functions)
    if (is_kernel(function)) names.emplace_back(function.name);
  return names;
}

std::optional<DeviceVariable> LoadedModule::variable(std::string_view name) const {
  const ptx::Index index = module_.find_variable(name);
  if (index == ptx::no_index || !variables_[index]) return std::nullopt;
  return DeviceVariable{reinterpret_cast<std::byte*>(variables_[index]), module_.variables[index].size};
}

std::vector<DeviceVariable> LoadedModule::variables() const {
  std::vector<DeviceVariable> all;
  for (std::size_t i = 0; i < variables_.size(); ++i)
    if (variables_[i]) all.push_back({reinterpret_cast<std::byte*>(variables_[i]), module_.variables[i].size});
  return all;
}

}  // namespace emu::machine
