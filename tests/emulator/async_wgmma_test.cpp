// wgmma against double precision, with the layouts of shared memory written down a second time from their definitions.
#include "async/wgmma.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "async/float_formats.hpp"

namespace emu::async {
namespace {

constexpr std::uint32_t shared_bytes = 128 * 1024;

/// Byte offset of element (mn, k), 16 bits each, as the PTX ISA's canonical layouts say: rows of `span` bytes, eight of
/// them an atom; then the swizzle of the address.
std::uint32_t element_offset(const MatrixDescriptor& d, bool mn_major, std::uint32_t mn, std::uint32_t k) {
  std::uint32_t offset = d.start;
  const std::uint32_t span = d.swizzle == TensorSwizzle::none ? 16 : swizzle_span(d.swizzle);
  const std::uint32_t row_elements = span / 2;
  if (!mn_major) {
    offset += mn / 8 * d.stride_offset + mn % 8 * span;
    offset += d.swizzle == TensorSwizzle::none ? k / 8 * d.leading_offset + k % 8 * 2 : k * 2;
  } else if (d.swizzle == TensorSwizzle::none) {
    offset += mn % 8 * 2 + mn / 8 * d.stride_offset + k % 8 * 16 + k / 8 * d.leading_offset;
  } else {
    offset += mn % row_elements * 2 + mn / row_elements * d.leading_offset + k % 8 * span + k / 8 * d.stride_offset;
  }
  switch (d.swizzle) {
    case TensorSwizzle::bytes128: return offset ^ (offset >> 7 & 7) << 4;
    case TensorSwizzle::bytes64: return offset ^ (offset >> 7 & 3) << 4;
    case TensorSwizzle::bytes32: return offset ^ (offset >> 7 & 1) << 4;
    default: return offset;
  }
}

struct Machine {
  std::mt19937 random;
  std::vector<std::byte> shared = std::vector<std::byte>(shared_bytes);
  std::vector<std::vector<std::byte>> files;
  std::vector<std::uint32_t> accumulators, a;

  explicit Machine(unsigned seed) : random(seed) {
    for (std::uint32_t i = 0; i < 128; ++i) accumulators.push_back(i * 128);
    for (std::uint32_t i = 0; i < 16; ++i) a.push_back((128 + i) * 128);
    files.assign(4, std::vector<std::byte>(144 * 128));
  }

  std::uint32_t pick(std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); }
  std::uint16_t value(OperandType type) {
    const float x = std::normal_distribution<float>()(random);
    return type == OperandType::f16 ? float_to_f16(x) : float_to_bf16(x);
  }
  void fill(const WgmmaKind& kind) {
    for (std::uint32_t i = 0; i < shared_bytes; i += 2) put(shared, i, value(kind.a));
    for (auto& file : files) {
      for (std::uint32_t i = 0; i < 128 * 128; i += 4) {
        if (kind.d == AccumulatorType::f32) {
          const float x = std::normal_distribution<float>()(random);
          std::memcpy(&file[i], &x, 4);
        } else {
          put(file, i, value(OperandType::f16));
          put(file, i + 2, value(OperandType::f16));
        }
      }
      for (std::uint32_t i = 128 * 128; i < 144 * 128; i += 2) put(file, i, value(kind.a));
    }
  }
  template <class T> static void put(std::vector<std::byte>& to, std::uint32_t at, T x) {
    std::memcpy(&to[at], &x, sizeof x);
  }
  template <class T> static T get(const std::vector<std::byte>& from, std::uint32_t at) {
    T x;
    std::memcpy(&x, &from[at], sizeof x);
    return x;
  }
  WgmmaRegisters registers(const WgmmaKind& kind) {
    WgmmaRegisters r;
    for (int i = 0; i < 4; ++i) r.files[i] = files[i].data();
    r.accumulators = std::span(accumulators).first(kind.accumulator_registers());
    return r;
  }

  /// A random descriptor whose matrix of `mn` rows and 16 columns fits.
  MatrixDescriptor descriptor(bool mn_major, std::uint32_t mn) {
    static constexpr TensorSwizzle swizzles[] = {TensorSwizzle::none, TensorSwizzle::bytes32, TensorSwizzle::bytes64,
                                                 TensorSwizzle::bytes128};
    for (;;) {
      MatrixDescriptor d;
      d.swizzle = swizzles[pick(4)];
      d.start = 16 * pick(1024);
      d.leading_offset = 16 * (1 + pick(256));
      d.stride_offset = pick(2) ? 1024 * (1 + pick(2)) : 16 * (8 + pick(100));
      if (!find_violation(d, mn_major, mn / 8, 2, shared_bytes)) return d;
    }
  }
  float operand(const WgmmaKind& kind, std::uint16_t bits) {
    return kind.a == OperandType::f16 ? f16_to_float(bits) : bf16_to_float(bits);
  }
  float a_value(const WgmmaKind& kind, const WgmmaStep& step, std::uint32_t m, std::uint32_t k) {
    float x;
    if (kind.a_in_registers) {
      // a0: rows 0-7, k 0-7; a1: rows 8-15; a2: k 8-15; a3: both.
      const std::uint32_t lane = 4 * (m % 8) + k % 8 / 2, reg = (m % 16 >= 8 ? 1 : 0) + (k >= 8 ? 2 : 0);
      x = operand(kind, get<std::uint16_t>(files[m / 16], step.a_offsets[reg] + 4 * lane + 2 * (k % 2)));
    } else {
      x = operand(kind,
                  get<std::uint16_t>(shared, element_offset(MatrixDescriptor::decode(step.a), kind.a_mn_major, m, k)));
    }
    return kind.negate_a ? -x : x;
  }
  float b_value(const WgmmaKind& kind, const WgmmaStep& step, std::uint32_t n, std::uint32_t k) {
    const float x = operand(
        kind, get<std::uint16_t>(shared, element_offset(MatrixDescriptor::decode(step.b), kind.b_mn_major, n, k)));
    return kind.negate_b ? -x : x;
  }
  float d_value(const WgmmaKind& kind, std::uint32_t m, std::uint32_t n) {
    const std::uint32_t row = m % 16, lane = 4 * (row % 8) + n % 8 / 2;
    if (kind.d == AccumulatorType::f32) {
      return get<float>(files[m / 16], 128 * (n / 8 * 4 + (row >= 8 ? 2 : 0) + n % 2) + 4 * lane);
    }
    return f16_to_float(
        get<std::uint16_t>(files[m / 16], 128 * (n / 8 * 2 + (row >= 8 ? 1 : 0)) + 4 * lane + 2 * (n % 2)));
  }
};

std::string describe(const WgmmaKind& kind) {
  return "n " + std::to_string(kind.n) + (kind.a == OperandType::f16 ? " f16" : " bf16") +
         (kind.d == AccumulatorType::f16 ? " to f16" : " to f32") + (kind.a_in_registers ? " RS" : "") +
         (kind.a_mn_major ? " tA" : "") + (kind.b_mn_major ? " tB" : "");
}

/// One random chain of wgmmas on every path, against double precision.
void check(Machine& machine, const WgmmaKind& kind, std::uint32_t step_count) {
  SCOPED_TRACE(describe(kind));
  ASSERT_EQ(find_violation(kind), std::nullopt);
  machine.fill(kind);
  std::vector<WgmmaStep> steps(step_count);
  for (std::uint32_t i = 0; i < step_count; ++i) {
    if (kind.a_in_registers) {
      steps[i].a_offsets = std::span(machine.a).subspan(4 * i % 16, 4);
    } else {
      steps[i].a = machine.descriptor(kind.a_mn_major, 64).encode();
    }
    steps[i].b = machine.descriptor(kind.b_mn_major, kind.n).encode();
    steps[i].scale_d = machine.pick(4) != 0;
    ASSERT_EQ(find_violation(kind, steps[i], shared_bytes), std::nullopt);
  }

  std::vector<double> expected(64 * kind.n), magnitude(64 * kind.n);
  for (std::uint32_t m = 0; m < 64; ++m) {
    for (std::uint32_t n = 0; n < kind.n; ++n) {
      double sum = machine.d_value(kind, m, n), largest = std::fabs(sum);
      for (const WgmmaStep& step : steps) {
        if (!step.scale_d) sum = largest = 0;
        for (std::uint32_t k = 0; k < 16; ++k) {
          const double product = double{machine.a_value(kind, step, m, k)} * machine.b_value(kind, step, n, k);
          sum += product;
          largest += std::fabs(product);
        }
      }
      expected[m * kind.n + n] = sum;
      magnitude[m * kind.n + n] = largest;
    }
  }

  const auto before = machine.files;
  std::vector<std::vector<std::byte>> first;
  for (VectorPath path : {VectorPath::portable, VectorPath::avx2, VectorPath::avx512}) {
    if (path > best_vector_path()) continue;
    machine.files = before;
    execute_on(path, kind, steps, machine.registers(kind), machine.shared);
    const double unit = kind.d == AccumulatorType::f32 ? 0x1p-19 : step_count * 0x1p-10;
    int wrong = 0;
    for (std::uint32_t m = 0; m < 64; ++m) {
      for (std::uint32_t n = 0; n < kind.n; ++n) {
        const std::size_t i = m * kind.n + n;
        if (!(std::fabs(machine.d_value(kind, m, n) - expected[i]) <= unit * magnitude[i] + 1e-7)) ++wrong;
      }
    }
    ASSERT_EQ(wrong, 0) << "path " << static_cast<int>(path);
    if (first.empty()) {
      first = machine.files;
    } else {
      ASSERT_TRUE(machine.files == first) << "other bits on path " << static_cast<int>(path);
    }
  }
  machine.files = before;

  // The footprint is what the definition touches.
  std::vector<std::uint8_t> units(shared_bytes / 128);
  for (const WgmmaStep& step : steps) {
    for (std::uint32_t k = 0; k < 16; ++k) {
      for (std::uint32_t mn = 0; mn < 256; ++mn) {
        const auto touch = [&](std::uint64_t bits, bool mn_major) {
          const std::uint32_t offset = element_offset(MatrixDescriptor::decode(bits), mn_major, mn, k);
          units[offset / 128] |= 1 << offset / 16 % 8;
        };
        if (mn < 64 && !kind.a_in_registers) touch(step.a, kind.a_mn_major);
        if (mn < kind.n) touch(step.b, kind.b_mn_major);
      }
    }
  }
  Footprint touched;
  for (std::uint32_t line = 0; line < units.size(); ++line) {
    if (units[line]) touched.push_back({line, units[line]});
  }
  ASSERT_EQ(footprint(kind, steps), touched);
}

TEST(AsyncWgmma, AgreesWithDoublePrecisionForEveryN) {
  Machine machine(1);
  for (std::uint16_t n = 8; n <= 256; n += 8) {
    for (int types = 0; types < 3; ++types) {
      WgmmaKind kind;
      kind.n = n;
      kind.a = kind.b = types == 0 ? OperandType::bf16 : OperandType::f16;
      kind.d = types == 2 ? AccumulatorType::f16 : AccumulatorType::f32;
      kind.a_in_registers = machine.pick(3) == 0;
      kind.a_mn_major = !kind.a_in_registers && machine.pick(2);
      kind.b_mn_major = machine.pick(2);
      kind.negate_a = machine.pick(4) == 0;
      kind.negate_b = machine.pick(4) == 0;
      ASSERT_NO_FATAL_FAILURE(check(machine, kind, 1 + machine.pick(4)));
    }
  }
}

TEST(AsyncWgmma, AgreesWithDoublePrecisionInBothMajors) {
  Machine machine(2);
  for (int i = 0; i < 60; ++i) {
    WgmmaKind kind;
    kind.n = static_cast<std::uint16_t>(8 + 8 * machine.pick(16));
    kind.a = kind.b = machine.pick(2) ? OperandType::bf16 : OperandType::f16;
    kind.a_in_registers = i % 3 == 2;
    kind.a_mn_major = !kind.a_in_registers && i & 1;
    kind.b_mn_major = i & 2;
    ASSERT_NO_FATAL_FAILURE(check(machine, kind, 1 + machine.pick(7)));
  }
}

TEST(AsyncWgmma, EveryBitPatternConverts) {
  // A is the identity's first column times x: D's column holds x * 1. Denormals, infinities and NaNs included.
  for (OperandType type : {OperandType::bf16, OperandType::f16}) {
    WgmmaKind kind;
    kind.a = kind.b = type;
    kind.n = 8;
    Machine machine(3);
    const std::uint16_t one = type == OperandType::f16 ? 0x3c00 : 0x3f80;
    MatrixDescriptor a{.start = 0, .leading_offset = 128, .stride_offset = 256};
    MatrixDescriptor b{.start = 4096, .leading_offset = 128, .stride_offset = 256};
    WgmmaStep step;
    step.a = a.encode();
    step.b = b.encode();
    step.scale_d = false;
    for (std::uint32_t n = 0; n < 8; ++n) {
      for (std::uint32_t k = 0; k < 16; ++k) {
        Machine::put<std::uint16_t>(machine.shared, element_offset(b, false, n, k), k == n ? one : 0);
      }
    }
    for (std::uint32_t bits = 0; bits < 0x10000; bits += 64) {
      for (std::uint32_t m = 0; m < 64; ++m) {
        Machine::put(machine.shared, element_offset(a, false, m, 3), static_cast<std::uint16_t>(bits + m));
      }
      for (VectorPath path : {VectorPath::portable, VectorPath::avx2, VectorPath::avx512}) {
        if (path > best_vector_path()) continue;
        execute_on(path, kind, {&step, 1}, machine.registers(kind), machine.shared);
        for (std::uint32_t m = 0; m < 64; ++m) {
          const float x = machine.operand(kind, static_cast<std::uint16_t>(bits + m)), d = machine.d_value(kind, m, 3);
          if (std::isnan(x)) {
            ASSERT_EQ(std::bit_cast<std::uint32_t>(d), 0x7fffffffu);
          } else {
            ASSERT_EQ(d, x) << std::hex << bits + m;
          }
        }
      }
    }
  }
}

TEST(AsyncWgmma, PathsAgreeWhereRoundingIsHard) {
  // Products and accumulators of magnitudes far apart, next to the ends of float's range too: sums that cancel, that are
  // subnormal, that overflow, and accumulators that a product changes by less than half of their last bit.
  Machine machine(5);
  WgmmaKind kind;
  kind.n = 64;
  MatrixDescriptor a{.start = 0, .leading_offset = 128, .stride_offset = 256};
  MatrixDescriptor b{.start = 4096, .leading_offset = 128, .stride_offset = 256};
  WgmmaStep step;
  step.a = a.encode();
  step.b = b.encode();
  const auto draw = [&](int exponent, std::uint32_t spread) {
    const float mantissa = 1 + static_cast<float>(machine.pick(1 << 23)) * 0x1p-23f;
    exponent += static_cast<int>(machine.pick(spread)) - static_cast<int>(spread / 2);
    return std::ldexp(machine.pick(2) ? mantissa : -mantissa, exponent);
  };
  for (int round = 0; round < 24; ++round) {
    const int exponent = std::array{-75, -66, 0, 61}[static_cast<std::size_t>(round % 4)];
    for (std::uint32_t at = 0; at < 8192; at += 2)
      Machine::put(machine.shared, at, float_to_bf16(draw(exponent, round / 4 % 2 ? 4 : 16)));
    for (auto& file : machine.files)
      for (std::uint32_t at = 0; at < 128 * 128; at += 4) Machine::put(file, at, draw(2 * exponent, 64));
    const auto before = machine.files;
    std::vector<std::vector<std::byte>> first;
    for (VectorPath path : {VectorPath::portable, VectorPath::avx2, VectorPath::avx512}) {
      if (path > best_vector_path()) continue;
      machine.files = before;
      execute_on(path, kind, {&step, 1}, machine.registers(kind), machine.shared);
      if (first.empty()) first = machine.files;
      ASSERT_TRUE(machine.files == first) << "round " << round << ": other bits on path " << static_cast<int>(path);
    }
  }
}

TEST(AsyncWgmma, HalfAccumulatorsRoundOnceAStep) {
  EXPECT_EQ(float_to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.f), 0x7c00);
  EXPECT_EQ(float_to_f16(0x1p-24f), 1);
  EXPECT_EQ(float_to_f16(0x1p-25f), 0);
  EXPECT_EQ(float_to_f16(-0x1.8p-24f), 0x8002);
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    ASSERT_EQ(float_to_f16(f16_to_float(static_cast<std::uint16_t>(bits))), bits);
  }
}

TEST(AsyncWgmma, RefusesByName) {
  WgmmaKind kind;
  kind.n = 64;
  EXPECT_EQ(find_violation(kind), std::nullopt);
  kind.n = 12;
  EXPECT_NE(find_violation(kind)->find("multiple of 8"), std::string::npos);
  kind.n = 64;
  kind.a = kind.b = OperandType::e4m3;
  EXPECT_NE(find_violation(kind)->find("e4m3"), std::string::npos);
  kind.a = OperandType::bf16;
  kind.b = OperandType::f16;
  EXPECT_NE(find_violation(kind)->find("f32.bf16.f16"), std::string::npos);
  kind.b = OperandType::bf16;
  kind.d = AccumulatorType::f16;
  EXPECT_TRUE(find_violation(kind));
  kind.d = AccumulatorType::f32;
  WgmmaStep step;
  step.a = MatrixDescriptor{.start = 0, .stride_offset = 1024, .swizzle = TensorSwizzle::bytes128}.encode();
  step.b = MatrixDescriptor{.start = shared_bytes - 1024, .stride_offset = 1024, .swizzle = TensorSwizzle::bytes128}
               .encode();
  EXPECT_NE(find_violation(kind, step, shared_bytes)->find("operand B"), std::string::npos);
  step.b = step.a;
  EXPECT_EQ(find_violation(kind, step, shared_bytes), std::nullopt);
  EXPECT_NE(find_violation(kind, step, 8191), std::nullopt);
  EXPECT_EQ(find_violation(kind, step, 8192), std::nullopt);
  step.b |= std::uint64_t{1} << 49;
  EXPECT_NE(find_violation(kind, step, shared_bytes)->find("base offset"), std::string::npos);
}

/// Not a test: CKL_EMU_BENCH=1 prints how fast wgmma is on this core.
TEST(AsyncWgmma, Speed) {
  if (!std::getenv("CKL_EMU_BENCH")) GTEST_SKIP() << "CKL_EMU_BENCH is not set";
  for (std::uint16_t n : {64, 128, 256}) {
    for (int variant = 0; variant < 8; ++variant) {
      Machine machine(4);
      WgmmaKind kind;
      kind.n = n;
      kind.a_mn_major = variant & 1;
      kind.b_mn_major = variant & 1;
      const std::uint32_t fused = variant & 2 ? 4 : 1;
      const VectorPath path = variant & 4 ? VectorPath::avx2 : VectorPath::avx512;
      if (path > best_vector_path()) continue;
      machine.fill(kind);
      std::vector<WgmmaStep> steps(fused);
      for (std::uint32_t i = 0; i < fused; ++i) {
        MatrixDescriptor d{
            .start = 1024, .leading_offset = 8192, .stride_offset = 1024, .swizzle = TensorSwizzle::bytes128};
        d.start += kind.a_mn_major ? 2048 * i : 32 * i;
        steps[i].a = d.encode();
        d.start += 32768;
        steps[i].b = d.encode();
        steps[i].scale_d = i != 0;
      }
      const auto registers = machine.registers(kind);
      execute_on(path, kind, steps, registers, machine.shared);
      const std::clock_t begin = std::clock();
      const int rounds = 2000 / static_cast<int>(fused);
      for (int i = 0; i < rounds; ++i) execute_on(path, kind, steps, registers, machine.shared);
      const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      std::printf("n %3d fused %u %s %s: %.1f GFLOP/s\n", n, fused, variant & 1 ? "mn-major" : "k-major ",
                  variant & 4 ? "avx2" : "avx512", 2e-9 * 64 * n * 16 * fused * rounds / seconds);
    }
  }
}

}  // namespace
}  // namespace emu::async
