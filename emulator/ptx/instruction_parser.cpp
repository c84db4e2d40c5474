#include <utility>

#include "ptx/function_parser.hpp"

// PTX ISA 4.3, 6 and 9: instruction statements and their operands.
namespace emu::ptx {
namespace {

constexpr int deepest_list = 4;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Control control_of(const Opcode& opcode) {
  const std::string_view name = opcode.name();
  if (name == "bra") return Control::branch;
  if (name == "brx") return Control::indexed_branch;
  if (name == "call") return Control::call;
  if (name == "ret") return Control::ret;
  if (name == "exit") return Control::exit;
  if (name == "trap") return Control::trap;
  return Control::none;
}

}  // namespace

void FunctionParser::parse_instruction() {
  Instruction instruction;
  instruction.line = static_cast<Index>(cursor_.line());
  instruction.location = location_;
  instruction.text_begin = static_cast<Index>(cursor_.offset());
  if (cursor_.accept('@')) {
    instruction.guard_negated = cursor_.accept('!');
    const std::string_view name = cursor_.expect_name("a predicate");
    instruction.guard = find_register(name);
    if (instruction.guard == no_index || function_.registers[instruction.guard].type != Type::pred)
      cursor_.fail("the guard " + quoted(name) + " is not a predicate");
  }
  instruction.opcode = parse_opcode();
  instruction.control = control_of(state_.module.opcodes[instruction.opcode]);
  if (instruction.control == Control::call)
    parse_call(instruction);
  else
    parse_operands(instruction);
  instruction.text_size = static_cast<Index>(cursor_.end_of_last() - instruction.text_begin);
  cursor_.expect(';');
  function_.instructions.push_back(instruction);
}

Index FunctionParser::parse_opcode() {
  std::string_view text = cursor_.expect_name("an instruction");
  auto& opcodes = state_.module.opcodes;
  if (cursor_.at_directive()) {
    // Blanks within an opcode: inline assembly over several lines.
    std::string joined(text);
    while (cursor_.at_directive()) joined += cursor_.next().text;
    text = state_.module.keep(std::move(joined));
  }
  const auto [at, is_new] = state_.opcodes.try_emplace(text, static_cast<Index>(opcodes.size()));
  if (is_new) {
    Opcode opcode{text, {}};
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find('.', begin), text.size());
      opcode.parts.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    opcodes.push_back(std::move(opcode));
  }
  return at->second;
}

void FunctionParser::store_elements(std::size_t mark, Index& first, Index& count) {
  auto& operands = function_.operands;
  first = static_cast<Index>(operands.size());
  count = static_cast<Index>(scratch_.size() - mark);
  // Labels are known later: their uses are noted once they have their place.
  for (std::size_t i = mark; i < scratch_.size(); ++i) {
    Operand& operand = scratch_[i];
    const auto at = static_cast<Index>(operands.size());
    if (operand.kind == OperandKind::label)
      label_uses_[operand.index].operand = at;
    else if (operand.kind == OperandKind::branch_table)
      table_uses_[operand.index].operand = at;
    operands.push_back(operand);
  }
  scratch_.resize(mark);
}

void FunctionParser::parse_operands(Instruction& instruction) {
  const std::size_t mark = scratch_.size();
  while (!cursor_.at_punctuation(';')) {
    if (scratch_.size() > mark) cursor_.expect(',');
    const std::size_t which = scratch_.size() - mark;
    if (instruction.control == Control::branch && which == 0)
      scratch_.push_back(parse_label(OperandKind::label));
    else if (instruction.control == Control::indexed_branch && which == 1)
      scratch_.push_back(parse_label(OperandKind::branch_table));
    else
      scratch_.push_back(parse_operand());
  }
  const std::size_t count = scratch_.size() - mark;
  const std::size_t expected = instruction.control == Control::branch           ? 1
                               : instruction.control == Control::indexed_branch ? 2
                               : instruction.control == Control::none           ? count
                                                                                : 0;
  if (count != expected)
    cursor_.fail(std::string(state_.module.opcodes[instruction.opcode].name()) + " takes " + std::to_string(expected) +
                 " operands, not " + std::to_string(count));
  store_elements(mark, instruction.first_operand, instruction.operand_count);
  if (instruction.control == Control::indexed_branch &&
      function_.operands[instruction.first_operand].kind != OperandKind::reg)
    cursor_.fail("brx.idx takes a register as its index");
}

Operand FunctionParser::parse_label(OperandKind kind) {
  const int line = cursor_.line();
  const LabelKey label{cursor_.expect_name("a label"), scopes_.back().number};
  Operand operand;
  operand.kind = kind;
  if (kind == OperandKind::label) {
    operand.index = static_cast<Index>(label_uses_.size());
    label_uses_.push_back({label, line});
  } else {
    operand.index = static_cast<Index>(table_uses_.size());
    table_uses_.push_back({label, line, no_index});
  }
  return operand;
}

void FunctionParser::parse_call_list(Index& first, Index& count) {
  cursor_.expect('(');
  const std::size_t mark = scratch_.size();
  while (!cursor_.accept(')')) {
    if (scratch_.size() > mark) cursor_.expect(',');
    scratch_.push_back(parse_operand());
  }
  store_elements(mark, first, count);
}

void FunctionParser::parse_call(Instruction& instruction) {
  Call call;
  if (cursor_.at_punctuation('(')) {
    parse_call_list(call.first_result, call.result_count);
    cursor_.expect(',');
  }
  const std::string_view callee = cursor_.expect_name("the function to call");
  const Name* meaning = state_.names.find(callee);
  if (meaning && meaning->kind == Name::Kind::function) {
    if (meaning->index < state_.module.functions.size() && state_.module.functions[meaning->index].is_kernel)
      cursor_.fail("a kernel cannot be called");
    call.callee = meaning->index;
  } else {
    call.callee_register = find_register(callee);
    if (call.callee_register == no_index) cursor_.fail(quoted(callee) + " is neither a function nor a register");
  }
  if (cursor_.accept(',')) {
    if (cursor_.at_punctuation('(')) {
      parse_call_list(call.first_argument, call.argument_count);
      if (!cursor_.at_punctuation(';')) cursor_.expect(',');
    }
    if (!cursor_.at_punctuation(';')) {
      const std::string_view name = cursor_.expect_name("a prototype or a list of call targets");
      const Name* prototype = state_.names.find(name);
      if (prototype && prototype->kind == Name::Kind::prototype)
        call.prototype = prototype->index;
      else if (prototype && prototype->kind == Name::Kind::call_targets)
        call.targets = call_targets_[prototype->index];
      else
        cursor_.fail(quoted(name) + " is neither a prototype nor a list of call targets");
    }
  }
  if (call.callee == no_index && call.prototype == no_index && call.targets.empty())
    cursor_.fail("an indirect call needs a prototype or a list of call targets");
  instruction.call = static_cast<Index>(function_.calls.size());
  function_.calls.push_back(std::move(call));
}

Operand FunctionParser::parse_operand() {
  if (depth_ >= deepest_list) cursor_.fail("operands are nested too deeply");
  ++depth_;
  Operand operand = parse_single();
  if (cursor_.accept('|')) {
    const std::size_t mark = scratch_.size();
    scratch_.push_back(operand);
    scratch_.push_back(parse_single());
    for (std::size_t i = mark; i < scratch_.size(); ++i)
      if (scratch_[i].kind != OperandKind::reg && scratch_[i].kind != OperandKind::sink)
        cursor_.fail("'|' stands between two registers");
    operand = {};
    operand.kind = OperandKind::pair;
    store_elements(mark, operand.first, operand.count);
  }
  --depth_;
  return operand;
}

Operand FunctionParser::parse_single() {
  if (cursor_.accept('{')) return parse_list(OperandKind::vector, '}');
  if (cursor_.accept('[')) return parse_address();
  if (cursor_.accept('!')) {
    Operand operand = parse_name();
    if (operand.kind != OperandKind::reg && operand.kind != OperandKind::special)
      cursor_.fail("'!' stands before a predicate");
    operand.negated = true;
    return operand;
  }
  if (cursor_.at_word()) return parse_name();
  return parse_number();
}

Operand FunctionParser::parse_list(OperandKind kind, char close) {
  const std::size_t mark = scratch_.size();
  while (!cursor_.accept(close)) {
    if (scratch_.size() > mark) cursor_.expect(',');
    scratch_.push_back(parse_operand());
  }
  Operand operand;
  operand.kind = kind;
  store_elements(mark, operand.first, operand.count);
  if (operand.count == 0) cursor_.fail("a list of operands is empty");
  return operand;
}

Operand FunctionParser::parse_address() {
  Operand base = cursor_.at_word() ? parse_name() : parse_number();
  Operand address;
  if (base.kind == OperandKind::reg || base.kind == OperandKind::symbol) {
    address = base;
  } else if (base.kind != OperandKind::integer) {
    cursor_.fail("an address starts with a register, a variable or a number");
  }
  address.kind = OperandKind::address;
  address.value = base.value;
  if (cursor_.at_punctuation('+') || cursor_.at_punctuation('-'))
    address.value = static_cast<std::int64_t>(static_cast<std::uint64_t>(address.value) +
                                              static_cast<std::uint64_t>(cursor_.expect_integer("an offset")));
  if (cursor_.accept(',')) {
    Operand rest = parse_list(OperandKind::vector, ']');
    address.first = rest.first;
    address.count = rest.count;
  } else {
    cursor_.expect(']');
  }
  return address;
}

Operand FunctionParser::parse_number() {
  const bool negative = cursor_.accept('-');
  Operand operand;
  std::uint64_t value = 0;
  int bits = 0;
  if (cursor_.at_number() && parse_float(cursor_.peek().text, value, bits)) {
    cursor_.next();
    operand.kind = OperandKind::floating;
    operand.bits = static_cast<std::uint8_t>(bits);
    if (negative) value ^= std::uint64_t{1} << (bits - 1);
  } else {
    value = static_cast<std::uint64_t>(cursor_.expect_integer("an operand"));
    operand.kind = OperandKind::integer;
    if (negative) value = 0 - value;
  }
  operand.value = static_cast<std::int64_t>(value);
  return operand;
}

Operand FunctionParser::parse_name() {
  const std::string_view name = cursor_.expect_name("an operand");
  Operand operand;
  if (name == "_") return operand;
  if (const Index reg = find_register(name); reg != no_index) {
    operand.kind = OperandKind::reg;
    operand.index = reg;
    return operand;
  }
  if (const SpecialRegister special = special_register_of(name); special != SpecialRegister::count) {
    operand.kind = OperandKind::special;
    operand.special = special;
    return operand;
  }
  const Name* meaning = state_.names.find(name);
  if (!meaning || meaning->kind > Name::Kind::function) cursor_.fail(quoted(name) + " is not declared");
  constexpr SymbolKind kinds[] = {SymbolKind::variable, SymbolKind::local, SymbolKind::parameter, SymbolKind::result,
                                  SymbolKind::function};
  operand.kind = OperandKind::symbol;
  operand.symbol = kinds[static_cast<int>(meaning->kind)];
  operand.index = meaning->index;
  if (cursor_.at_punctuation('+') || cursor_.at_punctuation('-')) operand.value = cursor_.expect_integer("an offset");
  return operand;
}

Index FunctionParser::find_register(std::string_view name) {
  // "%r12" is the register of that name, or the thirteenth of %r<...>: whichever is declared further inside.
  std::size_t single_depth = 0, family_depth = 0;
  const Index* single = single_registers_.find(name, &single_depth);
  std::size_t prefix = name.size();
  while (prefix > 0 && is_digit(name[prefix - 1])) --prefix;
  const std::string_view digits = name.substr(prefix);
  const Index* family = nullptr;
  Index which = 0;
  if (!digits.empty() && digits.size() < 9 && (digits.size() == 1 || digits[0] != '0')) {
    for (const char c : digits) which = which * 10 + static_cast<Index>(c - '0');
    family = register_families_.find_if(
        name.substr(0, prefix), [&](Index each) { return which < declared_[each].count; }, &family_depth);
  }
  if (family && (!single || family_depth > single_depth)) return number_of(declared_[*family], which, name);
  return single ? number_of(declared_[*single], 0, name) : no_index;
}

Index FunctionParser::number_of(Registers& registers, Index which, std::string_view name) {
  auto& numbers = registers.numbers;
  if (which >= numbers.size()) {
    const std::size_t size = std::min<std::size_t>(registers.count, std::size_t{which} * 2 + 1);
    if (size - numbers.size() > numbers_left_) cursor_.fail("the function has too many registers");
    numbers_left_ -= size - numbers.size();
    numbers.resize(size, no_index);
  }
  if (numbers[which] == no_index) {
    numbers[which] = static_cast<Index>(function_.registers.size());
    function_.registers.push_back({name, registers.type});
  }
  return numbers[which];
}

}  // namespace emu::ptx
