#include "machine/program.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <map>
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

/// Binds the instructions of one kernel and gives its registers places.
class Decoder final : public isa::Binder::Environment {
 public:
  Decoder(const ptx::Module& module, const LoadedModule& loaded, ptx::Index kernel)
      : module_(module), loaded_(loaded), kernel_(kernel), function_(module.functions[kernel]) {}

  std::unique_ptr<Program> decode() {
    program_->module = &module_;
    program_->function = &function_;
    program_->shared = ptx::layout_shared(module_, ptx::call_graph_of(module_, kernel_));
    program_->code.resize(function_.instructions.size());
    for (ptx::Index i = 0; i < function_.instructions.size(); ++i) bind(i);
    place_registers();
    return std::move(program_);
  }

  std::uint64_t address_of(const ptx::Operand& operand) override {
    switch (operand.symbol) {
      case ptx::SymbolKind::variable: {
        const ptx::Variable& variable = module_.variables[operand.index];
        if (variable.space == ptx::Space::shared)
          return shared_base + program_->shared.offset_of(ptx::no_index, operand.index);
        return loaded_.address_of(operand.index);
      }
      case ptx::SymbolKind::local: {
        const ptx::Variable& variable = function_.variables[operand.index];
        if (variable.space == ptx::Space::shared)
          return shared_base + program_->shared.offset_of(kernel_, operand.index);
        if (variable.space == ptx::Space::local) return variable.offset;
        throw std::runtime_error("parameters of calls are not modelled yet");
      }
      case ptx::SymbolKind::parameter: return function_.parameters[operand.index].offset;
      default: throw std::runtime_error("the address of a function is not modelled yet");
    }
  }

  Source constant(std::uint64_t value, int bytes) override {
    const auto [at, is_new] = constants_.try_emplace({value, bytes}, Source{});
    if (is_new) {
      auto& constants = program_->constants;
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
    auto& specials = program_->specials;
    std::uint32_t i = 0;
    while (i < specials.size() && specials[i] != special) ++i;
    if (i == specials.size()) specials.push_back(special);
    return {i, isa::source_special, false};
  }

  std::vector<Source>& lists() override { return program_->lists; }

  std::uint32_t wgmma(const async::WgmmaKind& kind) override {
    program_->wgmmas.push_back({kind, static_cast<std::uint32_t>(roles_.size()), {}, {}, {}, {}});
    wgmmas_.push_back(static_cast<ptx::Index>(roles_.size()));
    return static_cast<std::uint32_t>(wgmmas_.size()) - 1;
  }

 private:
  void bind(ptx::Index i) {
    const ptx::Instruction& instruction = function_.instructions[i];
    Decoded& out = program_->code[i];
    out.where = i;
    if (instruction.guard != ptx::no_index) {
      out.guard = instruction.guard;
      out.guard_negated = instruction.guard_negated;
      roles_.read(instruction.guard);
    }
    try {
      isa::Binder binder(module_, function_, instruction, out, roles_, *this);
      const isa::BindFunction bind = isa::Registry::instance().find(binder.name());
      if (!bind || !bind(binder)) throw std::runtime_error("the instruction is not known");
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("{}: line {} of the PTX, {}: \"{}\": {}", function_.name, instruction.line,
                                           module_.place_of(instruction), module_.text_of(instruction), error.what()));
    }
    note_async_step(i, instruction);
    roles_.next();
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

  /// The register file: predicates, then lane arrays of 4, 8 and 16 bytes, then the special registers.
  void place_registers() {
    const ptx::Analysis analysis = ptx::analyze(function_, roles_, steps_);
    const ptx::Slots& slots = analysis.slots;
    constexpr std::uint32_t slot_bytes[] = {4, 4 * isa::lanes, 8 * isa::lanes, 16 * isa::lanes};
    std::uint32_t first[4], end = 0;
    for (int c = 0; c < 4; ++c) {
      first[c] = end;
      end += (slots.count[c] * slot_bytes[c] + 63) / 64 * 64;
    }
    program_->register_bytes = end;
    program_->registers = slots.count[1] + 2 * slots.count[2] + 4 * slots.count[3] + 8;
    const auto offset_of = [&](std::uint32_t reg) {
      const auto c = static_cast<int>(slots.slot_class[reg]);
      return first[c] + slots.slot[reg] * slot_bytes[c];
    };
    const auto place = [&](std::uint32_t& reg) {
      if (reg != isa::no_register) reg = offset_of(reg);
    };
    const auto place_source = [&](Source& source) {
      if (source.base == isa::source_register) {
        place(source.offset);
        source.base = 0;
      } else if (source.base == isa::source_special) {
        source.offset = end + source.offset * Program::special_bytes;
        source.base = 0;
      }
    };
    for (Decoded& decoded : program_->code) {
      place(decoded.guard);
      place(decoded.d);
      place(decoded.d2);
      for (Source& source : decoded.s)
        if (source.exists()) place_source(source);
    }
    for (Source& source : program_->lists)
      if (source.exists()) place_source(source);
    for (std::size_t i = 0; i < wgmmas_.size(); ++i) {
      // The list of a wgmma: its accumulators, then A.
      const Decoded& decoded = program_->code[wgmmas_[i]];
      WgmmaSite& site = program_->wgmmas[i];
      for (std::uint32_t l = 0; l < decoded.list_size; ++l)
        (l < site.kind.accumulator_registers() ? site.accumulators : site.a)
            .push_back(program_->lists[decoded.list_first + l].offset);
    }
    find_touches(offset_of);
  }

  /// Instructions that read or write registers of wgmmas get a handler that checks that first.
  template <class OffsetOf> void find_touches(OffsetOf&& offset_of) {
    std::unordered_map<std::uint32_t, std::uint32_t> slots;  // by offset in the register file
    for (WgmmaSite& site : program_->wgmmas) {
      const auto number = [&](const std::vector<std::uint32_t>& offsets, check::SlotSet& numbers) {
        for (const std::uint32_t offset : offsets)
          numbers.add(slots.try_emplace(offset, static_cast<std::uint32_t>(slots.size())).first->second);
      };
      number(site.accumulators, site.accumulator_slots);
      number(site.a, site.a_slots);
    }
    if (slots.empty()) return;
    std::size_t next_wgmma = 0;
    for (std::uint32_t i = 0; i < program_->code.size(); ++i) {
      if (next_wgmma < wgmmas_.size() && wgmmas_[next_wgmma] == i) {
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
      Decoded& decoded = program_->code[i];
      touch.handler = decoded.handler;
      decoded.handler = isa::check_registers;
      decoded.touch = static_cast<std::uint32_t>(program_->touches.size());
      program_->touches.push_back(std::move(touch));
    }
  }

  const ptx::Module& module_;
  const LoadedModule& loaded_;
  const ptx::Index kernel_;
  const ptx::Function& function_;
  std::unique_ptr<Program> program_ = std::make_unique<Program>();
  ptx::RegisterRoles roles_;
  std::vector<ptx::AsyncStep> steps_;
  std::vector<ptx::Index> wgmmas_;  // their instructions
  std::unordered_set<ptx::Index> wgmma_registers_;
  std::map<std::pair<std::uint64_t, int>, Source> constants_;
};

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

std::string Program::describe(std::uint32_t pc) const {
  const ptx::Instruction& instruction = function->instructions[pc];
  return fmt::format("{}: {}", module->place_of(instruction), module->text_of(instruction));
}

std::string Program::place(std::uint32_t pc) const { return module->place_of(function->instructions[pc]); }

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
      if (relocation.symbol != ptx::SymbolKind::variable || !variables_[relocation.index])
        throw std::runtime_error(
            fmt::format("the initial value of {} holds an address that is not modelled", module_.variables[i].name));
      const std::uint64_t value =
          (variables_[relocation.index] + static_cast<std::uint64_t>(relocation.addend)) >> relocation.shift;
      memory_.copy_in(variables_[i] + relocation.offset, &value, relocation.bytes);
    }
}

const Program* LoadedModule::kernel(std::string_view name) {
  const ptx::Index index = module_.find_function(name);
  if (index == ptx::no_index || !is_kernel(module_.functions[index])) return nullptr;
  kernels_.resize(module_.functions.size());
  if (!kernels_[index]) kernels_[index] = Decoder(module_, *this, index).decode();
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
