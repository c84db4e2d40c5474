#include <fstream>
#include <iterator>

#include "fuzz.hpp"
#include "ptx/analysis.hpp"
#include "ptx/describe.hpp"
#include "ptx/lexer.hpp"

namespace {

using namespace emu::ptx;

void add_roles(const Function& function, const Operand& operand, bool written, bool kills, RegisterRoles& roles) {
  if (operand.is_register() && written)
    roles.write(operand.index, kills);
  else if (operand.is_register() || operand.has_register_base())
    roles.read(operand.index);
  for (const Operand& element : function.elements_of(operand)) add_roles(function, element, written, kills, roles);
}

/// What a binder would ask for, roughly: the first operand is written, the others are read.
void analyze_all(const Module& module) {
  for (const Function& function : module.functions) {
    if (!function.has_body) continue;
    RegisterRoles roles;
    std::vector<AsyncStep> steps;
    for (Index i = 0; i < function.instructions.size(); ++i) {
      const Instruction& each = function.instructions[i];
      const Opcode& opcode = module.opcode_of(each);
      const auto operands = function.operands_of(each);
      if (each.guard != no_index) roles.read(each.guard);
      for (std::size_t k = 0; k < operands.size(); ++k)
        add_roles(function, operands[k], k == 0, each.guard == no_index, roles);
      if (opcode.name() == "wgmma" && !operands.empty()) {
        std::vector<Index> registers;
        for (const auto& item : roles.of_last()) registers.push_back(item.reg);
        steps.push_back({i, AsyncStep::Kind::issue, 0, std::move(registers)});
      } else if (opcode.name() == "commit") {
        steps.push_back({i, AsyncStep::Kind::commit, 0, {}});
      } else if (opcode.name() == "wait") {
        steps.push_back({i, AsyncStep::Kind::wait, 1, {}});
      }
      roles.next();
    }
    const Analysis analysis = analyze(function, roles, steps);
    for (Index i = 0; i < function.instructions.size(); ++i) {
      analysis.flow.reconvergence_of(i);
      module.text_of(function.instructions[i]);
      module.place_of(function.instructions[i]);
    }
  }
}

constexpr const char* seed = R"(.version 8.7
.target sm_90a, debug
.address_size 64
.file 1 "a.cu", 1, 2
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
.func (.param .b32 r) f (.param .b64 .ptr .global .align 8 a, .param .align 8 .b8 b[16]) .noreturn;
.extern .shared .align 128 .b8 dynamic[];
.const .align 4 .f32 factors[3] = {0f3F800000, -2, 0fC0400000};
.global .u64 pointers[4] = {generic(late)+8, 0, f, late-4};
.global .b8 packed[4] = {1, 0xFF(late), 0xFF00(late), 0xFF0000(generic(late)+16)};
.visible .global .attribute(.managed) .v4 .b32 late[2] = {{1, 2, 3, 4}, {5}};
.weak .entry k(.param .u64 p, .param .align 64 .b8 map[128])
.maxntid 384, 1, 1 .minnctapersm 1 .reqnctapercluster 2 .explicitcluster .pragma "x";
{
.reg .pred %p<9>; .reg .b32 %r<99>; .reg .b64 %rd<9>;
.local .align 16 .b8 depot[20]; /* a
comment */ .shared .u64 barrier;
.loc 1 10 3 // here
{ .reg .pred P1; LAB: try.b64 P1, [%rd1+-16], 0x10; @!P1 bra LAB; bra DONE; DONE: }
.loc 1 20 5, function_name $name, inlined_at 1 10 3
cp.tensor [dynamic+4], [%rd1, {%r1, %r2}, {_, 3}], [barrier], -1;
setp.lt %p1|%p2, %r1, 0dBFF0000000000000, !%p3;
wgmma {%r10, %r11, %r12}, %rd1, %rd2; commit; wait 1;
$T: .branchtargets $A, $B;
brx.idx %r1, $T;
$A: elect.sync _|%p1, %tid.x;
{ .param .b64 param0; .param .align 8 .b8 param1[16]; .param .b32 retval0;
call.uni (retval0), f, (param0, param1);
proto: .callprototype (.param .b32 _) _ (.param .b64 _);
call (retval0), %rd2, (param0), proto;
}
@%p1 bra $A;
$B: ret;
}
.func (.param .b32 r) f (.param .b64 a, .param .align 8 .b8 b[16]) { trap; }
.section .debug_str
{
$name:
.b8 95,90,0
}
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Module module = Module::parse(std::string(reinterpret_cast<const char*>(data), size));
    describe(module);
    analyze_all(module);
  } catch (const ParseError&) {
    // the only way to say no
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds{seed};
  std::ifstream stream(CKL_EMU_PTX_SAMPLES "/features.ptx", std::ios::binary);
  const Module sample = Module::parse({std::istreambuf_iterator<char>(stream), {}});
  // One function with the declarations, so that a case is short.
  const std::string text = describe(sample);
  const auto is_body = [&](std::size_t at) { return text.find(';', at) > text.find("\n{", at); };
  std::size_t at = 0;
  while (at < text.size() && !is_body(at)) at = text.find('\n', at) + 1;
  const std::string declarations = text.substr(0, at);
  while (at < text.size()) {
    const std::size_t end = text.find("\n}\n", at);
    if (end == std::string::npos) break;
    seeds.push_back(declarations + text.substr(at, end + 3 - at));
    at = end + 3;
  }
  for (const std::string& each : seeds) analyze_all(Module::parse(each));  // well-formed, or this throws
  return seeds;
}
