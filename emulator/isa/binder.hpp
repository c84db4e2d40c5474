#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "async/wgmma.hpp"
#include "isa/handler.hpp"
#include "ptx/analysis.hpp"

// From a parsed instruction to a Decoded one. A bind function looks at the opcode's parts and the operands, says which
// operand is what, and chooses the handler:
//
//   bool bind_add(Binder& b) {
//     b.result(0);
//     b.source(0, 1, b.type());
//     b.source(1, 2, b.type());
//     return b.handle(add_handler(b.type()));   // a null handler: not known
//   }
//   void register_arithmetic(Registry& registry) { registry.add("add", bind_add); }
namespace emu::isa {

class Binder {
 public:
  /// Where the binder finds the values of symbols, and keeps constants and lists; the decoder implements it.
  class Environment {
   public:
    virtual std::uint64_t address_of(const ptx::Operand& operand) = 0;  // of a variable, parameter or function
    virtual Source constant(std::uint64_t value, int bytes) = 0;        // lanes of 4 or 8 bytes; bytes 0: a predicate
    virtual Source special(ptx::SpecialRegister special) = 0;
    virtual std::vector<Source>& lists() = 0;
    /// The number of a wgmma in Program::wgmmas. Its list is its accumulators, then A if that is in registers.
    virtual std::uint32_t wgmma(const async::WgmmaKind& kind) = 0;
    /// Lanes that say where the function's frame in local memory starts; none for a kernel, whose frame starts at 0.
    virtual Source frame() = 0;
    /// The number of a call in Program::calls.
    virtual std::uint32_t call(const ptx::Call& call) = 0;
    /// Where the function's first instruction stands in the program.
    virtual std::uint32_t first_instruction() const = 0;

   protected:
    ~Environment() = default;
  };

  Binder(const ptx::Module& module, const ptx::Function& function, const ptx::Instruction& instruction, Decoded& out,
         ptx::RegisterRoles& roles, Environment& environment);

  const ptx::Module& module;
  const ptx::Function& function;
  const ptx::Instruction& instruction;
  Decoded& out;

  // ---- The opcode ----

  const ptx::Opcode& opcode() const { return module.opcode_of(instruction); }
  std::string_view name() const { return opcode().name(); }
  /// Part `i` of the opcode, 0 is the name; empty if there is none.
  std::string_view part(std::size_t i) const { return i < opcode().parts.size() ? opcode().parts[i] : ""; }
  /// Whether the opcode has the part; it counts as known then.
  bool has(std::string_view part) const;
  /// The first part that `is` holds for, which counts as known then; empty if there is none.
  template <class Is> std::string_view find_part(Is&& is) const {
    for (std::size_t i = 1; i < opcode().parts.size(); ++i)
      if (is(opcode().parts[i])) {
        known_ |= std::uint32_t{1} << i;
        return opcode().parts[i];
      }
    return {};
  }
  /// A part that nothing has asked for, although it may say what the instruction does; empty if there is none. For the decoder,
  /// after the bind function: what is not understood must not be left out.
  std::string_view unknown_part() const;
  /// The index of the first part of `names` that the opcode has, -1 if there is none.
  int which(std::initializer_list<std::string_view> names) const;
  /// The types in the opcode, in their order, and the last of them (none if there is none).
  std::span<const ptx::Type> types() const { return types_; }
  ptx::Type type() const { return types_.empty() ? ptx::Type::none : types_.back(); }

  // ---- Operands ----

  std::span<const ptx::Operand> operands() const { return function.operands_of(instruction); }
  std::size_t operand_count() const { return instruction.operand_count; }
  const ptx::Operand& operand(std::size_t i) const;
  std::span<const ptx::Operand> elements(const ptx::Operand& operand) const { return function.elements_of(operand); }
  /// The type of a register; none for what is not one.
  ptx::Type register_type(const ptx::Operand& operand) const;
  /// Bytes of a lane of the register: 4, 8, 16; 0 for a predicate and for what is no register.
  int register_bytes(const ptx::Operand& operand) const;

  // ---- Roles: each sets a field of `out`, and tells the analysis ----

  /// Operand `i` is the result: out.d and, of a pair, out.d2; out.register_bytes. A sink gives no_register.
  void result(std::size_t i) { result(operand(i)); }
  void result(const ptx::Operand& operand);
  /// Operand `i` is out.s[s]. `type` says how a constant is spelled out in lanes: its size, and float or not.
  void source(int s, std::size_t i, ptx::Type type) { out.s[s] = make_source(operand(i), type); }
  void source(int s, const ptx::Operand& operand, ptx::Type type) { out.s[s] = make_source(operand, type); }
  /// Out.s[s] is a constant.
  void constant(int s, std::uint64_t value, int bytes) { out.s[s] = environment_.constant(value, bytes); }
  /// Operands 0 to n: the result and n sources of one type.
  void result_and_sources(int n, ptx::Type type);
  /// An address: out.s[s] and out.address_bytes; the offset goes to out.immediate. out.window must be set.
  void address(int s, std::size_t i) { address(s, operand(i)); }
  void address(int s, const ptx::Operand& operand);
  /// An address that the handler wants whole, the offset added, as lanes of `bytes` bytes without an immediate. Only constants
  /// and registers without an offset can be; others are refused.
  void plain_address(int s, const ptx::Operand& operand, int bytes);
  /// Appends a register, a constant or the elements of a vector to the lists, as sources or as results. Call begin_list() first.
  void begin_list();
  void list_sources(const ptx::Operand& operand, ptx::Type type);
  void list_results(const ptx::Operand& operand, bool kills = true);
  /// Registers that an asynchronous operation reads and writes (accumulators of wgmma), in the list.
  void list_accumulators(const ptx::Operand& operand);

  std::uint32_t wgmma(const async::WgmmaKind& kind) { return environment_.wgmma(kind); }
  std::uint32_t call(const ptx::Call& call) { return environment_.call(call); }
  /// The place in the program of instruction `i` of the function.
  std::uint32_t target(ptx::Index i) const { return environment_.first_instruction() + i; }
  /// The address of a symbol in the frame of a device function: out.s[s] are the lanes to which it has to be added. None for
  /// what has one address for all lanes.
  std::optional<std::uint64_t> offset_in_frame(int s, const ptx::Operand& operand);

  /// The value of an operand that must be a constant.
  std::int64_t immediate_of(std::size_t i) const;

  /// Takes the handler; false if there is none.
  bool handle(Handler handler) {
    out.handler = handler;
    return handler != nullptr;
  }
  /// The instruction cannot be executed, and why.
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  Source make_source(const ptx::Operand& operand, ptx::Type type);
  std::uint32_t make_result(const ptx::Operand& operand, bool kills = true);

  std::vector<ptx::Type> types_;
  mutable std::uint32_t known_ = 0;  // parts, by index
  ptx::RegisterRoles& roles_;
  Environment& environment_;
};

/// False: the opcode's form is not known.
using BindFunction = bool (*)(Binder&);

/// Bind functions by the opcode's name ("add").
class Registry {
 public:
  void add(std::initializer_list<std::string_view> names, BindFunction function) {
    for (const std::string_view name : names) functions_[name] = function;
  }
  void add(std::string_view name, BindFunction function) { functions_[name] = function; }
  BindFunction find(std::string_view name) const {
    const auto at = functions_.find(name);
    return at == functions_.end() ? nullptr : at->second;
  }
  /// All that there are.
  static const Registry& instance();

 private:
  std::unordered_map<std::string_view, BindFunction> functions_;
};

// Each file of instructions has one.
void register_arithmetic(
    Registry& registry);  // arithmetic*.cpp: add to tanh, min, max, setp, set, selp, slct, testp, copysign
void register_bits(Registry& registry);        // bits*.cpp: and to shf, popc to bfi, prmt, lop3, fns, szext, dp4a, dp2a
void register_conversion(Registry& registry);  // convert*.cpp: cvt, cvt.pack
void register_moves(Registry& registry);       // moves.cpp: mov, cvta, mapa, isspacep, createpolicy
void register_control(Registry& registry);     // control.cpp: bra, exit, bar, fence and what has no effect
void register_calls(Registry& registry);       // calls.cpp: call, ret
void register_memory(Registry& registry);      // memory.cpp: ld, st, atom, red
void register_warp(Registry& registry);        // warp.cpp: shfl, vote, match, activemask, elect, redux
void register_mbarrier(Registry& registry);    // mbarrier.cpp
void register_copies(Registry& registry);      // copies.cpp: cp.async.bulk, cp.async
void register_matrix(Registry& registry);      // matrix.cpp: wgmma, ldmatrix, stmatrix, mma

}  // namespace emu::isa
