#include "ptx/function_parser.hpp"

#include <algorithm>

namespace emu::ptx {
namespace {

constexpr std::size_t deepest_scope = 200;
constexpr Index largest_family = 1 << 20;

}  // namespace

void parse_body(ParseState& state, Function& function) { FunctionParser(state, function).parse(); }

FunctionParser::FunctionParser(ParseState& state, Function& function)
    : state_(state), cursor_(state.cursor), function_(function), numbers_left_(4 * std::size_t{largest_family}) {}

void FunctionParser::parse() {
  if (!cursor_.at_punctuation('{')) cursor_.expect('{');
  do {
    parse_statement();
  } while (!scopes_.empty());
  resolve_labels();
  end_with_ret();
}

void FunctionParser::open_scope() {
  if (scopes_.size() >= deepest_scope) cursor_.fail("blocks are nested too deeply");
  scope_parents_.push_back(scopes_.empty() ? no_index : scopes_.back().number);
  scopes_.push_back({static_cast<Index>(scope_parents_.size() - 1), call_param_end_});
  state_.names.open();
  single_registers_.open();
  register_families_.open();
}

void FunctionParser::close_scope() {
  call_param_end_ = scopes_.back().call_param_end;
  scopes_.pop_back();
  state_.names.close();
  single_registers_.close();
  register_families_.close();
}

void FunctionParser::declare(std::string_view name, Name::Kind kind, Index index) {
  if (!state_.names.declare(name, {kind, index})) cursor_.fail(quoted(name) + " is declared twice");
}

void FunctionParser::parse_statement() {
  if (cursor_.accept('{')) return open_scope();
  if (cursor_.accept('}')) return close_scope();
  if (cursor_.accept(';')) return;
  if (cursor_.at_end()) cursor_.fail("the text ends where '}' is expected");
  if (cursor_.at_directive()) return parse_directive();
  if (cursor_.at_word() && cursor_.at_punctuation(':', 1)) {
    const std::string_view name = cursor_.next().text;
    cursor_.next();
    if (cursor_.accept(".branchtargets")) return parse_branch_table(name);
    if (cursor_.accept(".callprototype")) return parse_prototype(name);
    if (cursor_.accept(".calltargets")) return parse_call_targets(name);
    return define_label(name);
  }
  parse_instruction();
}

void FunctionParser::parse_directive() {
  const std::string_view word = cursor_.peek().text;
  if (word == ".loc") {
    cursor_.next();
    location_ = parse_location(state_);
  } else if (word == ".reg") {
    cursor_.next();
    parse_registers();
  } else if (word == ".param" || word == ".local" || word == ".shared") {
    cursor_.next();
    parse_variables(word == ".param" ? Space::param : word == ".local" ? Space::local : Space::shared);
  } else if (word == ".pragma") {
    cursor_.next();
    do {
      cursor_.expect_string("a pragma");
    } while (cursor_.accept(','));
    cursor_.expect(';');
  } else if (word == ".file") {
    cursor_.next();
    parse_file(state_);
  } else {
    cursor_.fail("the directive " + quoted(word) + " is not understood in a function");
  }
}

void FunctionParser::parse_registers() {
  if (cursor_.at_word(".v2") || cursor_.at_word(".v4")) cursor_.fail("registers of vectors are not supported");
  const Type type = cursor_.at_directive() ? type_of(cursor_.peek().text.substr(1)) : Type::none;
  if (type == Type::none || (type != Type::pred && bits_of(type) < 16) || type >= Type::texref)
    cursor_.fail("the type of registers is expected before " + quoted(cursor_.peek().text));
  cursor_.next();
  do {
    const std::string_view name = cursor_.expect_name("the name of a register");
    Registers registers{type, 1, {}};
    const bool family = cursor_.accept('<');
    if (family) {
      registers.count = static_cast<Index>(cursor_.expect_unsigned("a number of registers", largest_family));
      cursor_.expect('>');
    }
    declared_.push_back(std::move(registers));
    auto& names = family ? register_families_ : single_registers_;
    if (!names.declare(name, static_cast<Index>(declared_.size() - 1)))
      cursor_.fail(quoted(name) + " is declared twice");
  } while (cursor_.accept(','));
  cursor_.expect(';');
}

void FunctionParser::parse_variables(Space space) {
  do {
    Variable variable = parse_variable(state_, space, nullptr);
    if (space == Space::local) {
      variable.offset = align_up(function_.local_bytes, variable.alignment);
      function_.local_bytes = variable.offset + variable.size;
      function_.local_alignment = std::max(function_.local_alignment, variable.alignment);
    } else if (space == Space::param) {
      variable.offset = align_up(call_param_end_, variable.alignment);
      call_param_end_ = variable.offset + variable.size;
      function_.call_param_bytes = std::max(function_.call_param_bytes, call_param_end_);
    }
    declare(variable.name, Name::Kind::local, static_cast<Index>(function_.variables.size()));
    function_.variables.push_back(std::move(variable));
  } while (cursor_.accept(','));
  cursor_.expect(';');
}

void FunctionParser::define_label(std::string_view name) {
  const auto at = static_cast<Index>(function_.instructions.size());
  if (!labels_.try_emplace({name, scopes_.back().number}, at).second)
    cursor_.fail("the label " + quoted(name) + " is defined twice");
}

void FunctionParser::parse_branch_table(std::string_view name) {
  const auto table = static_cast<Index>(function_.branch_tables.size());
  const Index scope = scopes_.back().number;
  BranchTable targets;
  do {
    const int line = cursor_.line();
    const std::string_view label = cursor_.expect_name("a label");
    label_uses_.push_back({{label, scope}, line, no_index, table, static_cast<Index>(targets.targets.size())});
    targets.targets.push_back(no_index);
  } while (cursor_.accept(','));
  cursor_.expect(';');
  function_.branch_tables.push_back(std::move(targets));
  if (!tables_.try_emplace({name, scope}, table).second)
    cursor_.fail("the label " + quoted(name) + " is defined twice");
}

void FunctionParser::parse_prototype(std::string_view name) {
  Prototype prototype;
  std::uint64_t bytes = 0;
  if (cursor_.at_punctuation('(')) prototype.results = parse_parameters(state_, bytes);
  cursor_.expect_name("'_'");
  if (cursor_.at_punctuation('(')) prototype.parameters = parse_parameters(state_, bytes);
  while (cursor_.at_directive()) {
    if (!cursor_.accept(".noreturn") && !cursor_.accept(".abi_preserve_control")) {
      cursor_.expect(".abi_preserve");
      cursor_.expect_integer("a number of registers");
    }
  }
  cursor_.expect(';');
  declare(name, Name::Kind::prototype, static_cast<Index>(function_.prototypes.size()));
  function_.prototypes.push_back(std::move(prototype));
}

void FunctionParser::parse_call_targets(std::string_view name) {
  const auto number = static_cast<Index>(call_targets_.size());
  std::vector<Index>& targets = call_targets_[number];
  do {
    const std::string_view function = cursor_.expect_name("the name of a function");
    const Name* meaning = state_.names.find(function);
    if (!meaning || meaning->kind != Name::Kind::function) cursor_.fail(quoted(function) + " is not a function");
    targets.push_back(meaning->index);
  } while (cursor_.accept(','));
  cursor_.expect(';');
  declare(name, Name::Kind::call_targets, number);
}

void FunctionParser::resolve_labels() {
  const auto find = [&](auto& defined, LabelKey label, int line, const char* what) {
    for (; label.scope != no_index; label.scope = scope_parents_[label.scope])
      if (const auto at = defined.find(label); at != defined.end()) return at->second;
    cursor_.fail_at(line, std::string(what) + " " + quoted(label.name) + " is not defined");
  };
  for (const LabelUse& use : label_uses_) {
    const Index at = find(labels_, use.label, use.line, "the label");
    if (use.table == no_index)
      function_.operands[use.operand].index = at;
    else
      function_.branch_tables[use.table].targets[use.target] = at;
  }
  for (const TableUse& use : table_uses_)
    function_.operands[use.operand].index = find(tables_, use.label, use.line, "the table of branch targets");
}

void FunctionParser::end_with_ret() {
  auto& instructions = function_.instructions;
  bool needed = instructions.empty();
  if (!needed) {
    const Instruction& last = instructions.back();
    needed = last.guard != no_index || last.control == Control::none || last.control == Control::call;
  }
  // Debug information puts labels behind the last instruction; only one that is a target counts.
  const auto past = static_cast<Index>(instructions.size());
  for (const Operand& operand : function_.operands)
    needed |= operand.kind == OperandKind::label && operand.index == past;
  for (const BranchTable& table : function_.branch_tables)
    needed |= std::find(table.targets.begin(), table.targets.end(), past) != table.targets.end();
  if (!needed) return;
  const auto [at, is_new] = state_.opcodes.try_emplace("ret", static_cast<Index>(state_.module.opcodes.size()));
  if (is_new) state_.module.opcodes.push_back({"ret", {"ret"}});
  Instruction instruction;
  instruction.opcode = at->second;
  instruction.control = Control::ret;
  instruction.line = static_cast<Index>(cursor_.line());
  instruction.location = location_;
  instructions.push_back(instruction);
}

}  // namespace emu::ptx
