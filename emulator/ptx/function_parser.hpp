#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "ptx/parse_state.hpp"

namespace emu::ptx {

/// Parses the body of one function. Registers are numbered as instructions name them; labels are resolved at the end.
class FunctionParser {
 public:
  FunctionParser(ParseState& state, Function& function);
  void parse();

 private:
  // function_parser.cpp
  void parse_statement();
  void parse_directive();
  void parse_registers();
  void parse_variables(Space space);
  void open_scope();
  void close_scope();
  void declare(std::string_view name, Name::Kind kind, Index index);
  void define_label(std::string_view name);
  void parse_branch_table(std::string_view name);
  void parse_prototype(std::string_view name);
  void parse_call_targets(std::string_view name);
  void resolve_labels();
  void end_with_ret();

  // instruction_parser.cpp
  void parse_instruction();
  Index parse_opcode();
  void parse_operands(Instruction& instruction);
  void parse_call(Instruction& instruction);
  void parse_call_list(Index& first, Index& count);
  Operand parse_operand();
  Operand parse_single();
  Operand parse_address();
  Operand parse_list(OperandKind kind, char close);
  Operand parse_number();
  Operand parse_name();
  Operand parse_label(OperandKind kind);
  /// The register of that name, or no_index. Throws if there is none where the name can be nothing else.
  Index find_register(std::string_view name);
  void store_elements(std::size_t mark, Index& first, Index& count);

  /// A declaration of registers: one, or %r0 to %r<count - 1>.
  struct Registers {
    Type type = Type::none;
    Index count = 1;
    std::vector<Index> numbers;  // in Function::registers, no_index where not used yet; grows as needed
  };
  Index number_of(Registers& registers, Index which, std::string_view name);

  /// A label as it is seen from a scope.
  struct LabelKey {
    std::string_view name;
    Index scope;
    bool operator==(const LabelKey&) const = default;
  };
  struct LabelHash {
    std::size_t operator()(const LabelKey& key) const {
      return std::hash<std::string_view>{}(key.name) ^ (key.scope * std::size_t{0x9E3779B97F4A7C15});
    }
  };
  struct LabelUse {
    LabelKey label;
    int line;
    Index operand = no_index;            // in Function::operands, or
    Index table = no_index, target = 0;  // in Function::branch_tables
  };
  /// A use of a branch table's name, which may be declared after it.
  struct TableUse {
    LabelKey label;
    int line;
    Index operand;
  };

  ParseState& state_;
  Cursor& cursor_;
  Function& function_;

  ScopedNames<Index> single_registers_, register_families_;  // of declared_
  std::vector<Registers> declared_;
  std::size_t numbers_left_;  // bounds what declarations of unused registers can take

  struct Scope {
    Index number;
    std::uint64_t call_param_end;
  };
  std::vector<Scope> scopes_;
  std::vector<Index> scope_parents_;
  std::unordered_map<LabelKey, Index, LabelHash> labels_, tables_;
  std::vector<LabelUse> label_uses_;
  std::vector<TableUse> table_uses_;
  std::unordered_map<Index, std::vector<Index>> call_targets_;  // by the number in Name
  std::uint64_t call_param_end_ = 0;
  Index location_ = no_index;
  std::vector<Operand> scratch_;  // elements of the lists that are open
  int depth_ = 0;                 // of those lists
};

}  // namespace emu::ptx
