// The bench's own kernels: random operands and the oracle in double precision. They are judged by being simple: nothing
// is shared with the kernels under test, and the host checks them against the CPU oracle before they are trusted.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "params.hpp"

namespace {

using namespace ckl::bench;

template <class T> struct Format;
template <> struct Format<float> { static constexpr int fraction_bits = 23, min_exponent = -126; };
template <> struct Format<__half> { static constexpr int fraction_bits = 10, min_exponent = -14; };
template <> struct Format<__nv_bfloat16> { static constexpr int fraction_bits = 7, min_exponent = -126; };

__device__ float to_float(float x) { return x; }
__device__ float to_float(__half x) { return __half2float(x); }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T> __device__ T from_float(float x);
template <> __device__ float from_float<float>(float x) { return x; }
template <> __device__ __half from_float<__half>(float x) { return __float2half_rn(x); }
template <> __device__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) { return __float2bfloat16_rn(x); }
template <> __device__ __nv_fp8_e4m3 from_float<__nv_fp8_e4m3>(float x) { return __nv_fp8_e4m3(x); }
template <> __device__ __nv_fp8_e5m2 from_float<__nv_fp8_e5m2>(float x) { return __nv_fp8_e5m2(x); }
template <> __device__ int from_float<int>(float x) { return int(1000 * x); }
template <> __device__ long long from_float<long long>(float x) { return 1000 * x; }
template <> __device__ bool from_float<bool>(float x) { return x > 0; }

__device__ std::int64_t first_index() { return std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ std::int64_t grid_threads() { return std::int64_t(gridDim.x) * blockDim.x; }

// ---- Random operands -------------------------------------------------------------------------------------

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that mixes all bits.
__device__ std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// Two independent standard normal numbers from 64 random bits (Box and Muller, 1958).
__device__ float2 normal_pair(std::uint64_t bits) {
  const float u = (float(std::uint32_t(bits >> 40)) + 0.5f) * 0x1p-24f;  // (0, 1)
  const float v = float(std::uint32_t(bits) >> 8) * 0x1p-24f;            // [0, 1)
  const float radius = sqrtf(-2.0f * __logf(u));
  float sine, cosine;
  __sincosf(6.2831853f * v, &sine, &cosine);
  return {radius * cosine, radius * sine};
}

template <class T> __device__ void fill(const FillParams& p) {
  T* out = static_cast<T*>(p.out);
  for (std::int64_t pair = first_index(); 2 * pair < p.count; pair += grid_threads()) {
    const float2 values = normal_pair(mix(mix(p.seed) + std::uint64_t(pair)));
    out[2 * pair] = from_float<T>(values.x);
    if (2 * pair + 1 < p.count) out[2 * pair + 1] = from_float<T>(values.y);
  }
}

// ---- The ceiling of reductions -----------------------------------------------------------------------------

/// Reads everything, eight 16-byte loads in flight a thread, and does as little as possible with it.
__device__ void read(const ReadParams& p) {
  constexpr int loads = 8;
  const uint4* data = static_cast<const uint4*>(p.data);
  const std::int64_t step = grid_threads();
  unsigned mixed = 0;
  std::int64_t i = first_index();
  for (; i + (loads - 1) * step < p.count; i += loads * step) {
    uint4 x[loads];
#pragma unroll
    for (int k = 0; k < loads; ++k) x[k] = data[i + k * step];
#pragma unroll
    for (int k = 0; k < loads; ++k) mixed |= x[k].x & x[k].y & x[k].z & x[k].w;
  }
  for (; i < p.count; i += step) mixed |= data[i].x & data[i].y & data[i].z & data[i].w;
  if (mixed == 0xffffffffu && p.out == nullptr)
    *static_cast<volatile unsigned*>(p.out) = mixed;  // never: out is not null
}

// ---- The GEMM oracle -------------------------------------------------------------------------------------

/// One tile of an operand in shared memory: as double for the product, and its absolute values as float, since the
/// scale of the error needs no more precision. Padded against bank conflicts, by an amount that keeps pairs aligned.
template <int Extent> struct Tile {
  double value[kOracleTileK][Extent + 2];
  float magnitude[kOracleTileK][Extent + 4];
};

/// Loads `Extent` rows from `row0` and the k-slice from `k0` of `matrix`, whose "rows" are the dimension that is not k;
/// zeros beyond the matrix. Neighbouring threads take neighbouring addresses.
template <class T, int Extent> __device__ void load_tile(Tile<Extent>& tile, const T* data, std::int64_t row_stride,
                                                         std::int64_t k_stride, std::int64_t row0, std::int64_t rows,
                                                         std::int64_t k0, std::int64_t k_end) {
  const bool k_fastest = k_stride == 1;
  for (int i = threadIdx.x; i < Extent * kOracleTileK; i += kBenchThreads) {
    const int row = k_fastest ? i / kOracleTileK : i % Extent;
    const int k = k_fastest ? i % kOracleTileK : i / Extent;
    const bool inside = row0 + row < rows && k0 + k < k_end;
    const float x = inside ? to_float(data[(row0 + row) * row_stride + (k0 + k) * k_stride]) : 0.0f;
    tile.value[k][row] = double(x);
    tile.magnitude[k][row] = fabsf(x);
  }
}

constexpr int kRows = 8;  // of a thread
constexpr int kCols = 4;
static_assert(kOracleTileM / kRows * (kOracleTileN / kCols) == kBenchThreads);

template <class TIn, class TOut> __device__ void oracle(const OracleParams& p) {
  __shared__ Tile<kOracleTileM> a_tile;
  __shared__ Tile<kOracleTileN> b_tile;
  const std::int64_t tiles_n = (p.n + kOracleTileN - 1) / kOracleTileN;
  const std::int64_t row0 = blockIdx.x / tiles_n * kOracleTileM;
  const std::int64_t col0 = blockIdx.x % tiles_n * kOracleTileN;
  const int row = threadIdx.x / (kOracleTileN / kCols) * kRows;
  const int col = threadIdx.x % (kOracleTileN / kCols) * kCols;

  double sum[kRows][kCols] = {};
  float magnitude[kRows][kCols] = {};
  for (std::int64_t k0 = 0; k0 < p.k; k0 += kOracleTileK) {
    load_tile(a_tile, static_cast<const TIn*>(p.a.data), p.a.row_stride, p.a.column_stride, row0, p.m, k0, p.k);
    load_tile(b_tile, static_cast<const TIn*>(p.b.data), p.b.column_stride, p.b.row_stride, col0, p.n, k0, p.k);
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < kOracleTileK; ++k) {
      double a[kRows], b[kCols];
      float a_magnitude[kRows], b_magnitude[kCols];
#pragma unroll
      for (int i = 0; i < kRows; ++i) a[i] = a_tile.value[k][row + i], a_magnitude[i] = a_tile.magnitude[k][row + i];
#pragma unroll
      for (int j = 0; j < kCols; ++j) b[j] = b_tile.value[k][col + j], b_magnitude[j] = b_tile.magnitude[k][col + j];
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int j = 0; j < kCols; ++j) {
          sum[i][j] = fma(a[i], b[j], sum[i][j]);
          magnitude[i][j] = fmaf(a_magnitude[i], b_magnitude[j], magnitude[i][j]);
        }
    }
    __syncthreads();
  }

  const TOut* c = static_cast<const TOut*>(p.c.data);
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kCols; ++j) {
      const std::int64_t m = row0 + row + i, n = col0 + col + j;
      if (m >= p.m || n >= p.n) continue;
      const double addend =
          p.beta == 0 ? 0.0 : p.beta * double(to_float(c[m * p.c.row_stride + n * p.c.column_stride]));
      p.expected[m * p.n + n] = p.alpha * sum[i][j] + addend;
      p.scale[m * p.n + n] = float(fabs(p.alpha) * double(magnitude[i][j]) + fabs(addend));
    }
}

// ---- The oracle of epilogues -----------------------------------------------------------------------------

__device__ double activate(OracleActivation activation, double x) {
  switch (activation) {
    case OracleActivation::none: return x;
    case OracleActivation::relu: return x < 0 ? 0 : x;
    case OracleActivation::gelu: return x * erfc(-x / sqrt(2.0)) / 2;
    case OracleActivation::gelu_tanh: return x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))) / 2;
    case OracleActivation::silu: return x / (1 + exp(-x));
    case OracleActivation::sigmoid: return 1 / (1 + exp(-x));
  }
  return x;
}

/// A number and the magnitude that its errors are proportional to.
struct Scaled {
  double value, scale;
};

template <class T> __device__ double element(const VectorView& x, std::int64_t i, double otherwise) {
  return x.data ? double(to_float(static_cast<const T*>(x.data)[i * x.stride])) : otherwise;
}
template <class T> __device__ double element(const MatrixView& x, std::int64_t row, std::int64_t column) {
  return x.data ? double(to_float(static_cast<const T*>(x.data)[row * x.row_stride + column * x.column_stride])) : 0;
}

/// What the activation is applied to.
template <class T> __device__ Scaled preactivation(const OracleEpilogueParams& p, std::int64_t i, std::int64_t j) {
  const double factor = element<float>(p.a_scale, i, 1) * element<float>(p.b_scale, j, 1);
  const double addends[] = {p.beta * element<T>(p.c, i, j), element<T>(p.row_bias, i, 0),
                            element<T>(p.column_bias, j, 0)};
  Scaled z{factor * p.product[i * p.n + j], fabs(factor) * double(p.product_scale[i * p.n + j])};
  for (const double addend : addends) z.value += addend, z.scale += fabs(addend);
  return z;
}

template <class T> __device__ void oracle_epilogue(const OracleEpilogueParams& p) {
  const std::int64_t columns = p.gated ? p.n / 2 : p.n;
  for (std::int64_t at = first_index(); at < p.m * columns; at += grid_threads()) {
    const std::int64_t i = at / columns, j = at % columns;
    Scaled y = preactivation<T>(p, i, p.gated ? 2 * j : j);
    if (p.activation != OracleActivation::none) {
      y.value = activate(p.activation, y.value);
      y.scale = p.steepest * y.scale + fabs(y.value) * p.activation_error;
    }
    if (p.gated) {
      const Scaled v = preactivation<T>(p, i, 2 * j + 1);
      y = {y.value * v.value, y.scale * fabs(v.value) + fabs(y.value) * v.scale};
    }
    const double residual = element<T>(p.residual, i, j), d_scale = element<float>(p.d_scale, 0, 1);
    p.expected[at] = (y.value + residual) * d_scale;
    p.scale[at] = float((y.scale + fabs(residual)) * fabs(d_scale));
  }
}

// ---- Comparisons -----------------------------------------------------------------------------------------

/// Half the distance between neighbouring numbers of type T at magnitude `x`.
template <class T> __device__ double half_ulp(double x) {
  const int exponent = max(x == 0 ? Format<T>::min_exponent : ilogb(x), Format<T>::min_exponent);
  return scalbn(1.0, exponent - Format<T>::fraction_bits - 1);
}

/// `difference` relative to `scale`; infinity for a NaN, which so cannot hide behind a comparison that is false.
__device__ double relative(double difference, double scale) {
  if (difference == 0) return 0;
  const double error = difference / scale;
  return isnan(error) ? __longlong_as_double(0x7ff0000000000000ll) : error;
}

/// Adds a thread's findings to the grid's.
__device__ void report(Findings* findings, double error, unsigned long long wrong) {
  if (error > 0) atomicMax(&findings->max_error_bits, (unsigned long long)__double_as_longlong(error));
  if (wrong > 0) atomicAdd(&findings->wrong, wrong);
}

template <class T> __device__ void compare(const CompareParams& p) {
  const T* d = static_cast<const T*>(p.d.data);
  double worst = 0;
  unsigned long long wrong = 0;
  for (std::int64_t i = first_index(); i < p.m * p.n; i += grid_threads()) {
    const double actual = double(to_float(d[i / p.n * p.d.row_stride + i % p.n * p.d.column_stride]));
    const double expected = p.expected[i];
    const double scale = double(p.scale[i]);
    const double difference = fabs(actual - expected);
    // An element is right if it is the rounding of a number within tolerance * scale of the exact one.
    const double slack = p.tolerance * scale;
    const bool right = difference <= slack + half_ulp<T>(fabs(expected) + slack);
    if (!right) ++wrong;
    worst = fmax(worst, relative(difference, scale));
  }
  report(p.findings, worst, wrong);
}

}  // namespace

#define ENTRY(name, Params) \
  extern "C" __global__ void __launch_bounds__(kBenchThreads) name(const __grid_constant__ Params p)

ENTRY(bench_fill_f32, FillParams) { fill<float>(p); }
ENTRY(bench_fill_f16, FillParams) { fill<__half>(p); }
ENTRY(bench_fill_bf16, FillParams) { fill<__nv_bfloat16>(p); }
ENTRY(bench_fill_e4m3, FillParams) { fill<__nv_fp8_e4m3>(p); }
ENTRY(bench_fill_e5m2, FillParams) { fill<__nv_fp8_e5m2>(p); }
ENTRY(bench_fill_i32, FillParams) { fill<int>(p); }
ENTRY(bench_fill_i64, FillParams) { fill<long long>(p); }
ENTRY(bench_fill_b8, FillParams) { fill<bool>(p); }

ENTRY(bench_oracle_f16_f16, OracleParams) { oracle<__half, __half>(p); }
ENTRY(bench_oracle_f16_bf16, OracleParams) { oracle<__half, __nv_bfloat16>(p); }
ENTRY(bench_oracle_f16_f32, OracleParams) { oracle<__half, float>(p); }
ENTRY(bench_oracle_bf16_f16, OracleParams) { oracle<__nv_bfloat16, __half>(p); }
ENTRY(bench_oracle_bf16_bf16, OracleParams) { oracle<__nv_bfloat16, __nv_bfloat16>(p); }
ENTRY(bench_oracle_bf16_f32, OracleParams) { oracle<__nv_bfloat16, float>(p); }

ENTRY(bench_oracle_epilogue_f32, OracleEpilogueParams) { oracle_epilogue<float>(p); }
ENTRY(bench_oracle_epilogue_f16, OracleEpilogueParams) { oracle_epilogue<__half>(p); }
ENTRY(bench_oracle_epilogue_bf16, OracleEpilogueParams) { oracle_epilogue<__nv_bfloat16>(p); }

ENTRY(bench_compare_f32, CompareParams) { compare<float>(p); }
ENTRY(bench_compare_f16, CompareParams) { compare<__half>(p); }
ENTRY(bench_compare_bf16, CompareParams) { compare<__nv_bfloat16>(p); }

ENTRY(bench_read, ReadParams) { read(p); }

ENTRY(bench_spin, SpinParams) {
  const long long start = clock64();
  while (clock64() - start < p.cycles) {}
}
