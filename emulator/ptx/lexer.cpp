#include "ptx/lexer.hpp"

#include <algorithm>
#include <cstddef>

namespace emu::ptx {
namespace {

// Not <cctype>: those depend on the locale, and are undefined for the negative characters of malformed input.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool starts_word(char c) { return is_letter(c) || c == '_' || c == '$' || c == '%' || c == '.'; }
bool continues_word(char c) { return starts_word(c) || is_digit(c); }
bool continues_number(char c) { return is_letter(c) || is_digit(c) || c == '.'; }  // ".version 8.7"

}  // namespace

ParseError::ParseError(int line, const std::string& message)
    : std::runtime_error("line " + std::to_string(line) + ": " + message), line_(line) {}

std::vector<Token> tokenize(std::string_view text) {
  constexpr std::string_view punctuation = "{}()[]<>,;:=+-*/@!|&^~?";
  std::vector<Token> tokens;
  int line = 1;
  size_t at = 0;
  const auto add = [&](TokenKind kind, size_t end) {
    tokens.push_back({kind, text.substr(at, end - at), line});
    at = end;
  };
  while (at < text.size()) {
    const char c = text[at];
    if (is_space(c)) {
      line += c == '\n';
      ++at;
    } else if (text.substr(at, 2) == "//") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      const size_t close = text.find("*/", at + 2);
      if (close == std::string_view::npos) throw ParseError(line, "a comment without an end");
      for (; at < close + 2; ++at) line += text[at] == '\n';
    } else if (c == '"') {
      const size_t close = text.find_first_of("\"\n", at + 1);
      if (close == std::string_view::npos || text[close] == '\n') throw ParseError(line, "a string without an end");
      ++at;
      add(TokenKind::string, close);
      ++at;
    } else if (is_digit(c) || starts_word(c)) {
      // A "::" inside a word is a qualifier's (".shared::cta"); one ":" ends a label.
      const bool number = is_digit(c);
      size_t end = at + 1;
      for (;;) {
        if (end < text.size() && (number ? continues_number(text[end]) : continues_word(text[end]))) {
          ++end;
        } else if (!number && text.substr(end, 2) == "::") {
          end += 2;
        } else {
          break;
        }
      }
      add(number ? TokenKind::number : TokenKind::word, end);
    } else if (punctuation.find(c) != std::string_view::npos) {
      add(TokenKind::punctuation, at + 1);
    } else {
      throw ParseError(line, "character " + std::to_string(static_cast<unsigned char>(c)) + " is not PTX");
    }
  }
  tokens.push_back({TokenKind::end, text.substr(text.size()), line});
  return tokens;
}

}  // namespace emu::ptx
