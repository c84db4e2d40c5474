// wgmma with AVX2, FMA and F16C. A vector of D is 8 lanes of a register: 2 rows by 4 columns.
#include <immintrin.h>

#include <cstring>

#include "async/wgmma_kernels.hpp"

namespace emu::async {
namespace {

struct alignas(64) Panels {
  float a[max_fused_k][8][8];  // of one warp; a vector has two rows, each 4 times
  float b[b_panel_floats];
};

/// The 8 rows of a core matrix.
struct Rows {
  const std::byte* row[8];
};

inline Rows rows_of(const CoreMatrices& cores, const std::byte* shared, std::uint32_t mn, std::uint32_t k) {
  Rows rows;
  for (std::uint32_t i = 0; i < 8; ++i) rows.row[i] = shared + cores.row_offset(mn, k, i);
  return rows;
}

template <bool Half> CKL_EMU_AVX2 inline __m256 to_floats(const std::byte* row) {
  const __m128i elements = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
  if constexpr (Half) return _mm256_cvtph_ps(elements);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(elements), 16));
}

CKL_EMU_AVX2 inline void transpose(__m256 (&v)[8]) {
  __m256 pairs[8], quads[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

/// A core matrix as v[k] = 8 elements along M or N; `order` is that of the rows of a K-major one.
template <bool Half>
CKL_EMU_AVX2 inline void load_core(const Rows& rows, bool mn_major, const int* order, __m256 (&v)[8]) {
  for (int i = 0; i < 8; ++i) v[i] = to_floats<Half>(rows.row[mn_major ? i : order[i]]);
  if (!mn_major) transpose(v);
}

template <bool Half> CKL_EMU_AVX2 void pack_b(const CoreMatrices& cores, const std::byte* shared, bool mn_major,
                                              std::uint32_t blocks, std::uint32_t k0, std::uint32_t total_k,
                                              float* panel) {
  static constexpr int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  const __m256i by_parity = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(order));
  for (std::uint32_t block = 0; block < blocks; ++block) {
    for (std::uint32_t k = 0; k < 2; ++k) {
      __m256 v[8];
      load_core<Half>(rows_of(cores, shared, block, k), mn_major, order, v);
      float* to = panel + std::size_t{block} * 8 * total_k + (k0 + 8 * k) * 4;
      for (int i = 0; i < 8; ++i, to += 4) {
        if (mn_major) v[i] = _mm256_permutevar8x32_ps(v[i], by_parity);
        _mm_storeu_ps(to, _mm256_castps256_ps128(v[i]));
        _mm_storeu_ps(to + 4 * std::size_t{total_k}, _mm256_extractf128_ps(v[i], 1));
      }
    }
  }
}

template <bool Half> CKL_EMU_AVX2 void pack_a_core(const Rows& rows, bool mn_major, __m256 sign,
                                                   std::uint32_t first_vector, float (*panel)[8][8]) {
  static constexpr int order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  __m256 v[8];
  load_core<Half>(rows, mn_major, order, v);
  for (int k = 0; k < 8; ++k) {
    v[k] = _mm256_xor_ps(v[k], sign);
    for (int pair = 0; pair < 4; ++pair) {
      const int a = 2 * pair, b = a + 1;
      _mm256_store_ps(panel[k][first_vector + pair],
                      _mm256_permutevar8x32_ps(v[k], _mm256_setr_epi32(a, a, a, a, b, b, b, b)));
    }
  }
}

template <bool Half> CKL_EMU_AVX2 void pack_a(const Chain& chain, const WgmmaStep& step, std::uint32_t warp,
                                              __m256 sign, float (*panel)[8][8]) {
  if (!chain.kind.a_in_registers) {
    const CoreMatrices cores(MatrixDescriptor::decode(step.a), chain.kind.a_mn_major);
    for (std::uint32_t i = 0; i < 4; ++i) {
      pack_a_core<Half>(rows_of(cores, chain.shared, 2 * warp + i % 2, i / 2), chain.kind.a_mn_major, sign, i % 2 * 4,
                        panel + i / 2 * 8);
    }
    return;
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    // Register i as an MN-major core matrix.
    std::uint16_t lanes[32][2], core[8][8];
    std::memcpy(lanes, chain.registers.files[warp] + step.a_offsets[i], sizeof lanes);
    Rows rows;
    for (std::uint32_t k = 0; k < 8; ++k) {
      rows.row[k] = reinterpret_cast<const std::byte*>(core[k]);
      for (std::uint32_t row = 0; row < 8; ++row) core[k][row] = lanes[row * 4 + k / 2][k % 2];
    }
    pack_a_core<Half>(rows, true, sign, i % 2 * 4, panel + i / 2 * 8);
  }
}

CKL_EMU_AVX2 inline __m256 canonical(__m256 value) {
  return _mm256_blendv_ps(value, _mm256_castsi256_ps(_mm256_set1_epi32(canonical_nan)),
                          _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
}

CKL_EMU_AVX2 inline __m256i to_half(__m256 value) {
  const __m256i half = _mm256_cvtepu16_epi32(_mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(half, _mm256_set1_epi32(canonical_nan_f16), nan);
}

/// The low half of each 32-bit element as a float.
CKL_EMU_AVX2 inline __m256 from_half(__m256i pairs) {
  const __m256i low = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff));
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0xd8);
  return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

/// 8 rows (`upper`: the second 8) by the 8 columns of `block`: d[pair of rows][parity].
CKL_EMU_AVX2 void multiply(const Chain& chain, const Panels& panels, std::uint32_t k_count, std::byte* file,
                           std::uint32_t block, std::uint32_t upper) {
  const std::uint32_t* offsets = chain.registers.accumulators.data();
  const bool half = chain.kind.d == AccumulatorType::f16;
  std::byte* registers[2];  // by parity; with f16 one register has both
  for (std::uint32_t parity = 0; parity < 2; ++parity) {
    registers[parity] = file + (half ? offsets[2 * block + upper] : offsets[4 * block + 2 * upper + parity]);
  }

  __m256 d[4][2];
  for (int pair = 0; pair < 4; ++pair) {
    for (int parity = 0; parity < 2; ++parity) {
      if (chain.zero) {
        d[pair][parity] = _mm256_setzero_ps();
      } else if (!half) {
        d[pair][parity] = _mm256_loadu_ps(reinterpret_cast<const float*>(registers[parity] + 32 * pair));
      } else {
        const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(registers[0] + 32 * pair));
        d[pair][parity] = from_half(parity ? _mm256_srli_epi32(pairs, 16) : pairs);
      }
    }
  }
  const float* even = panels.b + std::size_t{block} * 8 * k_count;
  const float* odd = even + 4 * std::size_t{k_count};
  for (std::uint32_t k = 0; k < k_count; ++k) {
    const __m256 b0 = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(even + 4 * k));
    const __m256 b1 = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(odd + 4 * k));
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const __m256 a = _mm256_load_ps(panels.a[k][4 * upper + pair]);
      d[pair][0] = _mm256_fmadd_ps(a, b0, d[pair][0]);
      d[pair][1] = _mm256_fmadd_ps(a, b1, d[pair][1]);
    }
  }
  for (int pair = 0; pair < 4; ++pair) {
    if (!half) {
      for (int parity = 0; parity < 2; ++parity) {
        _mm256_storeu_ps(reinterpret_cast<float*>(registers[parity] + 32 * pair), canonical(d[pair][parity]));
      }
    } else {
      const __m256i pairs = _mm256_or_si256(to_half(d[pair][0]), _mm256_slli_epi32(to_half(d[pair][1]), 16));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(registers[0] + 32 * pair), pairs);
    }
  }
}

/// Not inlined: the address of what belongs to a thread is asked for once then, not at each use.
[[gnu::noinline]] Panels& panels_of_thread() {
  thread_local Panels panels;
  return panels;
}

template <bool Half> CKL_EMU_AVX2 void run(const Chain& chain) {
  Panels& panels = panels_of_thread();
  const WgmmaKind& kind = chain.kind;
  const std::uint32_t blocks = kind.n / 8u, k_count = static_cast<std::uint32_t>(chain.steps.size()) * 16;
  const __m256 sign = _mm256_set1_ps(kind.negate_a != kind.negate_b ? -0.f : 0.f);
  for (std::size_t i = 0; i < chain.steps.size(); ++i) {
    const CoreMatrices b(MatrixDescriptor::decode(chain.steps[i].b), kind.b_mn_major);
    pack_b<Half>(b, chain.shared, kind.b_mn_major, blocks, static_cast<std::uint32_t>(i) * 16, k_count, panels.b);
  }
  for (std::uint32_t warp = 0; warp < 4; ++warp) {
    for (std::size_t i = 0; i < chain.steps.size(); ++i) {
      pack_a<Half>(chain, chain.steps[i], warp, sign, panels.a + 16 * i);
    }
    for (std::uint32_t upper = 0; upper < 2; ++upper) {
      for (std::uint32_t block = 0; block < blocks; ++block) {
        multiply(chain, panels, k_count, chain.registers.files[warp], block, upper);
      }
    }
  }
}

}  // namespace

CKL_EMU_AVX2 void run_avx2(const Chain& chain) {
  chain.kind.a == OperandType::f16 ? run<true>(chain) : run<false>(chain);
}

}  // namespace emu::async
