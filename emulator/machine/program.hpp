#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "async/wgmma.hpp"
#include "check/registers.hpp"
#include "isa/handler.hpp"
#include "machine/memory.hpp"
#include "ptx/call_graph.hpp"
#include "ptx/module.hpp"

// A module that is loaded: its variables have addresses, its kernels are decoded when they are asked for.
namespace emu::machine {

/// A wgmma instruction: offsets in the register file of its accumulators, and of A if that is in registers.
struct WgmmaSite {
  async::WgmmaKind kind;
  std::uint32_t where = 0;  // its instruction
  std::vector<std::uint32_t> accumulators, a;
  check::SlotSet accumulator_slots, a_slots;  // for the checks
};

/// An instruction that is no wgmma and touches registers of one: for the checks.
struct RegisterTouch {
  isa::Handler handler = nullptr;  // its own
  std::vector<std::uint32_t> reads, writes;
  /// Those of `writes` that a wgmma.fence has to follow: of registers of a wgmma, not of others in their slots. Moves do not count:
  /// compilers move operands of inline assembly about, between a fence and its wgmma too.
  std::vector<std::uint32_t> to_fence;
};

/// A function in the code of a program: its instructions, its registers, and its frame in local memory, which holds its local
/// variables, the parameters of calls that it makes, its own parameters, and its results, in this order.
struct FunctionCode {
  const ptx::Function* function = nullptr;
  ptx::Index index = 0;                        // of Module::functions
  std::uint32_t begin = 0, end = 0;            // in Program::code
  std::uint32_t registers = 0;                 // where its part of a warp's register file starts, in bytes
  std::uint32_t slots[4] = {}, first[4] = {};  // by ptx::SlotClass: how many, and where they start, from `registers`
  std::uint32_t register_bytes = 0;
  std::uint32_t call_params = 0, params = 0, results = 0;  // offsets in the frame
  std::uint32_t frame_bytes = 0;
};

/// A call: what is copied between the frames of caller and callee.
struct CallSite {
  std::uint32_t caller = 0;           // of Program::functions
  ptx::Index callee = ptx::no_index;  // of Module::functions; no_index: indirect
  struct Bytes {
    std::uint32_t offset, size;  // in the caller's frame
  };
  std::vector<Bytes> arguments, results;
};

/// One kernel, ready to execute, with the functions that it calls.
struct Program {
  const ptx::Module* module = nullptr;
  const ptx::Function* function = nullptr;  // the kernel
  std::vector<FunctionCode> functions;      // the kernel last: lanes in a function run before those that wait for them
  std::uint32_t entry = 0;                  // of the kernel, in code
  std::vector<isa::Decoded> code;
  std::vector<CallSite> calls;
  bool is_reentrant = false;      // a function may be called while it runs
  std::uint64_t local_bytes = 0;  // of a thread: the kernel's frame, and those of functions
  /// With calls the register file starts with 32 lanes of 64 bits: where the frame of the function that each lane is in starts.
  static constexpr std::uint32_t frame_bases = 0, frame_bases_bytes = 256;
  bool has_calls() const { return functions.size() > 1 || !calls.empty(); }
  std::vector<std::byte> constants;
  std::vector<isa::Source> lists;
  std::vector<WgmmaSite> wgmmas;
  std::vector<RegisterTouch> touches;
  std::vector<ptx::SpecialRegister> specials;  // lane arrays behind the registers, 256 bytes apart
  std::uint32_t register_bytes = 0;            // of a warp, without the specials
  std::uint32_t registers = 0;                 // of 32 bits for a thread, an estimate
  ptx::SharedLayout shared;

  static constexpr std::uint32_t special_bytes = 256;
  std::uint32_t warp_bytes() const {
    return register_bytes + static_cast<std::uint32_t>(specials.size()) * special_bytes;
  }
  /// The kernel's name as its source has it, for reports.
  std::string name() const;
  /// The function that an instruction belongs to.
  const FunctionCode& function_at(std::uint32_t pc) const;
  /// The code of a function of the module; null if the kernel does not reach it.
  const FunctionCode* code_of(ptx::Index function) const;
  const ptx::Instruction& instruction_at(std::uint32_t pc) const;
  /// "gemm.cuh:120: wgmma.fence.sync.aligned" of an instruction.
  std::string describe(std::uint32_t pc) const;
  /// "gemm.cuh:120".
  std::string place(std::uint32_t pc) const;
};

/// A device variable.
struct DeviceVariable {
  std::byte* address = nullptr;
  std::size_t bytes = 0;
};

class LoadedModule {
 public:
  /// Parses all of `text`; variables are allocated in `memory`. Throws an exception with a sentence.
  static std::shared_ptr<LoadedModule> load(const std::string& text, GlobalMemory& memory);
  ~LoadedModule();

  /// Decodes the kernel, if that is still to do; null if there is none. Throws an exception that names what is not known of it.
  const Program* kernel(std::string_view name);
  std::vector<std::string> kernel_names() const;
  std::optional<DeviceVariable> variable(std::string_view name) const;
  std::vector<DeviceVariable> variables() const;
  /// The address of variable `index` of the module; only for global and constant ones.
  std::uint64_t address_of(ptx::Index index) const { return variables_[index]; }

 private:
  LoadedModule(ptx::Module module, GlobalMemory& memory);
  void place_variables();

  ptx::Module module_;
  GlobalMemory& memory_;
  std::vector<std::uint64_t> variables_;           // addresses, 0 for shared ones
  std::vector<std::unique_ptr<Program>> kernels_;  // by function, null if it is not decoded
};

}  // namespace emu::machine
