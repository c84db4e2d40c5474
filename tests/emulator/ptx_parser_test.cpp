#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ptx/lexer.hpp"
#include "ptx/module.hpp"

namespace emu::ptx {
namespace {

const std::string head = ".version 8.7\n.target sm_90a\n.address_size 64\n";

/// A module with one kernel `k` of one 64-bit parameter `p`, and that body.
Module kernel(const std::string& body) {
  return Module::parse(head +
                       ".global .align 4 .b8 table[64];\n"
                       ".entry k(.param .u64 p)\n{\n"
                       ".reg .pred %p<9>; .reg .b16 %rs<9>; .reg .b32 %r<99>; .reg .b64 %rd<9>; .reg .f32 %f<99>;\n" +
                       body + "\n}\n");
}

const Function& only(const Module& module) { return module.functions.front(); }

std::vector<std::string> texts(const Module& module) {
  std::vector<std::string> result;
  for (const Instruction& each : only(module).instructions) result.push_back(module.text_of(each));
  return result;
}

const std::string_view& name_of_register(const Function& function, const Operand& operand) {
  return function.registers.at(operand.index).name;
}

TEST(PtxParser, Header) {
  const Module module = Module::parse(".version 9.0\n.target sm_90a, debug\n.address_size 64\n");
  EXPECT_EQ(module.version_major, 9);
  EXPECT_EQ(module.version_minor, 0);
  EXPECT_EQ(module.target, "sm_90a");
  EXPECT_EQ(module.address_bits, 64);
  EXPECT_TRUE(module.functions.empty());
}

TEST(PtxParser, Opcodes) {
  const Module module =
      kernel("ld.shared::cta.v4.b32 {%r1, %r2, %r3, %r4}, [%rd1];\nadd.s32 %r1, %r2, 5;\nadd.s32 %r1, %r1, %r2;\nret;");
  ASSERT_EQ(only(module).instructions.size(), 4u);
  const auto& instructions = only(module).instructions;
  const Opcode& load = module.opcode_of(instructions[0]);
  EXPECT_EQ(load.text, "ld.shared::cta.v4.b32");
  EXPECT_EQ(load.parts, (std::vector<std::string_view>{"ld", "shared::cta", "v4", "b32"}));
  EXPECT_EQ(load.name(), "ld");
  EXPECT_TRUE(load.has("v4"));
  EXPECT_FALSE(load.has("v2"));
  EXPECT_EQ(instructions[1].opcode, instructions[2].opcode) << "interned";
  EXPECT_EQ(instructions[1].line, 9u);
}

TEST(PtxParser, AnOpcodeOverSeveralLines) {
  const Module module = kernel("mbarrier.arrive\n  .shared::cta\n  .b64 _, [%r1];");
  EXPECT_EQ(module.opcode_of(only(module).instructions[0]).text, "mbarrier.arrive.shared::cta.b64");
  EXPECT_EQ(texts(module)[0], "mbarrier.arrive .shared::cta .b64 _, [%r1]");
}

TEST(PtxParser, Operands) {
  const Module module = kernel(
      "x %r1, -7, 0x10, 0xffffffffffffffff, 012, 0b11, 8U, 0f3F800000, 0dBFF0000000000000, -1.5, 1e3, %tid.x, WARP_SZ, "
      "_;");
  const Function& function = only(module);
  const auto operands = function.operands_of(function.instructions[0]);
  ASSERT_EQ(operands.size(), 14u);
  EXPECT_TRUE(operands[0].is_register());
  EXPECT_EQ(name_of_register(function, operands[0]), "%r1");
  EXPECT_EQ(function.registers[operands[0].index].type, Type::b32);
  const std::int64_t integers[] = {-7, 16, -1, 10, 3, 8};
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(operands[1 + i].kind, OperandKind::integer);
    EXPECT_EQ(operands[1 + i].value, integers[i]);
  }
  EXPECT_EQ(operands[7].kind, OperandKind::floating);
  EXPECT_EQ(operands[7].bits, 32);
  EXPECT_EQ(operands[7].value, 0x3F800000);
  EXPECT_EQ(operands[8].bits, 64);
  EXPECT_EQ(static_cast<std::uint64_t>(operands[8].value), 0xBFF0000000000000u);
  EXPECT_EQ(static_cast<std::uint64_t>(operands[9].value), 0xBFF8000000000000u);
  EXPECT_EQ(static_cast<std::uint64_t>(operands[10].value), 0x408F400000000000u);
  EXPECT_EQ(operands[11].special, SpecialRegister::tid_x);
  EXPECT_EQ(operands[12].special, SpecialRegister::warp_size);
  EXPECT_EQ(operands[13].kind, OperandKind::sink);
}

TEST(PtxParser, Addresses) {
  const Module module = kernel(
      "x [%rd1], [%rd1+8], [%rd2+-16], [%rd2-16], [p], [p+4], [table+12], [256];\n"
      "y [%rd1, {%r1, %r2}], [%r3], [%rd1, {%r1, _}, {%rs1, %rs2}];\n"
      "z table, table+8, p;");
  const Function& function = only(module);
  const auto x = function.operands_of(function.instructions[0]);
  const std::int64_t offsets[] = {0, 8, -16, -16, 0, 4, 12, 256};
  ASSERT_EQ(x.size(), 8u);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(x[i].kind, OperandKind::address);
    EXPECT_EQ(x[i].value, offsets[i]) << i;
    EXPECT_EQ(x[i].has_register_base(), i < 4) << i;
    EXPECT_EQ(x[i].count, 0u);
  }
  EXPECT_EQ(x[5].symbol, SymbolKind::parameter);
  EXPECT_EQ(x[6].symbol, SymbolKind::variable);
  EXPECT_EQ(module.variables[x[6].index].name, "table");
  EXPECT_EQ(x[7].index, no_index);

  const auto y = function.operands_of(function.instructions[1]);
  ASSERT_EQ(y.size(), 3u);
  const auto coordinates = function.elements_of(y[0]);
  ASSERT_EQ(coordinates.size(), 1u);
  EXPECT_EQ(coordinates[0].kind, OperandKind::vector);
  EXPECT_EQ(name_of_register(function, function.elements_of(coordinates[0])[1]), "%r2");
  ASSERT_EQ(function.elements_of(y[2]).size(), 2u);
  EXPECT_EQ(function.elements_of(function.elements_of(y[2])[0])[1].kind, OperandKind::sink);

  const auto z = function.operands_of(function.instructions[2]);
  EXPECT_EQ(z[0].kind, OperandKind::symbol);
  EXPECT_EQ(z[1].value, 8);
  EXPECT_EQ(z[2].symbol, SymbolKind::parameter);
}

TEST(PtxParser, Predicates) {
  const Module module =
      kernel("@%p1 x %p2|%p3, !%p4;\n@!%p1 elect.sync _|%p5, -1;\nshfl.sync.down.b32 %r1|%p1, %r2, 1, 31, -1;");
  const Function& function = only(module);
  EXPECT_EQ(function.registers[function.instructions[0].guard].name, "%p1");
  EXPECT_FALSE(function.instructions[0].guard_negated);
  EXPECT_TRUE(function.instructions[1].guard_negated);
  EXPECT_EQ(function.instructions[2].guard, no_index);
  const auto x = function.operands_of(function.instructions[0]);
  ASSERT_EQ(x[0].kind, OperandKind::pair);
  EXPECT_EQ(name_of_register(function, function.elements_of(x[0])[1]), "%p3");
  EXPECT_TRUE(x[1].negated);
  const auto elect = function.operands_of(function.instructions[1]);
  EXPECT_EQ(function.elements_of(elect[0])[0].kind, OperandKind::sink);
  EXPECT_EQ(texts(module)[1], "@!%p1 elect.sync _|%p5, -1");
}

TEST(PtxParser, ScopesHideRegistersAndLabels) {
  const Module module = kernel(
      "{ .reg .pred P1; LAB_WAIT: x P1; @P1 bra DONE; bra LAB_WAIT; DONE: }\n"
      "{ .reg .pred P1; LAB_WAIT: x P1; @P1 bra DONE; bra LAB_WAIT; DONE: }\n"
      "{ .reg .b64 %r1; y %r1; { .reg .f32 %r<3>; y %r1; y %r2; y %r3; } y %r1; }\n"
      "y %r1;");
  const Function& function = only(module);
  const auto target = [&](int i) { return function.operands_of(function.instructions[i])[0].index; };
  EXPECT_EQ(target(1), 3u);
  EXPECT_EQ(target(2), 0u);
  EXPECT_EQ(target(4), 6u);
  EXPECT_EQ(target(5), 3u);
  EXPECT_NE(target(0), target(3)) << "two registers P1";
  const Type types[] = {Type::b64, Type::f32, Type::f32, Type::b32, Type::b64, Type::b32};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(function.registers[target(6 + i)].type, types[i]) << i;
  EXPECT_EQ(target(6), target(10));
}

TEST(PtxParser, OnlyRegistersInUseAreNumbered) {
  const Module module = kernel("add.s32 %r98, %r7, %r98;");
  EXPECT_EQ(only(module).registers.size(), 2u);
}

TEST(PtxParser, Branches) {
  const Module module =
      kernel("@%p1 bra.uni $B;\n$A: x;\n$T: .branchtargets $A, $B, $A;\nbrx.idx %r1, $T;\n$B: @%p1 exit;\nbra $A;\n");
  const Function& function = only(module);
  ASSERT_EQ(function.instructions.size(), 5u);
  EXPECT_EQ(function.instructions[0].control, Control::branch);
  EXPECT_EQ(function.operands_of(function.instructions[0])[0].index, 3u);
  EXPECT_EQ(function.instructions[2].control, Control::indexed_branch);
  const auto brx = function.operands_of(function.instructions[2]);
  EXPECT_EQ(function.branch_tables[brx[1].index].targets, (std::vector<Index>{1, 3, 1}));
  EXPECT_EQ(function.instructions[3].control, Control::exit);
  EXPECT_EQ(function.operands_of(function.instructions[4])[0].index, 1u);
}

TEST(PtxParser, TheEndReturns) {
  EXPECT_EQ(texts(kernel("")), (std::vector<std::string>{"ret"}));
  EXPECT_EQ(texts(kernel("x;")), (std::vector<std::string>{"x", "ret"}));
  EXPECT_EQ(texts(kernel("ret;")), (std::vector<std::string>{"ret"}));
  EXPECT_EQ(texts(kernel("@%p1 ret;")), (std::vector<std::string>{"@%p1 ret", "ret"}));
  EXPECT_EQ(texts(kernel("ret; LATE:")), (std::vector<std::string>{"ret"}));
  EXPECT_EQ(texts(kernel("L: bra LATE; bra L; LATE:")), (std::vector<std::string>{"bra LATE", "bra L", "ret"}));
}

TEST(PtxParser, Calls) {
  const Module module = Module::parse(head + R"(
.func (.param .b32 result) f (.param .b64 a, .param .align 8 .b8 b[16]);
.extern .func __assertfail(.param .b64 x) .noreturn;
.func g()
{
  .reg .b32 %r<9>;
  .reg .b64 %rd<9>;
  { .param .b64 param0; .param .align 8 .b8 param1[16]; .param .b32 retval0;
    st.param.b64 [param0+0], %rd1;
    call.uni (retval0), f, (param0, param1);
    ld.param.b32 %r1, [retval0+0]; }
  { .param .b32 param0;
    p: .callprototype (.param .b32 _) _ (.param .b64 _, .param .b32 _);
    targets: .calltargets f, g;
    call (param0), %rd2, (param0, %r1), p;
    call %rd2, (), targets; }
  call g;
  ret;
}
.func (.param .b32 result) f (.param .b64 a, .param .align 8 .b8 b[16])
{
  .reg .b32 %r<2>;
  st.param.b32 [result], %r1;
  ret;
}
)");
  ASSERT_EQ(module.functions.size(), 3u);
  EXPECT_EQ(module.find_function("f"), 0u);
  EXPECT_TRUE(module.functions[0].has_body);
  EXPECT_EQ(module.functions[0].parameter_bytes, 24u);
  EXPECT_EQ(module.functions[0].operands_of(module.functions[0].instructions[0])[0].symbol, SymbolKind::result);
  EXPECT_FALSE(module.functions[1].has_body);
  EXPECT_TRUE(module.functions[1].no_return);
  const Function& g = module.functions[2];
  ASSERT_EQ(g.calls.size(), 4u);
  EXPECT_EQ(g.instructions[1].control, Control::call);
  EXPECT_EQ(g.calls[0].callee, 0u);
  EXPECT_EQ(g.calls[0].argument_count, 2u);
  EXPECT_EQ(g.operands[g.calls[0].first_argument + 1].symbol, SymbolKind::local);
  EXPECT_EQ(g.variables[g.operands[g.calls[0].first_result].index].name, "retval0");
  EXPECT_EQ(g.calls[1].callee, no_index);
  EXPECT_EQ(g.registers[g.calls[1].callee_register].name, "%rd2");
  EXPECT_EQ(g.prototypes[g.calls[1].prototype].parameters.size(), 2u);
  EXPECT_EQ(g.calls[2].targets, (std::vector<Index>{0, 2}));
  EXPECT_EQ(g.calls[3].callee, 2u) << "itself";
  // The frames of the two blocks overlap.
  EXPECT_EQ(g.variables[1].offset, 8u);
  EXPECT_EQ(g.variables[2].offset, 24u);
  EXPECT_EQ(g.variables[3].offset, 0u);
  EXPECT_EQ(g.call_param_bytes, 28u);
}

TEST(PtxParser, Locations) {
  const Module module = kernel(
      ".loc 1 10 3\nx;\n.loc 2 20 5, function_name $name, inlined_at 1 10 3\ny;\n"
      ".loc 1 30 1, function_name $name, inlined_at 2 20 5\nz;\n}\n"
      ".file 1 \"a.cu\"\n.file 2 \"b.cuh\", 123, 456\n.section .debug_str\n{\n$name:\n.b8 95,90\n.b8 102,0\n}\n"
      ".entry other()\n{");
  const auto place = [&](int i) { return module.place_of(only(module).instructions[i]); };
  EXPECT_EQ(place(0), "a.cu:10");
  EXPECT_EQ(place(1), "b.cuh:20, inlined at a.cu:10");
  EXPECT_EQ(place(2), "a.cu:30, inlined at b.cuh:20, inlined at a.cu:10");
  EXPECT_EQ(module.locations[only(module).instructions[1].location].function, "_Zf");
  EXPECT_EQ(module.place_of(module.functions[1].instructions[0]), "line 26 of the PTX");
}

}  // namespace
}  // namespace emu::ptx
