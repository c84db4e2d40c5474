// wgmma with AVX-512. A vector of D is 16 lanes of a register: 4 rows by 4 columns. So a vector of A has 4 elements, each 4 times,
// and one of B has 4 elements, all of them 4 times: broadcast on load.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 to 13: its own AVX-512 header
#include <immintrin.h>

#include <cstring>

#include "async/wgmma_kernels.hpp"

namespace emu::async {
namespace {

constexpr std::uint32_t row_vectors = 4;  // of the 16 rows of a warp

struct alignas(64) Panels {
  float a[max_fused_k][row_vectors][16];  // of one warp
  float b[b_panel_floats];
};

/// Four rows of 16 bytes in one vector.
CKL_EMU_AVX512 inline __m512i load_rows(const std::byte* shared, const std::uint32_t* offsets) {
  const auto row = [&](int i) __attribute__((always_inline)) {
    return reinterpret_cast<const __m128i*>(shared + offsets[i]);
  };
  const __m256i low =
      _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(row(0))), _mm_loadu_si128(row(1)), 1);
  const __m256i high =
      _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(row(2))), _mm_loadu_si128(row(3)), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/// Picks 16 of 32 elements, index[2 * i + 1] for the i-th, as floats.
template <bool Half> CKL_EMU_AVX512 inline __m512 pick(__m512i elements, __m512i index) {
  // Each element in the upper half of 32 bits: a bf16 is a float then.
  const __m512i upper = _mm512_maskz_permutexvar_epi16(0xaaaaaaaau, index, elements);
  if constexpr (!Half) return _mm512_castsi512_ps(upper);
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(upper, 16)));
}

/// For pick(): entry i of `source`.
template <class Source> CKL_EMU_AVX512 inline __m512i make_index(Source source) {
  alignas(64) std::uint16_t index[32];
  for (int i = 0; i < 16; ++i) index[2 * i] = index[2 * i + 1] = static_cast<std::uint16_t>(source(i));
  return _mm512_load_si512(index);
}

/// Offsets of the 8 rows of core matrix (mn, k).
inline void row_offsets(const CoreMatrices& cores, std::uint32_t mn, std::uint32_t k, std::uint32_t* offsets) {
  const std::uint32_t first = cores.linear_offset(mn, k), stride = cores.row_stride();
  for (std::uint32_t row = 0; row < 8; ++row) offsets[row] = cores.swizzled(first + row * stride);
}

/// Calls visit(mn, shared, offsets) for `count` core matrices from `first_mn` on, at `k`.
template <class Visit> CKL_EMU_AVX512 inline void for_each_core(const CoreMatrices& cores, const std::byte* shared,
                                                                std::uint32_t first_mn, std::uint32_t count,
                                                                std::uint32_t k, Visit visit) {
  std::uint32_t offsets[8];
  row_offsets(cores, first_mn, k, offsets);
  for (std::uint32_t i = 0; i < count; ++i) {
    visit(first_mn + i, shared, offsets);
    if (cores.has_uniform_mn_stride()) {
      shared += cores.mn_stride();
    } else if (i + 1 < count) {
      row_offsets(cores, first_mn + i + 1, k, offsets);
    }
  }
}

/// One step of B into the panel, its K starting at `k0` of `total_k`.
template <bool Half> CKL_EMU_AVX512 void pack_b(const CoreMatrices& cores, const std::byte* shared, bool mn_major,
                                                std::uint32_t blocks, std::uint32_t k0, std::uint32_t total_k,
                                                float* panel) {
  if (!mn_major) {
    // Rows are columns of B, in the order in which the panel has them; index: from [column][k] to [k][column].
    const __m512i first = make_index([](int i) { return i % 4 * 8 + i / 4; });
    const __m512i second = make_index([](int i) { return i % 4 * 8 + i / 4 + 4; });
    for (std::uint32_t k = 0; k < 2; ++k) {
      for_each_core(
          cores, shared, 0, blocks, k,
          [&](std::uint32_t block, const std::byte* base, const std::uint32_t* rows) CKL_EMU_AVX512 {
            float* to = panel + std::size_t{block} * 8 * total_k + (k0 + 8 * k) * 4;
            for (int parity = 0; parity < 2; ++parity, to += 4 * std::size_t{total_k}) {
              const std::uint32_t order[4] = {rows[parity], rows[parity + 2], rows[parity + 4], rows[parity + 6]};
              const __m512i elements = load_rows(base, order);
              _mm512_storeu_ps(to, pick<Half>(elements, first));
              _mm512_storeu_ps(to + 16, pick<Half>(elements, second));
            }
          });
    }
    return;
  }
  // Rows are k, with 8 columns each.
  const __m512i even = make_index([](int i) { return i / 4 * 8 + i % 4 * 2; });
  const __m512i odd = make_index([](int i) { return i / 4 * 8 + i % 4 * 2 + 1; });
  for (std::uint32_t k = 0; k < 2; ++k) {
    for_each_core(cores, shared, 0, blocks, k,
                  [&](std::uint32_t block, const std::byte* base, const std::uint32_t* rows) CKL_EMU_AVX512 {
                    float* to = panel + std::size_t{block} * 8 * total_k + (k0 + 8 * k) * 4;
                    for (int half = 0; half < 2; ++half, to += 16) {
                      const __m512i elements = load_rows(base, rows + 4 * half);
                      _mm512_storeu_ps(to, pick<Half>(elements, even));
                      _mm512_storeu_ps(to + 4 * std::size_t{total_k}, pick<Half>(elements, odd));
                    }
                  });
  }
}

/// One step of a warp's 16 rows of A, from shared memory.
template <bool Half> CKL_EMU_AVX512 void pack_a(const CoreMatrices& cores, const std::byte* shared, bool mn_major,
                                                std::uint32_t warp, __m512i sign, float (*panel)[row_vectors][16]) {
  __m512i index[8];
  for (int i = 0; i < 8; ++i) {
    index[i] = mn_major ? make_index([&](int lane) { return i / 2 * 8 + i % 2 * 4 + lane / 4; })
                        : make_index([&](int lane) { return lane / 4 * 8 + i; });
  }
  for (std::uint32_t k = 0; k < 2; ++k) {
    for_each_core(cores, shared, 2 * warp, 2, k,
                  [&](std::uint32_t mn, const std::byte* base, const std::uint32_t* rows) CKL_EMU_AVX512 {
                    const std::uint32_t vector = mn % 2 * 2;
                    for (std::uint32_t half = 0; half < 2; ++half) {
                      const __m512i elements = _mm512_xor_si512(load_rows(base, rows + 4 * half), sign);
                      for (std::uint32_t i = 0; i < 8; ++i) {
                        const __m512 picked = pick<Half>(elements, index[i]);
                        if (mn_major) {
                          _mm512_store_ps(panel[8 * k + 4 * half + i / 2][vector + i % 2], picked);
                        } else {
                          _mm512_store_ps(panel[8 * k + i][vector + half], picked);
                        }
                      }
                    }
                  });
  }
}

/// The same from registers: register i of a lane has rows lane / 4 + 8 * (i % 2) and two of k from 8 * (i / 2) on.
template <bool Half> CKL_EMU_AVX512 void pack_a_registers(const std::byte* file, std::span<const std::uint32_t> offsets,
                                                          __m512i sign, float (*panel)[row_vectors][16]) {
  for (std::uint32_t i = 0; i < 4; ++i) {
    for (std::uint32_t half = 0; half < 2; ++half) {
      const __m512i elements = _mm512_xor_si512(_mm512_loadu_si512(file + offsets[i] + 64 * half), sign);
      for (std::uint32_t k = 0; k < 8; ++k) {
        const __m512i index = make_index([&](int lane) { return 8 * (lane / 4) + static_cast<int>(k); });
        _mm512_store_ps(panel[8 * (i / 2) + k][i % 2 * 2 + half], pick<Half>(elements, index));
      }
    }
  }
}

CKL_EMU_AVX512 inline __m512 canonical(__m512 value) {
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_mov_ps(value, nan, _mm512_castsi512_ps(_mm512_set1_epi32(canonical_nan)));
}

/// D of Blocks * 8 columns from `block` on, of one warp: d[vector][2 * block + parity].
template <int Blocks> CKL_EMU_AVX512 inline void load_d(const Chain& chain, const std::byte* file, std::uint32_t block,
                                                        __m512 (&d)[4][2 * Blocks]) {
  const std::uint32_t* offsets = chain.registers.accumulators.data();
  for (int b = 0; b < Blocks; ++b) {
    for (int vector = 0; vector < 4; ++vector) {
      if (chain.zero) {
        d[vector][2 * b] = d[vector][2 * b + 1] = _mm512_setzero_ps();
      } else if (chain.kind.d == AccumulatorType::f32) {
        for (int parity = 0; parity < 2; ++parity) {
          d[vector][2 * b + parity] =
              _mm512_loadu_ps(file + offsets[4 * (block + b) + vector / 2 * 2 + parity] + 64 * (vector % 2));
        }
      } else {
        const __m512i pairs = _mm512_loadu_si512(file + offsets[2 * (block + b) + vector / 2] + 64 * (vector % 2));
        d[vector][2 * b] = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pairs));
        d[vector][2 * b + 1] = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16)));
      }
    }
  }
}

CKL_EMU_AVX512 inline __m512i to_half(__m512 value) {
  const __m512i half = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_mov_epi32(half, nan, _mm512_set1_epi32(canonical_nan_f16));
}

template <int Blocks> CKL_EMU_AVX512 inline void store_d(const Chain& chain, std::byte* file, std::uint32_t block,
                                                         const __m512 (&d)[4][2 * Blocks]) {
  const std::uint32_t* offsets = chain.registers.accumulators.data();
  for (int b = 0; b < Blocks; ++b) {
    for (int vector = 0; vector < 4; ++vector) {
      if (chain.kind.d == AccumulatorType::f32) {
        for (int parity = 0; parity < 2; ++parity) {
          _mm512_storeu_ps(file + offsets[4 * (block + b) + vector / 2 * 2 + parity] + 64 * (vector % 2),
                           canonical(d[vector][2 * b + parity]));
        }
      } else {
        const __m512i pairs =
            _mm512_or_si512(to_half(d[vector][2 * b]), _mm512_slli_epi32(to_half(d[vector][2 * b + 1]), 16));
        _mm512_storeu_si512(file + offsets[2 * (block + b) + vector / 2] + 64 * (vector % 2), pairs);
      }
    }
  }
}

template <int Blocks> CKL_EMU_AVX512 void multiply(const Chain& chain, const Panels& panels, std::uint32_t k_count,
                                                   std::byte* file, std::uint32_t block) {
  __m512 d[4][2 * Blocks];
  load_d<Blocks>(chain, file, block, d);
  const float* b_panel = panels.b + std::size_t{block} * 8 * k_count;
  for (std::uint32_t k = 0; k < k_count; ++k) {
    __m512 a[4];
#pragma GCC unroll 4
    for (int vector = 0; vector < 4; ++vector) a[vector] = _mm512_load_ps(panels.a[k][vector]);
#pragma GCC unroll 4
    for (int column = 0; column < 2 * Blocks; ++column) {
      const __m512 b = _mm512_broadcast_f32x4(_mm_loadu_ps(b_panel + (std::size_t(column) * k_count + k) * 4));
#pragma GCC unroll 4
      for (int vector = 0; vector < 4; ++vector) d[vector][column] = _mm512_fmadd_ps(a[vector], b, d[vector][column]);
    }
  }
  store_d<Blocks>(chain, file, block, d);
}

/// Not inlined: the address of what belongs to a thread is asked for once then, not at each use.
[[gnu::noinline]] Panels& panels_of_thread() {
  thread_local Panels panels;
  return panels;
}

template <bool Half> CKL_EMU_AVX512 void run(const Chain& chain) {
  Panels& panels = panels_of_thread();
  const WgmmaKind& kind = chain.kind;
  const std::uint32_t blocks = kind.n / 8u, k_count = static_cast<std::uint32_t>(chain.steps.size()) * 16;
  const __m512i sign = _mm512_set1_epi16(kind.negate_a != kind.negate_b ? static_cast<short>(0x8000) : 0);
  for (std::size_t i = 0; i < chain.steps.size(); ++i) {
    const CoreMatrices b(MatrixDescriptor::decode(chain.steps[i].b), kind.b_mn_major);
    pack_b<Half>(b, chain.shared, kind.b_mn_major, blocks, static_cast<std::uint32_t>(i) * 16, k_count, panels.b);
  }
  for (std::uint32_t warp = 0; warp < 4; ++warp) {
    std::byte* file = chain.registers.files[warp];
    for (std::size_t i = 0; i < chain.steps.size(); ++i) {
      const WgmmaStep& step = chain.steps[i];
      if (kind.a_in_registers) {
        pack_a_registers<Half>(file, step.a_offsets, sign, panels.a + 16 * i);
      } else {
        const CoreMatrices a(MatrixDescriptor::decode(step.a), kind.a_mn_major);
        pack_a<Half>(a, chain.shared, kind.a_mn_major, warp, sign, panels.a + 16 * i);
      }
    }
    std::uint32_t block = 0;
    for (; block + 2 <= blocks; block += 2) multiply<2>(chain, panels, k_count, file, block);
    if (block < blocks) multiply<1>(chain, panels, k_count, file, block);
  }
}

}  // namespace

CKL_EMU_AVX512 void run_avx512(const Chain& chain) {
  chain.kind.a == OperandType::f16 ? run<true>(chain) : run<false>(chain);
}

}  // namespace emu::async
