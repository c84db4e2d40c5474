#include "ptx/cursor.hpp"

#include <bit>
#include <charconv>

namespace emu::ptx {
namespace {

/// The line that `offset` lies on, without the blanks around it.
std::string_view line_around(std::string_view text, std::size_t offset) {
  const std::size_t before = offset ? text.find_last_of('\n', offset - 1) : std::string_view::npos;
  std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  std::size_t end = std::min(text.find('\n', offset), text.size());
  while (begin < end && (text[begin] == ' ' || text[begin] == '\t')) ++begin;
  while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t' || text[end - 1] == '\r')) --end;
  return text.substr(begin, end - begin);
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 160;
  std::string result = "'";
  for (const char c : text.substr(0, longest)) result += c == '\n' || c == '\t' || c == '\r' ? ' ' : c;
  return result + (text.size() > longest ? "...'" : "'");
}

void Cursor::fail_at(int line, const std::string& message) const {
  std::string text = message;
  // The first token of that line, or the one here: any will do to find the line's text.
  std::size_t at = at_;
  while (at > 0 && tokens_[at].line > line) --at;
  if (tokens_[at].line == line && tokens_[at].kind != TokenKind::end)
    text += ", in " + quoted(line_around(text_, offset_of(tokens_[at])));
  if (!function_.empty()) text += " of " + std::string(function_);
  throw ParseError(line, text);
}

std::size_t Cursor::end_of_last() const {
  if (at_ == 0) return 0;
  const Token& last = tokens_[at_ - 1];
  return offset_of(last) + last.text.size();
}

void Cursor::expect(char c) {
  if (!accept(c))
    fail(at_end() ? std::string("the text ends where '") + c + "' is expected"
                  : std::string("'") + c + "' is expected before " + quoted(peek().text));
}

void Cursor::expect(std::string_view word) {
  if (!accept(word)) fail(std::string(word) + " is expected before " + quoted(peek().text));
}

std::string_view Cursor::expect_name(const char* what) {
  if (!at_word() || at_directive()) fail(std::string(what) + " is expected before " + quoted(peek().text));
  return next().text;
}

std::string_view Cursor::expect_string(const char* what) {
  if (peek().kind != TokenKind::string) fail(std::string(what) + " is expected before " + quoted(peek().text));
  return next().text;
}

std::int64_t Cursor::expect_integer(const char* what) {
  bool negative = false;
  while (at_punctuation('+') || at_punctuation('-')) negative ^= next().text.front() == '-';
  std::uint64_t value = 0;
  if (!at_number() || !parse_integer(peek().text, value))
    fail(std::string(what) + " is expected, an integer of at most 64 bits, before " + quoted(peek().text));
  next();
  return static_cast<std::int64_t>(negative ? 0 - value : value);
}

std::uint64_t Cursor::expect_unsigned(const char* what, std::uint64_t largest) {
  std::uint64_t value = 0;
  if (!at_number() || !parse_integer(peek().text, value) || value > largest)
    fail(std::string(what) + " is expected, a number of at most " + std::to_string(largest) + ", before " +
         quoted(peek().text));
  next();
  return value;
}

void Cursor::skip_braces() {
  expect('{');
  for (std::size_t depth = 1; depth > 0;) {
    if (at_end()) fail("the text ends where '}' is expected");
    depth += at_punctuation('{');
    depth -= at_punctuation('}');
    next();
  }
}

bool parse_integer(std::string_view text, std::uint64_t& value) {
  if (!text.empty() && text.back() == 'U') text.remove_suffix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const bool hex = text[1] == 'x' || text[1] == 'X', binary = text[1] == 'b' || text[1] == 'B';
    base = hex ? 16 : binary ? 2 : 8;
    text.remove_prefix(hex || binary ? 2 : 1);
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

bool parse_float(std::string_view text, std::uint64_t& value, int& bits) {
  const char form = text.size() > 1 && text[0] == '0' ? text[1] : '\0';
  if (form == 'f' || form == 'F' || form == 'd' || form == 'D') {
    bits = form == 'f' || form == 'F' ? 32 : 64;
    text.remove_prefix(2);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc{} && end == text.data() + text.size() && text.size() == std::size_t(bits / 4);
  }
  if (form == 'x' || form == 'X' || text.find_first_of(".eE") == std::string_view::npos) return false;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  value = std::bit_cast<std::uint64_t>(number);
  bits = 64;
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace emu::ptx
