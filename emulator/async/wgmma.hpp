#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "async/footprint.hpp"
#include "async/matrix_descriptor.hpp"
#include "async/vector_path.hpp"

// wgmma.mma_async: D = A * B + D of a warpgroup, as one operation of four warps.
namespace emu::async {

enum class OperandType : std::uint8_t { f16, bf16, tf32, e4m3, e5m2, s8, u8, b1 };
enum class AccumulatorType : std::uint8_t { f32, f16, s32 };

/// What an instruction says: wgmma.mma_async.sync.aligned.m64n<n>k<k>.<d>.<a>.<b>.
struct WgmmaKind {
  OperandType a = OperandType::bf16, b = OperandType::bf16;
  AccumulatorType d = AccumulatorType::f32;
  std::uint16_t n = 0;
  bool a_in_registers = false;
  bool a_mn_major = false, b_mn_major = false;  // imm-trans-a, imm-trans-b
  bool negate_a = false, negate_b = false;      // imm-scale-a, imm-scale-b of -1

  bool operator==(const WgmmaKind&) const = default;

  /// Elements along K; 0 for types that are not modelled.
  std::uint32_t k() const;
  /// 32-bit registers that D takes in each lane.
  std::uint32_t accumulator_registers() const { return d == AccumulatorType::f16 ? n / 4u : n / 2u; }
  /// 32-bit registers that A takes in each lane, when it is in registers.
  static constexpr std::uint32_t a_registers = 4;
};

/// What PTX forbids, or the emulator does not model, of `kind`, as a sentence; nothing if it can be executed.
std::optional<std::string> find_violation(const WgmmaKind& kind);

/// The operands of one wgmma. A register is a row of 32 lanes of 4 bytes, at an offset in the register file of each warp.
struct WgmmaStep {
  std::uint64_t a = 0, b = 0;                // descriptors; `a` only if A is in shared memory
  std::span<const std::uint32_t> a_offsets;  // in bytes in the register file, if A is in registers
  bool scale_d = true;                       // false: D is not read, it counts as 0
};

/// The register files of the four warps, and where the accumulators are in each.
struct WgmmaRegisters {
  std::array<std::byte*, 4> files{};
  std::span<const std::uint32_t> accumulators;  // kind.accumulator_registers() offsets in bytes
};

/// What is wrong with the descriptors of `step`, as a sentence; nothing if it can be executed.
std::optional<std::string> find_violation(const WgmmaKind& kind, const WgmmaStep& step, std::uint32_t shared_bytes);

/// Executes `steps`, one after the other, on the same accumulators. The operands must have no violation. Fastest when the
/// wgmmas of a commit group come in one call: D then stays in vector registers. Every D is fma(a, b, d) in float, k ascending;
/// f16 accumulators are rounded once for each step. A NaN becomes 0x7fffffff.
void execute(const WgmmaKind& kind, std::span<const WgmmaStep> steps, const WgmmaRegisters& registers,
             std::span<const std::byte> shared);

/// Shared memory that `steps` read. The reference is to a cache of the calling thread, valid until the next call.
const Footprint& footprint(const WgmmaKind& kind, std::span<const WgmmaStep> steps);

/// For tests: execute() with the given path, which the host must have.
void execute_on(VectorPath path, const WgmmaKind& kind, std::span<const WgmmaStep> steps,
                const WgmmaRegisters& registers, std::span<const std::byte> shared);

}  // namespace emu::async
