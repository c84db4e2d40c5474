#include "ptx/lexer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace emu::ptx {
namespace {

// What a character can be. Not <cctype>: that depends on the locale, and is undefined for the negative characters of
// malformed input.
enum : std::uint8_t { blank = 1, digit = 2, letter = 4, other_in_word = 8, punctuation = 16 };

constexpr std::array<std::uint8_t, 256> character_table() {
  std::array<std::uint8_t, 256> table{};
  const auto mark = [&](std::string_view characters, std::uint8_t what) {
    for (const char c : characters) table[static_cast<unsigned char>(c)] |= what;
  };
  mark(" \t\n\v\f\r", blank);
  mark("0123456789", digit);
  mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", letter);
  mark("_$%.", other_in_word);
  mark("{}()[]<>,;:=+-*/@!|&^~?", punctuation);
  return table;
}
constexpr auto characters = character_table();

bool is(char c, unsigned what) { return (characters[static_cast<unsigned char>(c)] & what) != 0; }

/// The end of the word at `at`. Dots belong to it, and a "::" as in ".shared::cta"; one ":" ends a label.
std::size_t end_of_word(std::string_view text, std::size_t at) {
  for (;;) {
    while (at < text.size() && is(text[at], digit | letter | other_in_word)) ++at;
    if (text.substr(at, 2) != "::") return at;
    at += 2;
  }
}

/// The end of the number at `at`: an integer or a float in any form, or a version. A sign belongs to a decimal exponent.
std::size_t end_of_number(std::string_view text, std::size_t at) {
  const std::size_t begin = at;
  const bool decimal = at + 1 >= text.size() || text[at] != '0' || !is(text[at + 1], letter);
  for (; at < text.size(); ++at) {
    if (is(text[at], digit | letter) || text[at] == '.') continue;
    const bool exponent = decimal && at > begin && (text[at - 1] == 'e' || text[at - 1] == 'E');
    if (!exponent || (text[at] != '+' && text[at] != '-')) break;
  }
  return at;
}

}  // namespace

ParseError::ParseError(int line, const std::string& message)
    : std::runtime_error("line " + std::to_string(line) + ": " + message), line_(line) {}

std::vector<Token> tokenize(std::string_view text) {
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 5);
  int line = 1;
  std::size_t at = 0;
  const auto add = [&](TokenKind kind, std::size_t end) {
    tokens.push_back({kind, text.substr(at, end - at), line});
    at = end;
  };
  while (at < text.size()) {
    const char c = text[at];
    if (is(c, blank)) {
      line += c == '\n';
      ++at;
    } else if (is(c, letter | other_in_word)) {
      add(TokenKind::word, end_of_word(text, at));
    } else if (is(c, digit)) {
      add(TokenKind::number, end_of_number(text, at));
    } else if (text.substr(at, 2) == "//") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      const std::size_t close = text.find("*/", at + 2);
      if (close == std::string_view::npos) throw ParseError(line, "a comment without an end");
      for (; at < close + 2; ++at) line += text[at] == '\n';
    } else if (is(c, punctuation)) {
      add(TokenKind::punctuation, at + 1);
    } else if (c == '"') {
      const std::size_t close = text.find_first_of("\"\n", at + 1);
      if (close == std::string_view::npos || text[close] == '\n') throw ParseError(line, "a string without an end");
      ++at;
      add(TokenKind::string, close);
      ++at;
    } else {
      throw ParseError(line, "character " + std::to_string(static_cast<unsigned char>(c)) + " is not PTX");
    }
  }
  tokens.push_back({TokenKind::end, text.substr(text.size()), line});
  return tokens;
}

}  // namespace emu::ptx
