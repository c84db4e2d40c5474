#include "ptx/analysis.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace emu::ptx {
namespace {

/// The module of one kernel of that body; instructions are w (writes the first operand, reads the others), r (reads all),
/// and those of control flow.
Module kernel(const std::string& body) {
  return Module::parse(
      ".version 8.7\n.target sm_90a\n.entry k()\n{\n"
      ".reg .pred %p<99>; .reg .b16 %rs<9>; .reg .b32 %r<999>; .reg .b64 %rd<9>; .reg .b128 %rq<9>;\n" +
      body + "\n}\n");
}

RegisterRoles roles_of(const Module& module) {
  const Function& function = module.functions[0];
  RegisterRoles roles;
  for (const Instruction& each : function.instructions) {
    if (each.guard != no_index) roles.read(each.guard);
    bool writes = module.opcode_of(each).name() == "w";
    for (const Operand& operand : function.operands_of(each)) {
      if (operand.is_register() && writes)
        roles.write(operand.index, each.guard == no_index);
      else if (operand.is_register())
        roles.read(operand.index);
      writes = false;
    }
    roles.next();
  }
  return roles;
}

Index find(const Function& function, std::string_view name) {
  for (Index i = 0; i < function.registers.size(); ++i)
    if (function.registers[i].name == name) return i;
  return no_index;
}

TEST(PtxControlFlow, Diamond) {
  const Module module = kernel("@%p1 bra A;\nr;\nbra B;\nA: r;\nB: ret;");
  const ControlFlow flow(module.functions[0]);
  ASSERT_EQ(flow.blocks().size(), 4u);
  EXPECT_EQ(flow.blocks()[0].successors, (std::vector<Index>{1, 2}));
  EXPECT_EQ(flow.blocks()[3].predecessors, (std::vector<Index>{1, 2}));
  EXPECT_EQ(flow.reconvergence_of(0), 4u);
  EXPECT_EQ(flow.post_dominator_of(3), no_index);
}

TEST(PtxControlFlow, LoopWithTwoExits) {
  const Module module = kernel("L: r;\n@%p1 bra OUT;\nr;\n@%p2 bra L;\nr;\nOUT: r;\nret;");
  const ControlFlow flow(module.functions[0]);
  EXPECT_EQ(flow.reconvergence_of(1), 5u);
  EXPECT_EQ(flow.reconvergence_of(3), 5u) << "from the loop the first exit leads past instruction 4";
}

TEST(PtxControlFlow, ReturnsPartForGood) {
  const Module module = kernel("@%p1 ret;\nr;\n@%p2 bra A;\nr;\nret;\nA: r;\ntrap;");
  const ControlFlow flow(module.functions[0]);
  EXPECT_TRUE(flow.blocks()[0].is_exit);
  EXPECT_EQ(flow.reconvergence_of(0), no_index);
  EXPECT_EQ(flow.reconvergence_of(2), no_index);
}

TEST(PtxControlFlow, EndlessLoops) {
  const Module module = kernel("@%p1 bra B;\nA: r;\nbra A;\nB: r;\n@%p2 bra B;\nbra B;");
  const ControlFlow flow(module.functions[0]);
  EXPECT_EQ(flow.reconvergence_of(0), no_index);
  EXPECT_EQ(flow.reconvergence_of(4), 5u);
}

TEST(PtxControlFlow, Switch) {
  const Module module = kernel("T: .branchtargets A, B, A, C;\nbrx.idx %r1, T;\nA: r;\nbra C;\nB: r;\nC: ret;");
  const ControlFlow flow(module.functions[0]);
  EXPECT_EQ(flow.blocks()[0].successors, (std::vector<Index>{1, 2, 3}));
  EXPECT_EQ(flow.reconvergence_of(0), 4u);
}

TEST(PtxSlots, ChainsShareTheirSlots) {
  std::string body = "w %r0;\n";
  for (int i = 1; i < 100; ++i) body += "w %r" + std::to_string(i) + ", %r" + std::to_string(i - 1) + ";\n";
  const Module module = kernel(body + "r %r99;");
  const Analysis analysis = analyze(module.functions[0], roles_of(module));
  EXPECT_EQ(analysis.slots.count[1], 2u) << "a result and its operand, in turn";
  EXPECT_EQ(analysis.slots.warp_bytes(), 256u);
}

TEST(PtxSlots, OfEachClass) {
  const Module module = kernel("w %p1; w %rs1; w %r1; w %rd1; w %rq1;\nr %p1, %rs1, %r1, %rd1, %rq1;\nw %rs2; r %rs2;");
  const Slots slots = analyze(module.functions[0], roles_of(module)).slots;
  EXPECT_EQ(slots.count[0], 1u);
  EXPECT_EQ(slots.count[1], 2u);
  EXPECT_EQ(slots.count[2], 1u);
  EXPECT_EQ(slots.count[3], 1u);
  EXPECT_EQ(slots.warp_bytes(), 4u + 2 * 128 + 256 + 512);
}

TEST(PtxSlots, AGuardedWriteKeepsTheOldValue) {
  const Module module = kernel("w %p1;\nw %r1;\nw %r2;\nr %r2;\n@%p1 w %r1;\nr %r1;");
  const Function& k = module.functions[0];
  const Slots slots = analyze(k, roles_of(module)).slots;
  EXPECT_NE(slots.slot[find(k, "%r1")], slots.slot[find(k, "%r2")]);
}

TEST(PtxSlots, ALoopKeepsWhatItReads) {
  const Module module = kernel("w %r1;\nL: r %r1;\nw %r2;\nr %r2;\nw %p1;\n@%p1 bra L;\nw %r3;\nr %r3;");
  const Function& k = module.functions[0];
  const Slots slots = analyze(k, roles_of(module)).slots;
  EXPECT_NE(slots.slot[find(k, "%r1")], slots.slot[find(k, "%r2")]);
  EXPECT_EQ(slots.slot[find(k, "%r1")], slots.slot[find(k, "%r3")]);
}

std::set<Index> waits_of(const Module& module, std::vector<AsyncStep> steps) {
  std::set<Index> result;
  for (const ExtendedUse& use : async_uses(ControlFlow(module.functions[0]), steps)) result.insert(use.instruction);
  return result;
}

TEST(PtxAsync, UsesReachTheWaitThatRetires) {
  using Kind = AsyncStep::Kind;
  const Module module = kernel("w %r1; r; r; r; r; r; r;");
  const AsyncStep issue{0, Kind::issue, 0, {0}}, commit{1, Kind::commit, 0, {}};
  EXPECT_EQ(waits_of(module, {issue, commit, {2, Kind::wait, 0, {}}, {3, Kind::wait, 0, {}}}), (std::set<Index>{2}));
  EXPECT_EQ(waits_of(module, {issue, commit, {2, Kind::wait, 1, {}}, {4, Kind::wait, 0, {}}}), (std::set<Index>{2, 4}));
  EXPECT_EQ(waits_of(module, {issue, commit, {2, Kind::commit, 0, {}}, {3, Kind::wait, 1, {}}, {5, Kind::wait, 0, {}}}),
            (std::set<Index>{3}));
  EXPECT_EQ(waits_of(module, {issue, {2, Kind::wait, 0, {}}}), (std::set<Index>{2})) << "not committed: not retired";
  EXPECT_EQ(waits_of(module, {commit, {2, Kind::wait, 0, {}}}), (std::set<Index>{}));
}

TEST(PtxAsync, UsesCrossTheLoop) {
  using Kind = AsyncStep::Kind;
  // Each round issues, commits and waits for the round before.
  const Module module = kernel("L: w %r1;\nr; r;\n@%p1 bra L;\nr;");
  const std::vector<AsyncStep> steps{
      {0, Kind::issue, 0, {1}}, {1, Kind::commit, 0, {}}, {2, Kind::wait, 1, {}}, {4, Kind::wait, 0, {}}};
  EXPECT_EQ(waits_of(module, steps), (std::set<Index>{2, 4}));
  const Module other = kernel("w %r1;\n@%p1 bra S;\nr;\nS: r;\nr;");
  EXPECT_EQ(
      waits_of(other,
               {{0, Kind::issue, 0, {0}}, {2, Kind::commit, 0, {}}, {3, Kind::wait, 0, {}}, {4, Kind::wait, 0, {}}}),
      (std::set<Index>{3, 4}))
      << "on one path it is not committed";
}

TEST(PtxAsync, RegistersKeepTheirSlotUntilTheWait) {
  using Kind = AsyncStep::Kind;
  const Module module = kernel("w %r1; r; w %r2; r %r2; r; w %r3; r %r3;");
  const Function& k = module.functions[0];
  const std::vector<AsyncStep> steps{
      {0, Kind::issue, 0, {find(k, "%r1")}}, {1, Kind::commit, 0, {}}, {4, Kind::wait, 0, {}}};
  const Slots with = analyze(k, roles_of(module), steps).slots, without = analyze(k, roles_of(module)).slots;
  EXPECT_NE(with.slot[find(k, "%r1")], with.slot[find(k, "%r2")]);
  EXPECT_EQ(with.slot[find(k, "%r1")], with.slot[find(k, "%r3")]);
  EXPECT_EQ(without.slot[find(k, "%r1")], without.slot[find(k, "%r2")]);
}

/// Runs random programs along random paths and checks each read: the slot still holds the value that was written to the
/// register, whatever else was written meanwhile.
TEST(PtxSlots, RandomProgramsReadWhatTheyWrote) {
  std::mt19937 random(7);
  const auto draw = [&](int below) { return static_cast<int>(random() % below); };
  for (int round = 0; round < 500; ++round) {
    const int blocks = 1 + draw(8), registers = 1 + draw(20);
    const auto reg = [&] { return "%r" + std::to_string(draw(registers)); };
    std::string body;
    for (int b = 0; b < blocks; ++b) {
      body += "L" + std::to_string(b) + ":\n";
      for (int i = draw(8); i > 0; --i) {
        if (draw(5) == 0) body += "@%p1 ";
        body += draw(3) == 0 ? "r " + reg() : "w " + reg() + (draw(2) ? ", " + reg() : "");
        body += ";\n";
      }
      if (draw(3)) body += std::string(draw(2) ? "@%p1 " : "") + "bra L" + std::to_string(draw(blocks)) + ";\n";
    }
    const Module module = kernel(body);
    const Function& k = module.functions[0];
    const RegisterRoles roles = roles_of(module);
    const Analysis analysis = analyze(k, roles);
    const Slots& slots = analysis.slots;
    for (int path = 0; path < 5; ++path) {
      std::vector<int> value(k.registers.size(), 0), in_slot(slots.count[1] + 1, 0);
      std::vector<bool> written(k.registers.size(), false);
      int fresh = 0;
      Index at = 0;
      for (int step = 0; step < 200 && at < k.instructions.size(); ++step) {
        const Instruction& each = k.instructions[at];
        const bool active = each.guard == no_index || draw(2);
        for (const auto& item : roles.of(at)) {
          if (k.registers[item.reg].type == Type::pred) continue;
          const Index slot = slots.slot[item.reg];
          if (item.role == RegisterRoles::Role::read) {
            ASSERT_TRUE(!written[item.reg] || in_slot[slot] == value[item.reg])
                << body << "at " << module.text_of(each);
          } else if (active) {
            value[item.reg] = in_slot[slot] = ++fresh;
            written[item.reg] = true;
          }
        }
        if (active && each.control == Control::ret) break;
        at = active && each.control == Control::branch ? k.operands_of(each)[0].index : at + 1;
      }
    }
  }
}

/// Post-dominators of random graphs, against their definition: all paths to an end lead through.
TEST(PtxControlFlow, RandomGraphs) {
  std::mt19937 random(3);
  const auto draw = [&](int below) { return static_cast<int>(random() % below); };
  for (int round = 0; round < 300; ++round) {
    const int count = 2 + draw(9);
    std::string body;
    for (int b = 0; b < count; ++b) {
      body += "L" + std::to_string(b) + ": r;\n";
      const std::string target = "bra L" + std::to_string(draw(count)) + ";\n";
      body += draw(4) == 0 ? "ret;\n" : draw(3) == 0 ? target : "@%p1 " + target;
    }
    const Module module = kernel(body);
    const ControlFlow flow(module.functions[0]);
    const auto& blocks = flow.blocks();
    const auto reaches_end = [&](Index from, Index without) {
      std::vector<bool> seen(blocks.size(), false);
      std::vector<Index> work{from};
      if (from == without) return false;
      seen[from] = true;
      while (!work.empty()) {
        const Index b = work.back();
        work.pop_back();
        if (blocks[b].is_exit) return true;
        for (const Index next : blocks[b].successors)
          if (next != without && !seen[next]) seen[next] = true, work.push_back(next);
      }
      return false;
    };
    bool all_end = true;
    for (Index b = 0; b < blocks.size(); ++b) all_end &= reaches_end(b, no_index);
    if (!all_end) continue;  // with an endless loop it is a matter of definition
    for (Index b = 0; b < blocks.size(); ++b) {
      std::set<Index> strict;  // post-dominators other than itself
      for (Index d = 0; d < blocks.size(); ++d)
        if (d != b && !reaches_end(b, d)) strict.insert(d);
      const Index found = flow.post_dominator_of(b);
      if (strict.empty()) {
        EXPECT_EQ(found, no_index) << body;
        continue;
      }
      ASSERT_TRUE(strict.count(found)) << body << "block " << b;
      for (const Index d : strict) EXPECT_TRUE(d == found || !reaches_end(found, d)) << body;
    }
  }
}

}  // namespace
}  // namespace emu::ptx
