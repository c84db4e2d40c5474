#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace emu::ptx {

enum class TokenKind {
  word,         // opcode, identifier, directive or register: dots belong to it ("add.s32", ".reg", "%tid.x", "_")
  number,       // integer or 0f / 0d hexadecimal float, as spelled; a sign is punctuation
  string,       // without its quotes
  punctuation,  // one character
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;  // into the module's text
  int line = 0;           // of the PTX, from 1
};

/// Malformed PTX; what() starts with the line.
class ParseError : public std::runtime_error {
 public:
  ParseError(int line, const std::string& message);
  int line() const { return line_; }

 private:
  int line_;
};

/// The tokens of `text`, which must outlive them; the last one is `end`. Throws ParseError.
std::vector<Token> tokenize(std::string_view text);

}  // namespace emu::ptx
