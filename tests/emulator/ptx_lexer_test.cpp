#include "ptx/lexer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace emu::ptx {
namespace {

std::vector<std::string> texts(std::string_view text) {
  std::vector<std::string> result;
  for (const Token& token : tokenize(text)) result.emplace_back(token.text);
  result.pop_back();  // the end
  return result;
}

using Texts = std::vector<std::string>;

TEST(PtxLexer, Instructions) {
  EXPECT_EQ(texts("@!%p1 ld.shared::cta.b32 %r1, [%rd2+-16];"),
            (Texts{"@", "!", "%p1", "ld.shared::cta.b32", "%r1", ",", "[", "%rd2", "+", "-", "16", "]", ";"}));
  EXPECT_EQ(texts("$L__BB0_1: mov.f32 %f1, 0f3F800000;"),
            (Texts{"$L__BB0_1", ":", "mov.f32", "%f1", ",", "0f3F800000", ";"}));
  EXPECT_EQ(texts("elect.sync _|%p, -1"), (Texts{"elect.sync", "_", "|", "%p", ",", "-", "1"}));
}

TEST(PtxLexer, Numbers) {
  EXPECT_EQ(texts("1e-5 1.5E+3-2 0x1e+5 0f3F80000e-1 12U"),
            (Texts{"1e-5", "1.5E+3", "-", "2", "0x1e", "+", "5", "0f3F80000e", "-", "1", "12U"}));
}

TEST(PtxLexer, Directives) {
  EXPECT_EQ(texts(".version 8.7 .reg .b32 %r<10>; .file 1 \"a b.cu\""),
            (Texts{".version", "8.7", ".reg", ".b32", "%r", "<", "10", ">", ";", ".file", "1", "a b.cu"}));
}

TEST(PtxLexer, Lines) {
  const auto tokens = tokenize("a // x\n/* \n */ b\nc");
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0].line, 1);
  EXPECT_EQ(tokens[1].line, 3);
  EXPECT_EQ(tokens[2].line, 4);
  EXPECT_EQ(tokens[3].kind, TokenKind::end);
}

TEST(PtxLexer, Malformed) {
  for (const char* text : {"\n/* a", "\n\"a", "\n\"a\n\"", "\n\x80", "\n#"}) {
    try {
      tokenize(text);
      ADD_FAILURE() << text;
    } catch (const ParseError& error) {
      EXPECT_EQ(error.line(), 2) << text;
    }
  }
  EXPECT_TRUE(texts("").empty());
  EXPECT_TRUE(texts("//").empty());
}

}  // namespace
}  // namespace emu::ptx
