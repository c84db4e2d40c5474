// wgmma without vector instructions; what the other paths must equal.
#include <cmath>
#include <cstring>

#include "async/float_formats.hpp"
#include "async/wgmma_kernels.hpp"

namespace emu::async {
namespace {

float element(const WgmmaKind& kind, std::uint16_t bits) {
  return kind.a == OperandType::f16 ? f16_to_float(bits) : bf16_to_float(bits);
}

std::uint16_t load16(const std::byte* from) {
  std::uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

/// Element (mn, k) of a matrix in shared memory.
std::uint16_t shared_element(const CoreMatrices& cores, bool mn_major, const std::byte* shared, std::uint32_t mn,
                             std::uint32_t k) {
  const std::uint32_t row = mn_major ? k % 8 : mn % 8, column = mn_major ? mn % 8 : k % 8;
  return load16(shared + cores.row_offset(mn / 8, k / 8, row) + 2 * column);
}

/// Where element (row, column) of D is in the register file of its warp: offset in bytes.
struct Fragment {
  std::uint32_t index;  // of the register
  std::uint32_t byte;   // of its 128
};
Fragment fragment_of(AccumulatorType type, std::uint32_t row, std::uint32_t column) {
  const std::uint32_t lane = row % 8 * 4 + column % 8 / 2, upper = row / 8 % 2;
  if (type == AccumulatorType::f32) return {column / 8 * 4 + upper * 2 + column % 2, lane * 4};
  return {column / 8 * 2 + upper, lane * 4 + column % 2 * 2};
}

float load_d(AccumulatorType type, const std::byte* from) {
  if (type == AccumulatorType::f16) return f16_to_float(load16(from));
  float value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void store_d(AccumulatorType type, float value, std::byte* to) {
  if (type == AccumulatorType::f16) {
    const std::uint16_t bits = std::isnan(value) ? canonical_nan_f16 : float_to_f16(value);
    std::memcpy(to, &bits, sizeof bits);
  } else if (std::isnan(value)) {
    std::memcpy(to, &canonical_nan, sizeof canonical_nan);
  } else {
    std::memcpy(to, &value, sizeof value);
  }
}

}  // namespace

void run_portable(const Chain& chain) {
  // In double: a product of two operands is exact there, and where its sum with an accumulator is not, one of the two is so small
  // that the nearest float is the other one. So the conversion to float rounds as fma() does, which hosts without the
  // instruction compute bit by bit.
  thread_local double a[64][16], b[16][256];
  const WgmmaKind& kind = chain.kind;
  bool zero = chain.zero;
  for (const WgmmaStep& step : chain.steps) {
    const CoreMatrices b_cores(MatrixDescriptor::decode(step.b), kind.b_mn_major);
    const CoreMatrices a_cores(MatrixDescriptor::decode(step.a), kind.a_mn_major);
    for (std::uint32_t n = 0; n < kind.n; ++n) {
      for (std::uint32_t k = 0; k < 16; ++k) {
        b[k][n] = element(kind, shared_element(b_cores, kind.b_mn_major, chain.shared, n, k));
      }
    }
    for (std::uint32_t m = 0; m < 64; ++m) {
      for (std::uint32_t k = 0; k < 16; ++k) {
        std::uint16_t bits;
        if (kind.a_in_registers) {
          const std::uint32_t index = m / 8 % 2 + k / 8 * 2, lane = m % 8 * 4 + k % 8 / 2;
          bits = load16(chain.registers.files[m / 16] + step.a_offsets[index] + lane * 4 + k % 2 * 2);
        } else {
          bits = shared_element(a_cores, kind.a_mn_major, chain.shared, m, k);
        }
        a[m][k] = element(kind, kind.negate_a != kind.negate_b ? bits ^ 0x8000 : bits);
      }
    }
    for (std::uint32_t m = 0; m < 64; ++m) {
      float sums[256];
      const auto place_of = [&](std::uint32_t n) {
        const Fragment at = fragment_of(kind.d, m % 16, n);
        return chain.registers.files[m / 16] + chain.registers.accumulators[at.index] + at.byte;
      };
      for (std::uint32_t n = 0; n < kind.n; ++n) sums[n] = zero ? 0 : load_d(kind.d, place_of(n));
      for (std::uint32_t k = 0; k < 16; ++k) {
        for (std::uint32_t n = 0; n < kind.n; ++n) sums[n] = static_cast<float>(a[m][k] * b[k][n] + sums[n]);
      }
      for (std::uint32_t n = 0; n < kind.n; ++n) store_d(kind.d, sums[n], place_of(n));
    }
    zero = false;
  }
}

}  // namespace emu::async
