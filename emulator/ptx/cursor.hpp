#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ptx/lexer.hpp"

namespace emu::ptx {

/// A place in a module's tokens. All fail() and expect...() throw a ParseError that names the line, the function and what
/// stands there.
class Cursor {
 public:
  /// `text` must outlive the cursor. Throws ParseError.
  explicit Cursor(std::string_view text) : text_(text), tokens_(tokenize(text)) {}

  /// The token here, or `ahead` tokens further; the end's forever.
  const Token& peek(std::size_t ahead = 0) const {
    const std::size_t at = at_ + ahead;
    return tokens_[at < tokens_.size() ? at : tokens_.size() - 1];
  }
  const Token& next() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at_end() const { return peek().kind == TokenKind::end; }
  bool at_word() const { return peek().kind == TokenKind::word; }
  bool at_number() const { return peek().kind == TokenKind::number; }
  /// A word that starts with a dot.
  bool at_directive() const { return at_word() && peek().text.front() == '.'; }
  bool at_punctuation(char c, std::size_t ahead = 0) const {
    const Token& token = peek(ahead);
    return token.kind == TokenKind::punctuation && token.text.front() == c;
  }
  bool at_word(std::string_view word) const { return at_word() && peek().text == word; }

  bool accept(char c) { return at_punctuation(c) && (next(), true); }
  bool accept(std::string_view word) { return at_word(word) && (next(), true); }
  void expect(char c);
  void expect(std::string_view word);
  /// A word that is no directive; `what` says in the error what was expected.
  std::string_view expect_name(const char* what);
  std::string_view expect_string(const char* what);
  /// A number with an optional sign; 64 bits.
  std::int64_t expect_integer(const char* what);
  /// A number from 0 to `largest`.
  std::uint64_t expect_unsigned(const char* what, std::uint64_t largest);

  /// Skips tokens to the `close` that ends the `open` here.
  void skip_braces();

  int line() const { return peek().line; }
  std::size_t offset() const { return offset_of(peek()); }
  std::size_t offset_of(const Token& token) const { return static_cast<std::size_t>(token.text.data() - text_.data()); }
  /// The end of the token before this one.
  std::size_t end_of_last() const;

  /// The function that errors name; empty at module scope.
  void set_function(std::string_view name) { function_ = name; }
  [[noreturn]] void fail(const std::string& message) const { fail_at(line(), message); }
  [[noreturn]] void fail_at(int line, const std::string& message) const;

 private:
  std::string_view text_;
  std::string_view function_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// An integer as PTX spells it, without a sign: 12, 0x1F, 0b101, 017, 12U. False if `text` is none, or takes over 64 bits.
bool parse_integer(std::string_view text, std::uint64_t& value);

/// A float: 0f3F800000, 0d3FF0000000000000, 1.5, 1e10. `bits` is 32 or 64.
bool parse_float(std::string_view text, std::uint64_t& value, int& bits);

/// Text in quotes for an error message, cut if it is long.
std::string quoted(std::string_view text);

}  // namespace emu::ptx
