#include <bit>
#include <cstring>

#include "ptx/parse_state.hpp"

// PTX ISA 5.4: variables, their alignment, arrays and initial values.
namespace emu::ptx {
namespace {

constexpr std::uint64_t largest_variable = std::uint64_t{1} << 40;  // in bytes; more than any GPU has
constexpr std::uint64_t largest_alignment = 1 << 16;

class VariableParser {
 public:
  VariableParser(ParseState& state, Space space, std::vector<ParseState::PendingRelocation>* pending)
      : state_(state), cursor_(state.cursor), pending_(pending) {
    variable_.space = space;
  }

  Variable parse() {
    variable_.line = static_cast<Index>(cursor_.line());
    parse_modifiers();
    variable_.name = cursor_.expect_name("the name of a variable");
    parse_dimensions();
    if (cursor_.accept('=')) {
      if (!pending_) cursor_.fail("this variable cannot have an initial value");
      parse_initial_value();
    }
    return std::move(variable_);
  }

 private:
  void parse_modifiers() {
    bool of_pointee = false;  // what follows .ptr tells of what a parameter points to
    while (cursor_.at_directive()) {
      const std::string_view word = cursor_.next().text;
      if (word == ".align") {
        const std::uint64_t alignment = cursor_.expect_unsigned("an alignment", largest_alignment);
        if (!std::has_single_bit(alignment)) cursor_.fail("an alignment must be a power of two");
        if (!of_pointee) variable_.alignment = static_cast<Index>(alignment);
      } else if (word == ".attribute") {
        parse_attribute();
      } else if (word == ".ptr") {
        of_pointee = true;
      } else if (of_pointee &&
                 (word == ".global" || word == ".const" || word == ".shared" || word == ".local" || word == ".param")) {
      } else if (word == ".v2" || word == ".v4" || word == ".v8") {
        vector_ = static_cast<Index>(word[2] - '0');
      } else if (const Type type = type_of(word.substr(1)); type != Type::none && type != Type::pred) {
        variable_.type = type;
      } else {
        cursor_.fail("the declaration has " + quoted(word) + ", which is not understood");
      }
    }
    if (variable_.type == Type::none) cursor_.fail("the declaration has no type");
    element_bytes_ = static_cast<std::uint64_t>(bytes_of(variable_.type));
    variable_.alignment = std::max(variable_.alignment, static_cast<Index>(element_bytes_ * vector_));
  }

  void parse_attribute() {
    cursor_.expect('(');
    int depth = 1;
    while (depth > 0) {
      if (cursor_.at_end()) cursor_.fail("the text ends where ')' is expected");
      if (cursor_.at_word(".managed")) variable_.managed = true;
      depth += cursor_.at_punctuation('(');
      depth -= cursor_.at_punctuation(')');
      cursor_.next();
    }
  }

  void parse_dimensions() {
    std::uint64_t count = vector_;
    while (cursor_.accept('[')) {
      std::uint64_t extent = 0;
      if (cursor_.at_punctuation(']')) {
        if (!extents_.empty()) cursor_.fail("only the first dimension of an array may be open");
      } else {
        extent = cursor_.expect_unsigned("the extent of an array", largest_variable);
      }
      cursor_.expect(']');
      extents_.push_back(extent);
      if (extent != 0 && count > largest_variable / extent) cursor_.fail("the array is too large");
      count *= extent;
      if (extents_.size() > 8) cursor_.fail("the array has too many dimensions");
    }
    if (count > largest_variable / element_bytes_) cursor_.fail("the array is too large");
    variable_.size = count * element_bytes_;
    open_ = !extents_.empty() && extents_.front() == 0;
    if (vector_ > 1) extents_.push_back(vector_);
  }

  void parse_initial_value() {
    put_value(0, 0);
    if (open_ && variable_.size == 0) variable_.size = variable_.initial.size();
    if (variable_.initial.size() > variable_.size) cursor_.fail("the initial value is larger than the variable");
  }

  /// One value, or a list in braces for the dimensions from `dimension` on, at byte `offset`. Returns where it ends.
  std::uint64_t put_value(std::size_t dimension, std::uint64_t offset) {
    if (!cursor_.accept('{')) return put_scalar(offset), offset + element_bytes_;
    if (dimension >= extents_.size()) cursor_.fail("the initial value has more dimensions than the variable");
    std::uint64_t inner = element_bytes_;  // bytes of an element of this dimension, where that is a list
    for (std::size_t i = dimension + 1; i < extents_.size(); ++i) inner *= extents_[i];
    while (!cursor_.accept('}')) {
      const bool list = cursor_.at_punctuation('{');
      const std::uint64_t end = put_value(dimension + 1, offset);
      offset = list ? offset + inner : end;
      if (!cursor_.at_punctuation('}')) cursor_.expect(',');
    }
    return offset;
  }

  void put_scalar(std::uint64_t offset) {
    const std::uint64_t end = offset + element_bytes_;
    if (end > variable_.initial.size()) {
      const std::uint64_t more = end - variable_.initial.size();
      if (more > state_.initial_bytes_left) cursor_.fail("the initial value is too large for its text");
      state_.initial_bytes_left -= more;
      variable_.initial.resize(end);
    }
    const std::uint64_t value = parse_scalar(offset);
    const std::uint64_t zero = 0;
    for (std::uint64_t i = 0; i < element_bytes_; i += 8)
      std::memcpy(variable_.initial.data() + offset + i, i ? &zero : &value,
                  std::min<std::uint64_t>(element_bytes_ - i, 8));
  }

  /// The bits of a number; for a symbol 0, and a relocation at `offset`.
  std::uint64_t parse_scalar(std::uint64_t offset) {
    if (cursor_.at_word()) return parse_symbol(offset, 0), 0;
    if (cursor_.at_number() && cursor_.at_punctuation('(', 1)) {
      const std::uint64_t mask = cursor_.expect_unsigned("a mask", ~std::uint64_t{0});
      const int shift = mask ? std::countr_zero(mask) : 0;
      if (mask == 0 || shift % 8 != 0 || mask >> shift != 0xFF || element_bytes_ != 1)
        cursor_.fail("a mask must take one byte of an address, for a variable of bytes");
      cursor_.expect('(');
      parse_symbol(offset, shift);
      cursor_.expect(')');
      return 0;
    }
    const bool negative = cursor_.accept('-');
    std::uint64_t value = 0;
    int bits = 0;
    if (cursor_.at_number() && parse_float(cursor_.peek().text, value, bits)) {
      if (!is_float(variable_.type) || bits != bits_of(variable_.type))
        cursor_.fail("the initial value " + quoted(cursor_.peek().text) + " does not fit the variable's type ." +
                     std::string(name_of(variable_.type)));
      cursor_.next();
      return negative ? value ^ (std::uint64_t{1} << (bits - 1)) : value;
    }
    value = static_cast<std::uint64_t>(cursor_.expect_integer("an initial value"));
    return negative ? 0 - value : value;
  }

  /// "name", "generic(name)", either with "+ bytes".
  void parse_symbol(std::uint64_t offset, int shift) {
    Relocation relocation;
    relocation.offset = offset;
    relocation.bytes = static_cast<std::uint8_t>(element_bytes_);
    relocation.shift = static_cast<std::uint8_t>(shift);
    relocation.generic = cursor_.at_word("generic") && cursor_.at_punctuation('(', 1);
    if (relocation.generic) cursor_.next(), cursor_.next();
    const int line = cursor_.line();
    const std::string_view name = cursor_.expect_name("the name of a variable or function");
    if (relocation.generic) cursor_.expect(')');
    if (cursor_.at_punctuation('+') || cursor_.at_punctuation('-'))
      relocation.addend = cursor_.expect_integer("an offset");
    pending_->push_back({0, static_cast<Index>(variable_.relocations.size()), name, line});
    variable_.relocations.push_back(relocation);
  }

  ParseState& state_;
  Cursor& cursor_;
  std::vector<ParseState::PendingRelocation>* pending_;
  Variable variable_;
  std::uint64_t element_bytes_ = 0;
  Index vector_ = 1;
  std::vector<std::uint64_t> extents_;  // 0: open
  bool open_ = false;
};

}  // namespace

Variable parse_variable(ParseState& state, Space space, std::vector<ParseState::PendingRelocation>* pending) {
  return VariableParser(state, space, pending).parse();
}

std::vector<Parameter> parse_parameters(ParseState& state, std::uint64_t& bytes) {
  Cursor& cursor = state.cursor;
  std::vector<Parameter> parameters;
  bytes = 0;
  cursor.expect('(');
  while (!cursor.accept(')')) {
    if (!parameters.empty()) cursor.expect(',');
    if (cursor.at_word(".reg")) cursor.fail("parameters in registers are not supported");
    cursor.expect(".param");
    const Variable variable = parse_variable(state, Space::param, nullptr);
    Parameter parameter{variable.name, variable.type, variable.alignment, variable.size, 0, false};
    parameter.is_array = variable.size != static_cast<std::uint64_t>(bytes_of(variable.type));
    parameter.offset = align_up(bytes, parameter.alignment);
    bytes = parameter.offset + parameter.size;
    parameters.push_back(parameter);
  }
  return parameters;
}

}  // namespace emu::ptx
