#include "ptx/parse_state.hpp"

// PTX ISA 11.5: debugging directives.
namespace emu::ptx {
namespace {

constexpr std::uint64_t largest_number = 0x7fffffff;

Location parse_place(Cursor& cursor) {
  Location place;
  place.file = static_cast<Index>(cursor.expect_unsigned("the number of a file", largest_number));
  place.line = static_cast<Index>(cursor.expect_unsigned("a line", largest_number));
  place.column = static_cast<Index>(cursor.expect_unsigned("a column", largest_number));
  return place;
}

/// Different places may share a key; only inlining that is shown is at stake.
std::uint64_t key_of(const Location& place) {
  return (std::uint64_t{place.file} << 48) ^ (std::uint64_t{place.line} << 16) ^ place.column;
}

}  // namespace

void parse_file(ParseState& state) {
  Cursor& cursor = state.cursor;
  const auto number = static_cast<Index>(cursor.expect_unsigned("the number of a file", largest_number));
  state.module.files[number] = cursor.expect_string("the name of a file");
  for (int i = 0; i < 2 && cursor.accept(','); ++i) cursor.expect_integer("a time or a size of a file");
}

Index parse_location(ParseState& state) {
  Cursor& cursor = state.cursor;
  auto& locations = state.module.locations;
  Location location = parse_place(cursor);
  std::string_view name;
  if (cursor.at_punctuation(',') && cursor.peek(1).text == "function_name") {
    cursor.next(), cursor.next();
    name = cursor.expect_name("the label of a name");
    if (cursor.at_punctuation('+')) cursor.expect_integer("an offset");
    cursor.expect(',');
    cursor.expect("inlined_at");
    const Location caller = parse_place(cursor);
    // The call was inlined from the place last named so; it may have been inlined in turn.
    const auto [at, is_new] = state.locations.try_emplace(key_of(caller), static_cast<Index>(locations.size()));
    if (is_new) locations.push_back(caller);
    location.inlined_at = at->second;
  }
  const auto index = static_cast<Index>(locations.size());
  if (!name.empty()) state.inlined_names[index] = name;
  state.locations[key_of(location)] = index;
  locations.push_back(std::move(location));
  return index;
}

void parse_section(ParseState& state) {
  Cursor& cursor = state.cursor;
  if (!cursor.at_directive()) cursor.fail("the name of a section is expected");
  if (!cursor.accept(".debug_str")) {
    cursor.next();
    cursor.skip_braces();
    return;
  }
  std::unordered_map<std::string_view, std::string> names;
  std::string* name = nullptr;
  bool ended = false;
  cursor.expect('{');
  while (!cursor.accept('}')) {
    if (cursor.at_end()) cursor.fail("the text ends where '}' is expected");
    if (cursor.at_word() && cursor.at_punctuation(':', 1)) {
      name = &names[cursor.next().text];
      name->clear();
      ended = false;
    } else if (name && !ended && cursor.at_number()) {
      std::uint64_t byte = 0;
      ended = !parse_integer(cursor.peek().text, byte) || byte == 0 || byte > 0x7e;
      if (!ended) name->push_back(static_cast<char>(byte));
    }
    cursor.next();
  }
  for (const auto& [location, label] : state.inlined_names)
    if (const auto at = names.find(label); at != names.end()) state.module.locations[location].function = at->second;
}

}  // namespace emu::ptx
