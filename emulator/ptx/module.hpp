#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ptx/special_register.hpp"
#include "ptx/types.hpp"

// One PTX text in typed, syntactic form. Names are resolved and labels are instruction indices, but what an opcode means,
// and which operands it reads and writes, is the business of isa/. Everything is addressed by index; all string_views
// point into the text that the Module owns.
namespace emu::ptx {

using Index = std::uint32_t;
inline constexpr Index no_index = ~Index{0};

// ---- Operands ----

enum class OperandKind : std::uint8_t {
  reg,           // index: of Function::registers
  integer,       // value
  floating,      // value: the bits of an IEEE number of `bits` bits (0f..., 0d..., 1.5)
  special,       // special
  symbol,        // symbol, index, value: the address of a variable, parameter or function, plus value bytes
  address,       // [base + value]: base is a register (index), a symbol (symbol, index) or a number; see `elements` too
  vector,        // {a, b, ...}: elements
  pair,          // p|q: two elements, each reg or sink
  sink,          // _
  label,         // index: of Function::instructions (bra)
  branch_table,  // index: of Function::branch_tables (brx.idx)
};

/// What the base of an address, or a symbol, is.
enum class SymbolKind : std::uint8_t {
  none,       // no symbol: a register, or a number alone
  variable,   // index: of Module::variables
  local,      // index: of Function::variables; the function's own .local, .shared, .param
  parameter,  // index: of Function::parameters
  result,     // index: of Function::results
  function,   // index: of Module::functions
};

struct Operand {
  OperandKind kind = OperandKind::sink;
  SymbolKind symbol = SymbolKind::none;  // symbol and address
  SpecialRegister special = SpecialRegister::count;
  bool negated = false;    // !p
  std::uint8_t bits = 0;   // floating: 32 or 64
  Index index = no_index;  // see OperandKind; for an address no_index says that the base is no register or symbol
  Index first = 0;         // vector, pair: elements in Function::operands. address: what follows the address inside the
  Index count = 0;         //   brackets, each a vector or a register: [map, {x, y}], [map, {x, y}, {ox, oy}]
  std::int64_t value = 0;  // integer, bits of a float, offset in bytes

  bool is_register() const { return kind == OperandKind::reg; }
  /// The address starts from a register.
  bool has_register_base() const {
    return kind == OperandKind::address && symbol == SymbolKind::none && index != no_index;
  }
};

// ---- Instructions ----

/// An opcode with its modifiers, interned: one for each spelling in the module, so that what is found out about it
/// once can be kept by index.
struct Opcode {
  std::string_view text;                // "ld.shared::cta.v4.b32"
  std::vector<std::string_view> parts;  // {"ld", "shared::cta", "v4", "b32"}

  std::string_view name() const { return parts.front(); }
  bool has(std::string_view part) const;
};

/// What an instruction does to control flow; the parser knows no more of opcodes.
enum class Control : std::uint8_t {
  none,
  branch,          // bra: operand 0 is a label
  indexed_branch,  // brx.idx: operand 0 is a register, operand 1 a branch_table
  call,            // Function::calls[call]; it has no operands
  ret,
  exit,
  trap,
};

struct Instruction {
  Index opcode = 0;  // of Module::opcodes
  Control control = Control::none;
  bool guard_negated = false;  // @!p
  Index guard = no_index;      // register of the guard @p, or no_index
  Index first_operand = 0;     // in Function::operands
  Index operand_count = 0;
  Index call = no_index;      // of Function::calls
  Index line = 0;             // of the PTX, from 1
  Index location = no_index;  // of Module::locations (-lineinfo), or no_index
  Index text_begin = 0;       // of the source text, without the semicolon
  Index text_size = 0;
};

/// A position in the program's source (.loc).
struct Location {
  Index file = 0;  // number in Module::files
  Index line = 0;
  Index column = 0;
  std::string function;         // what was inlined, mangled; empty if nothing was
  Index inlined_at = no_index;  // of Module::locations: where it was inlined
};

// ---- Declarations ----

/// An address of something in a variable's initial value: `bytes` bytes at `offset` become (address >> shift).
struct Relocation {
  std::uint64_t offset = 0;
  std::uint8_t bytes = 8;
  std::uint8_t shift = 0;                // in bits: 0xFF00(symbol) takes the second byte
  bool generic = false;                  // generic(symbol): the generic address of the symbol
  SymbolKind symbol = SymbolKind::none;  // variable or function
  Index index = no_index;
  std::int64_t addend = 0;
};

struct Variable {
  std::string_view name;
  Space space = Space::global;
  Type type = Type::none;          // of an element
  Index alignment = 1;             // in bytes
  std::uint64_t size = 0;          // in bytes; 0 for a declaration without a size: extern .shared x[]
  bool external = false;           // .extern: defined in another module, or dynamic shared memory
  bool managed = false;            // .attribute(.managed)
  std::uint64_t offset = 0;        // .local and .param of a function: in its frame. Others: 0, the machine places them
  std::vector<std::byte> initial;  // the first bytes of the initial value; what follows is zero. Empty: uninitialized
  std::vector<Relocation> relocations;
  Index line = 0;
};

struct Parameter {
  std::string_view name;
  Type type = Type::none;  // of an element
  Index alignment = 1;
  std::uint64_t size = 0;    // in bytes
  std::uint64_t offset = 0;  // in the parameter block
  bool is_array = false;
};

struct Register {
  std::string_view name;
  Type type = Type::none;
};

/// The targets of a brx.idx.
struct BranchTable {
  std::vector<Index> targets;  // instructions
};

/// The signature of an indirect call.
struct Prototype {
  std::vector<Parameter> results;
  std::vector<Parameter> parameters;
};

/// call (results), callee, (arguments), prototype. Results and arguments are operands: a .param variable of the function
/// (SymbolKind::local), a register or a constant.
struct Call {
  Index callee = no_index;  // of Module::functions; no_index: indirect
  Index callee_register = no_index;
  Index prototype = no_index;  // of Function::prototypes, for an indirect call
  std::vector<Index> targets;  // .calltargets of an indirect call, in Module::functions; empty if not given
  Index first_result = 0, result_count = 0;  // in Function::operands
  Index first_argument = 0, argument_count = 0;
};

/// Limits of an entry's launch; 0 where nothing is said.
struct LaunchBounds {
  std::array<Index, 3> max_threads{};       // .maxntid
  std::array<Index, 3> required_threads{};  // .reqntid
  std::array<Index, 3> required_cluster{};  // .reqnctapercluster
  Index min_ctas_per_sm = 0;                // .minnctapersm
  Index max_registers = 0;                  // .maxnreg
  Index max_cluster_rank = 0;               // .maxclusterrank
  bool explicit_cluster = false;            // .explicitcluster
  bool blocks_are_clusters = false;         // .blocksareclusters
};

/// A kernel (.entry) or a device function (.func).
struct Function {
  std::string_view name;
  bool is_kernel = false;
  bool has_body = false;      // false: declared only, as vprintf is
  bool no_return = false;     // .noreturn
  Index alias_of = no_index;  // .alias: of Module::functions. Calls and addresses name that one already
  Index line = 0;
  std::vector<Parameter> parameters;
  std::vector<Parameter> results;  // return parameters of a .func
  std::uint64_t parameter_bytes = 0;
  std::uint64_t result_bytes = 0;
  LaunchBounds bounds;

  std::vector<Variable> variables;  // .local, .shared, and the .param variables of calls
  std::uint64_t local_bytes = 0;    // of the .local frame, and its alignment
  Index local_alignment = 1;
  std::uint64_t call_param_bytes = 0;     // of the frame of .param variables; those of disjoint blocks overlap
  std::vector<Register> registers;        // those that instructions name
  std::vector<Instruction> instructions;  // the last one never falls through: the parser appends a ret where needed
  std::vector<Operand> operands;
  std::vector<BranchTable> branch_tables;
  std::vector<Call> calls;
  std::vector<Prototype> prototypes;

  /// The operands of an instruction, or the elements of an operand.
  std::span<const Operand> operands_of(const Instruction& instruction) const {
    return {operands.data() + instruction.first_operand, instruction.operand_count};
  }
  std::span<const Operand> elements_of(const Operand& operand) const {
    return {operands.data() + operand.first, operand.count};
  }
};

// ---- The module ----

class Module {
 public:
  /// Parses `text`, all of it. Throws ParseError, whose message starts with the line and names the function.
  static Module parse(std::string text);

  int version_major = 0, version_minor = 0;  // .version 8.7
  std::string_view target;                   // "sm_90a"
  int address_bits = 64;
  std::unordered_map<Index, std::string_view> files;  // .file table
  std::vector<Location> locations;
  std::vector<Opcode> opcodes;
  std::vector<Variable> variables;  // global, constant and shared at module scope, in order
  std::vector<Function> functions;  // kernels and functions, in order

  const std::string& text() const { return *text_; }
  const Opcode& opcode_of(const Instruction& instruction) const { return opcodes[instruction.opcode]; }
  /// The instruction as it is written, on one line: "@%p1 bra $L__BB0_8".
  std::string text_of(const Instruction& instruction) const;
  /// Where an instruction stands in the program's source: "gemm.cu:120", with "inlined at ..." parts; without
  /// -lineinfo "line 812 of the PTX".
  std::string place_of(const Instruction& instruction) const;
  /// The index in functions (an alias gives what it stands for) or variables, or no_index.
  Index find_function(std::string_view name) const;
  Index find_variable(std::string_view name) const;

 private:
  friend class ModuleParser;
  friend class FunctionParser;
  explicit Module(std::string text) : text_(std::make_unique<const std::string>(std::move(text))) {}
  /// Owns text that is not in text(): an opcode that is spelled over several lines.
  std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }

  std::unique_ptr<const std::string> text_;
  std::deque<std::string> kept_;
  std::unordered_map<std::string_view, Index> function_names_, variable_names_;
};

}  // namespace emu::ptx
