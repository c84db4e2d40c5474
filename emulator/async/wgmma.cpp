#include "async/wgmma.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "async/wgmma_kernels.hpp"

namespace emu::async {
namespace {

/// Operand types: what a later type needs is its row here and its conversion in the kernels.
struct TypeRow {
  const char* name;
  std::uint32_t k;  // elements along K of one wgmma: 32 bytes
  bool modelled;
};
constexpr TypeRow type_rows[] = {
    {"f16", 16, true},   {"bf16", 16, true}, {"tf32", 8, false}, {"e4m3", 32, false},
    {"e5m2", 32, false}, {"s8", 32, false},  {"u8", 32, false},  {"b1", 256, false},
};
const TypeRow& row_of(OperandType type) { return type_rows[static_cast<int>(type)]; }
constexpr const char* accumulator_names[] = {"f32", "f16", "s32"};

constexpr std::uint32_t a_cores = 8;  // core matrices along M
constexpr std::uint32_t k_cores = 2;  // along K
constexpr std::uint64_t reserved_descriptor_bits = 0x3ff1'c000'c000'c000;

std::optional<std::string> find_descriptor_violation(std::uint64_t bits, bool mn_major, std::uint32_t mn,
                                                     std::uint32_t shared_bytes, char name) {
  if (bits & reserved_descriptor_bits) {
    return fmt::format("the matrix descriptor of {} is {:#018x}, which has reserved bits set", name, bits);
  }
  if (auto violation = find_violation(MatrixDescriptor::decode(bits), mn_major, mn, k_cores, shared_bytes)) {
    return fmt::format("operand {}: {}", name, *violation);
  }
  return {};
}

/// Footprints that were asked for lately: descriptors come back with every round of a pipeline.
struct FootprintCache {
  struct Slot {
    bool used = false;
    WgmmaKind kind;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> descriptors;
    Footprint footprint;
  };
  static constexpr std::size_t slots = 256;
  Slot table[slots];
  std::vector<std::uint8_t> units;  // by line
};

void mark(std::vector<std::uint8_t>& units, std::uint64_t descriptor, bool mn_major, std::uint32_t mn_count) {
  const CoreMatrices cores(MatrixDescriptor::decode(descriptor), mn_major);
  for (std::uint32_t mn = 0; mn < mn_count; ++mn) {
    for (std::uint32_t k = 0; k < k_cores; ++k) {
      for (std::uint32_t row = 0; row < 8; ++row) {
        const std::uint32_t offset = cores.row_offset(mn, k, row);
        if (units.size() <= offset / 128) units.resize(offset / 128 + 1);
        units[offset / 128] |= static_cast<std::uint8_t>(1u << offset / 16 % 8);
      }
    }
  }
}

bool matches(const FootprintCache::Slot& slot, const WgmmaKind& kind, std::span<const WgmmaStep> steps) {
  return slot.used && slot.kind == kind && slot.descriptors.size() == steps.size() &&
         std::equal(steps.begin(), steps.end(), slot.descriptors.begin(), [](const WgmmaStep& step, const auto& pair) {
           return step.a == pair.first && step.b == pair.second;
         });
}

using Run = void (*)(const Chain&);
Run run_of(VectorPath path) {
  switch (path) {
    case VectorPath::avx512: return run_avx512;
    case VectorPath::avx2: return run_avx2;
    default: return run_portable;
  }
}

void execute_with(Run run, const WgmmaKind& kind, std::span<const WgmmaStep> steps, const WgmmaRegisters& registers,
                  std::span<const std::byte> shared) {
  // What comes before a step that does not read D has no effect.
  const auto last_zero =
      std::find_if(steps.rbegin(), steps.rend(), [](const WgmmaStep& step) { return !step.scale_d; });
  bool zero = last_zero != steps.rend();
  if (zero) steps = steps.subspan(static_cast<std::size_t>(std::distance(last_zero, steps.rend())) - 1);
  const std::size_t fused = kind.d == AccumulatorType::f16 ? 1 : max_fused_k / kind.k();
  while (!steps.empty()) {
    const std::size_t count = std::min(fused, steps.size());
    run(Chain{kind, steps.first(count), zero, registers, shared.data()});
    steps = steps.subspan(count);
    zero = false;
  }
}

}  // namespace

std::uint32_t WgmmaKind::k() const { return row_of(a).k; }

std::optional<std::string> find_violation(const WgmmaKind& kind) {
  for (OperandType type : {kind.a, kind.b}) {
    if (!row_of(type).modelled) {
      return fmt::format("wgmma of {} operands is not supported; f16 and bf16 are", row_of(type).name);
    }
  }
  const std::string types =
      fmt::format("{}.{}.{}", accumulator_names[static_cast<int>(kind.d)], row_of(kind.a).name, row_of(kind.b).name);
  if (kind.a != kind.b || kind.d == AccumulatorType::s32 ||
      (kind.d == AccumulatorType::f16 && kind.a != OperandType::f16)) {
    return fmt::format("wgmma does not exist for the types {}", types);
  }
  if (kind.n < 8 || kind.n > 256 || kind.n % 8 != 0) {
    return fmt::format("N of a wgmma of {} must be a multiple of 8 from 8 to 256, and is {}", types, kind.n);
  }
  if (kind.a_in_registers && kind.a_mn_major) return "a wgmma cannot transpose an A that is in registers";
  return {};
}

std::optional<std::string> find_violation(const WgmmaKind& kind, const WgmmaStep& step, std::uint32_t shared_bytes) {
  if (!kind.a_in_registers) {
    if (auto violation = find_descriptor_violation(step.a, kind.a_mn_major, a_cores, shared_bytes, 'A'))
      return violation;
  }
  return find_descriptor_violation(step.b, kind.b_mn_major, kind.n / 8u, shared_bytes, 'B');
}

const Footprint& footprint(const WgmmaKind& kind, std::span<const WgmmaStep> steps) {
  thread_local FootprintCache cache;
  std::uint64_t hash = kind.n + (kind.a_mn_major ? 512 : 0) + (kind.b_mn_major ? 1024 : 0);
  for (const WgmmaStep& step : steps) hash = (hash ^ step.a ^ step.b << 20) * 0x9e3779b97f4a7c15;
  FootprintCache::Slot& slot = cache.table[hash >> 56];
  if (matches(slot, kind, steps)) return slot.footprint;

  slot.used = true;
  slot.kind = kind;
  slot.descriptors.clear();
  slot.footprint.clear();
  cache.units.clear();
  for (const WgmmaStep& step : steps) {
    slot.descriptors.emplace_back(step.a, step.b);
    if (!kind.a_in_registers) mark(cache.units, step.a, kind.a_mn_major, a_cores);
    mark(cache.units, step.b, kind.b_mn_major, kind.n / 8u);
  }
  for (std::size_t line = 0; line < cache.units.size(); ++line) {
    if (cache.units[line]) slot.footprint.push_back({static_cast<std::uint32_t>(line), cache.units[line]});
  }
  return slot.footprint;
}

void execute(const WgmmaKind& kind, std::span<const WgmmaStep> steps, const WgmmaRegisters& registers,
             std::span<const std::byte> shared) {
  static const Run run = run_of(vector_path());
  execute_with(run, kind, steps, registers, shared);
}

void execute_on(VectorPath path, const WgmmaKind& kind, std::span<const WgmmaStep> steps,
                const WgmmaRegisters& registers, std::span<const std::byte> shared) {
  execute_with(run_of(path), kind, steps, registers, shared);
}

}  // namespace emu::async
