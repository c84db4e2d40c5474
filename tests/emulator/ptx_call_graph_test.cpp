#include "ptx/call_graph.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace emu::ptx {
namespace {

Module parse(const std::string& text) {
  return Module::parse(".version 8.7\n.target sm_90a\n.address_size 64\n" + text);
}

std::set<std::string_view> functions(const Module& module, std::string_view kernel) {
  std::set<std::string_view> names;
  for (const Index each : call_graph_of(module, module.find_function(kernel)).functions)
    names.insert(module.functions[each].name);
  return names;
}

using Names = std::set<std::string_view>;

TEST(PtxCallGraph, DirectAndIndirectCalls) {
  const Module module = parse(R"(
.func leaf() { ret; }
.func middle() { call leaf; ret; }
.func taken() { ret; }
.func in_table() { ret; }
.func unused() { ret; }
.global .u64 table[1] = {in_table};
.entry direct() { call middle; ret; }
.entry indirect()
{
  .reg .b64 %rd<2>;
  proto: .callprototype _ ();
  mov.u64 %rd1, taken;
  call %rd1, (), proto;
  ret;
}
.entry alone() { ret; }
)");
  EXPECT_EQ(functions(module, "direct"), (Names{"direct", "middle", "leaf"}));
  EXPECT_EQ(functions(module, "indirect"), (Names{"indirect", "taken", "in_table"}));
  EXPECT_EQ(functions(module, "alone"), (Names{"alone"}));
  EXPECT_TRUE(call_graph_of(module, module.find_function("indirect")).has_indirect_call);
  EXPECT_FALSE(call_graph_of(module, module.find_function("direct")).has_indirect_call);
}

TEST(PtxCallGraph, Recursion) {
  const Module module = parse(R"(
.func b();
.func a() { call b; ret; }
.func b() { call a; ret; }
.func c() { ret; }
.func d() { call c; call c; ret; }
.entry looped() { call a; ret; }
.entry twice() { call c; call d; ret; }
)");
  EXPECT_TRUE(call_graph_of(module, module.find_function("looped")).is_recursive);
  EXPECT_FALSE(call_graph_of(module, module.find_function("twice")).is_recursive);
}

TEST(PtxCallGraph, SharedMemory) {
  const Module module = parse(R"(
.shared .align 4 .b8 first[6];
.shared .align 4 .b8 elsewhere[1000];
.extern .shared .align 128 .b8 dynamic[];
.extern .shared .align 16 .b8 also_dynamic[];
.shared .align 8 .u64 through_a_value;
.global .u64 pointer = through_a_value;
.func f()
{
  .shared .align 32 .b8 tile[64];
  .reg .b64 %rd<2>;
  mov.u64 %rd1, tile;
  ret;
}
.entry k()
{
  .reg .b64 %rd<5>;
  mov.u64 %rd1, first;
  ld.global.u64 %rd2, [pointer];
  mov.u64 %rd3, dynamic;
  mov.u64 %rd4, also_dynamic;
  call f;
  ret;
}
.entry other()
{
  .reg .b64 %rd<2>;
  mov.u64 %rd1, elsewhere;
}
)");
  const SharedLayout layout = layout_shared(module, call_graph_of(module, module.find_function("k")));
  const auto of_module = [&](std::string_view name) { return layout.offset_of(no_index, module.find_variable(name)); };
  EXPECT_EQ(of_module("first"), 0u);
  EXPECT_EQ(of_module("through_a_value"), 8u);
  EXPECT_EQ(layout.offset_of(module.find_function("f"), 0), 32u);
  EXPECT_EQ(layout.static_bytes, 96u);
  EXPECT_EQ(layout.dynamic_offset, 128u);
  EXPECT_EQ(of_module("dynamic"), 128u);
  EXPECT_EQ(of_module("also_dynamic"), 128u);
  EXPECT_EQ(of_module("elsewhere"), ~std::uint64_t{0});
  EXPECT_EQ(layout.alignment, 128u);
  const SharedLayout other = layout_shared(module, call_graph_of(module, module.find_function("other")));
  EXPECT_EQ(other.static_bytes, 1000u);
  EXPECT_EQ(other.dynamic_offset, 1008u);
}

}  // namespace
}  // namespace emu::ptx
