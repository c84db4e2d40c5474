#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ptx/cursor.hpp"
#include "ptx/module.hpp"
#include "ptx/scoped_names.hpp"

namespace emu::ptx {

/// What an identifier other than a register or a label means.
struct Name {
  enum class Kind : std::uint8_t {
    variable,
    local,
    parameter,
    result,
    function,
    branch_table,
    prototype,
    call_targets
  };
  Kind kind;
  Index index;
};

/// What the parts of the parser share.
struct ParseState {
  ParseState(Module& module, std::string_view text) : module(module), cursor(text) {
    initial_bytes_left += text.size() * 16;
  }

  Module& module;
  Cursor cursor;
  ScopedNames<Name> names;

  /// Initial values may name what is declared later; resolved at the end of the text.
  struct PendingRelocation {
    Index variable, relocation;
    std::string_view name;
    int line;
  };
  std::vector<PendingRelocation> relocations;
  /// Bounds what a small text can make the parser allocate: initial values of a few bytes and many zeros.
  std::size_t initial_bytes_left = 1 << 20;

  std::unordered_map<std::string_view, Index> opcodes;        // by text
  std::unordered_map<std::uint64_t, Index> locations;         // the last one of each place
  std::unordered_map<Index, std::string_view> inlined_names;  // labels in .debug_str, by location
};

// ---- declarations.cpp ----

/// What follows the state space: ".align 4 .b8 name[16] = {1, 2}", up to the ';', ',' or ')'. `pending` takes the symbols
/// of its initial value; without it there may be none.
Variable parse_variable(ParseState& state, Space space, std::vector<ParseState::PendingRelocation>* pending);

/// "(.param .b32 a, .param .align 8 .b8 b[16])"; gives offsets, and the size of the block in `bytes`.
std::vector<Parameter> parse_parameters(ParseState& state, std::uint64_t& bytes);

/// `value` rounded up to a multiple of `alignment`, a power of two.
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// ---- locations.cpp ----

/// After ".file".
void parse_file(ParseState& state);
/// After ".loc": the index of the location.
Index parse_location(ParseState& state);
/// After ".section": keeps the names of inlined functions, skips all else.
void parse_section(ParseState& state);

// ---- function_parser.cpp ----

/// The body in braces of a function whose header is parsed; its parameters are declared in the scope that is open.
void parse_body(ParseState& state, Function& function);

}  // namespace emu::ptx
