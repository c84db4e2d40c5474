#include <gtest/gtest.h>

#include <string>

#include "ptx/lexer.hpp"
#include "ptx/module.hpp"

namespace emu::ptx {
namespace {

/// The message with which `text` after a header of one line is refused; empty if it is accepted.
std::string message_of(const std::string& text) {
  try {
    Module::parse(".version 8.7 .target sm_90a .address_size 64\n" + text);
  } catch (const ParseError& error) {
    return error.what();
  }
  return {};
}

std::string in_kernel(const std::string& body) {
  return message_of(".entry k(.param .u64 p) {\n.reg .b32 %r<4>; .reg .pred %p<2>;\n" + body + "\n}\n");
}

TEST(PtxErrors, AreOneSentenceWithLineFunctionAndText) {
  EXPECT_EQ(in_kernel("add.s32 %r1, %r2, %r4;"), "line 4: '%r4' is not declared, in 'add.s32 %r1, %r2, %r4;' of k");
  EXPECT_EQ(in_kernel("@%r1 x;"), "line 4: the guard '%r1' is not a predicate, in '@%r1 x;' of k");
  EXPECT_EQ(in_kernel("x;\nbra NOWHERE;\ny;"), "line 5: the label 'NOWHERE' is not defined, in 'bra NOWHERE;' of k");
  EXPECT_EQ(message_of(".bogus 1"), "line 2: the directive '.bogus' is not understood, in '.bogus 1'");
}

TEST(PtxErrors, InFunctions) {
  for (const char* body : {"add.s32 %r1",
                           "add.s32 %r1,, %r2;",
                           "add.s32 %r1 %r2;",
                           "x [%r1;",
                           "x [%r1, ];",
                           "x [[%r1]];",
                           "x [%p];",
                           "x {};",
                           "x {{{{{{%r1}}}}}};",
                           "x %r1|3;",
                           "x !3;",
                           "x -;",
                           "x 0f3F80000;",
                           "x 99999999999999999999;",
                           "x 08;",
                           "x 0x;",
                           "x nothing;",
                           "x %tid;",
                           "@ x;",
                           "@%p1;",
                           "@%p1 .reg .b32 x;",
                           "L: L: x;",
                           "bra;",
                           "bra 5;",
                           "bra L, L; L:",
                           "ret 5;",
                           "brx.idx %r1, T;",
                           "brx.idx 1, T; L: T: .branchtargets L;",
                           "T: .branchtargets NOWHERE;",
                           "call;",
                           "call nothing;",
                           "call %r1;",
                           "call k, (%r1;",
                           "call %r1, (), nothing;",
                           ".reg .b32;",
                           ".reg .b8 x;",
                           ".reg .v2 .b32 x;",
                           ".reg .b32 x, x;",
                           ".reg .b32 x<99999999>;",
                           ".reg %r;",
                           ".bogus;",
                           ".shared .b32 x = 1;",
                           ".local x;",
                           ".loc 1;",
                           ".loc 1 2 3, function_name x",
                           "}}",
                           "{",
                           "x 5",
                           "\"text\";",
                           "x \"text\";",
                           "5;",
                           "{ .reg .b32 inner; } x inner;",
                           "{ INNER: x; } bra INNER;"})
    EXPECT_NE(in_kernel(body), "") << body;
}

TEST(PtxErrors, AtModuleScope) {
  for (const char* text : {"x",
                           "5",
                           "{",
                           ".global",
                           ".global .b32",
                           ".global .b32 x",
                           ".global x;",
                           ".global .pred x;",
                           ".global .align 3 .b8 x;",
                           ".global .b32 x[5",
                           ".global .b32 x[-1];",
                           ".global .b32 x[2][];",
                           ".global .b32 x[99999999999999];",
                           ".global .b8 x[1000000][1000000][1000000];",
                           ".global .b32 x[2] = {1, 2, 3};",
                           ".global .b32 x = {{1}};",
                           ".global .b32 x = ;",
                           ".global .b32 x = 0d3FF0000000000000;",
                           ".global .u64 x = nothing;",
                           ".global .u64 x = generic(nothing);",
                           ".global .b8 x[2] = {0x1F(x), 1};",
                           ".global .b32 x = 0xFF(x);",
                           ".global .b8 x[2][100000000] = {{1}, {1}};",
                           ".shared .b32 x = 1;",
                           ".global .b32 x; .global .b32 x;",
                           ".global .texref x;",
                           ".entry",
                           ".entry 5()",
                           ".entry k(",
                           ".entry k(.param .b32)",
                           ".entry k(.reg .b32 r) {}",
                           ".entry k(.param .b32 a .param .b32 b) {}",
                           ".entry k(.param .b32 a, .param .b32 a) {}",
                           ".entry k() .bogus {}",
                           ".entry k() .maxntid {}",
                           ".entry k() {",
                           ".entry k() {} .entry k() {}",
                           ".global .b32 k; .entry k() {}",
                           ".entry k(.param .align 4 .b8 x[40000]) {}",
                           ".alias a, b;",
                           ".func a(); .func b(); .alias a, b;",
                           ".file",
                           ".file 1",
                           ".section",
                           ".section .x",
                           ".section .x {",
                           ".section .debug_str {",
                           ".address_size 32",
                           ".version x",
                           ".target 5",
                           ".extern",
                           ".visible .visible"})
    EXPECT_NE(message_of(text), "") << text;
  EXPECT_THROW(Module::parse(""), ParseError);
  EXPECT_THROW(Module::parse(".target sm_90a"), ParseError);
}

TEST(PtxErrors, DeepAndLongInputEndsSoon) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += '{';
  EXPECT_NE(in_kernel(deep), "");
  EXPECT_NE(in_kernel("x " + deep + ";"), "");
  EXPECT_NE(message_of(".global .b32 x = " + deep), "");
  EXPECT_NE(in_kernel("x " + std::string(100000, '[')), "");
  EXPECT_NE(in_kernel("x " + std::string(100000, '-')), "");
  EXPECT_NE(in_kernel("x " + std::string(100000, '!')), "");
  std::string families;
  for (int i = 0; i < 1000; ++i)
    families += ".reg .b32 a" + std::to_string(i) + "_<1048576>; x a" + std::to_string(i) + "_1048575;\n";
  EXPECT_NE(in_kernel(families).find("too many registers"), std::string::npos);
}

}  // namespace
}  // namespace emu::ptx
