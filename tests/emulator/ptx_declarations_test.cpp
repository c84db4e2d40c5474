#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "ptx/module.hpp"

namespace emu::ptx {
namespace {

const std::string head = ".version 8.7\n.target sm_90a\n.address_size 64\n";

Module parse(const std::string& text) { return Module::parse(head + text); }

template <class T> T value_at(const Variable& variable, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= variable.initial.size())
    std::memcpy(&value, variable.initial.data() + offset, sizeof value);
  return value;
}

TEST(PtxDeclarations, Variables) {
  const Module module = parse(R"(
.global .align 16 .b8 bytes[100];
.visible .const .align 4 .f32 factors[3] = {0f3F800000, -2, 0fC0400000};
.extern .shared .align 128 .b8 dynamic[];
.shared .u64 barrier;
.global .attribute(.managed) .align 4 .u32 managed = 7;
.global .v4 .f32 vectors[2] = {{1, 2, 3, 4}, {5}};
.global .b32 open[] = {1, 2, 3};
.global .b16 grid[2][3] = {{1, 2}, {-1}};
.global .f64 pi = 0d400921FB54442D18;
.extern .global .u32 elsewhere;
)");
  const auto& variables = module.variables;
  ASSERT_EQ(variables.size(), 10u);
  EXPECT_EQ(variables[0].name, "bytes");
  EXPECT_EQ(variables[0].alignment, 16u);
  EXPECT_EQ(variables[0].size, 100u);
  EXPECT_TRUE(variables[0].initial.empty());
  EXPECT_EQ(variables[1].space, Space::constant);
  EXPECT_EQ(value_at<float>(variables[1], 0), 1.f);
  EXPECT_EQ(value_at<std::int32_t>(variables[1], 4), -2) << "an integer gives its bits";
  EXPECT_EQ(value_at<float>(variables[1], 8), -3.f);
  EXPECT_TRUE(variables[2].external);
  EXPECT_EQ(variables[2].size, 0u);
  EXPECT_EQ(variables[3].alignment, 8u) << "of its type";
  EXPECT_TRUE(variables[4].managed);
  EXPECT_EQ(value_at<int>(variables[4], 0), 7);
  EXPECT_EQ(variables[5].alignment, 16u);
  EXPECT_EQ(variables[5].size, 32u);
  EXPECT_EQ(value_at<int>(variables[5], 12), 4);
  EXPECT_EQ(value_at<int>(variables[5], 16), 5);
  EXPECT_EQ(variables[6].size, 12u);
  EXPECT_EQ(variables[7].size, 12u);
  EXPECT_EQ(value_at<short>(variables[7], 2), 2);
  EXPECT_EQ(value_at<short>(variables[7], 6), -1) << "the second row";
  EXPECT_EQ(value_at<double>(variables[8], 0), 3.141592653589793);
  EXPECT_TRUE(variables[9].external);
  EXPECT_EQ(module.find_variable("pi"), 8u);
  EXPECT_EQ(module.find_variable("tau"), no_index);
}

TEST(PtxDeclarations, Relocations) {
  const Module module = parse(R"(
.func f();
.global .u64 pointers[4] = {generic(late)+8, 0, f, late-4};
.global .b8 packed[4] = {1, 0xFF(late), 0xFF00(late), 0xFF000000000000(generic(late)+16)};
.global .b32 late[8];
.func f() { ret; }
)");
  const auto& pointers = module.variables[0].relocations;
  ASSERT_EQ(pointers.size(), 3u);
  EXPECT_TRUE(pointers[0].generic);
  EXPECT_EQ(pointers[0].addend, 8);
  EXPECT_EQ(pointers[0].symbol, SymbolKind::variable);
  EXPECT_EQ(pointers[0].index, 2u);
  EXPECT_EQ(pointers[0].bytes, 8);
  EXPECT_EQ(pointers[1].symbol, SymbolKind::function);
  EXPECT_EQ(pointers[1].offset, 16u);
  EXPECT_EQ(pointers[2].addend, -4);
  EXPECT_FALSE(pointers[2].generic);
  const auto& packed = module.variables[1].relocations;
  ASSERT_EQ(packed.size(), 3u);
  EXPECT_EQ(packed[0].shift, 0);
  EXPECT_EQ(packed[1].shift, 8);
  EXPECT_EQ(packed[1].bytes, 1);
  EXPECT_EQ(packed[1].offset, 2u);
  EXPECT_EQ(packed[2].shift, 48);
  EXPECT_EQ(packed[2].addend, 16);
}

TEST(PtxDeclarations, KernelParameters) {
  const Module module = parse(R"(
.visible .entry k(
  .param .u32 a,
  .param .u64 .ptr .global .align 256 b,
  .param .u8 c,
  .param .align 64 .b8 map[128],
  .param .f32 d
)
.maxntid 384, 1, 1
.minnctapersm 1
.reqnctapercluster 2
.explicitcluster
{ ret; }
.entry none() .reqntid 32, 2 .maxclusterrank 8 .maxnreg 64 { }
)");
  const Function& k = module.functions[0];
  EXPECT_TRUE(k.is_kernel);
  ASSERT_EQ(k.parameters.size(), 5u);
  const std::uint64_t offsets[] = {0, 8, 16, 64, 192}, sizes[] = {4, 8, 1, 128, 4};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(k.parameters[i].offset, offsets[i]);
    EXPECT_EQ(k.parameters[i].size, sizes[i]);
  }
  EXPECT_EQ(k.parameters[1].alignment, 8u) << "not that of what it points to";
  EXPECT_EQ(k.parameters[3].alignment, 64u);
  EXPECT_TRUE(k.parameters[3].is_array);
  EXPECT_EQ(k.parameter_bytes, 196u);
  EXPECT_EQ(k.bounds.max_threads, (std::array<Index, 3>{384, 1, 1}));
  EXPECT_EQ(k.bounds.required_threads, (std::array<Index, 3>{0, 0, 0}));
  EXPECT_EQ(k.bounds.min_ctas_per_sm, 1u);
  EXPECT_EQ(k.bounds.required_cluster, (std::array<Index, 3>{2, 1, 1}));
  EXPECT_TRUE(k.bounds.explicit_cluster);
  const Function& none = module.functions[1];
  EXPECT_EQ(none.parameter_bytes, 0u);
  EXPECT_EQ(none.bounds.required_threads, (std::array<Index, 3>{32, 2, 1}));
  EXPECT_EQ(none.bounds.max_cluster_rank, 8u);
  EXPECT_EQ(none.bounds.max_registers, 64u);
}

TEST(PtxDeclarations, VariablesOfFunctions) {
  const Module module = parse(R"(
.entry k()
{
  .local .align 16 .b8 depot[20];
  .local .u64 other;
  .shared .align 4 .b8 tile[128];
  .reg .b64 %rd<2>;
  mov.u64 %rd1, depot;
}
)");
  const Function& k = module.functions[0];
  ASSERT_EQ(k.variables.size(), 3u);
  EXPECT_EQ(k.variables[1].offset, 24u);
  EXPECT_EQ(k.local_bytes, 32u);
  EXPECT_EQ(k.local_alignment, 16u);
  EXPECT_EQ(k.variables[2].space, Space::shared);
  EXPECT_EQ(k.operands_of(k.instructions[0])[1].symbol, SymbolKind::local);
}

TEST(PtxDeclarations, Aliases) {
  const Module module = parse(R"(
.func a();
.func b() { ret; }
.global .u64 pointer = a;
.entry k() { call a; ret; }
.alias a, b;
)");
  EXPECT_EQ(module.functions[0].alias_of, 1u);
  EXPECT_EQ(module.find_function("a"), 1u);
  EXPECT_EQ(module.functions[2].calls[0].callee, 1u);
  EXPECT_EQ(module.variables[0].relocations[0].index, 1u);
}

TEST(PtxDeclarations, ADeclarationAndItsDefinition) {
  const Module module = parse(".extern .global .u32 x;\n.global .u32 x = 3;\n.extern .global .u32 x;\n");
  ASSERT_EQ(module.variables.size(), 1u);
  EXPECT_FALSE(module.variables[0].external);
  EXPECT_EQ(value_at<int>(module.variables[0], 0), 3);
}

}  // namespace
}  // namespace emu::ptx
