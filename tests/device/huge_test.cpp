// Tensors of more than 2^31 elements: any index that is kept in 32 bits somewhere goes astray. Only on a GPU with
// tens of gigabytes; only parts of the results are fetched.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ckl/ckl.hpp"
#include "device_test.hpp"
#include "operand_buffer.hpp"
#include "reference/parallel.hpp"
#include "reference/reference.hpp"

namespace ckl::test {
namespace {

using reference::Draw;

constexpr std::int64_t two_to_31 = std::int64_t(1) << 31;
constexpr std::int64_t mib = 1 << 20;

/// Device memory without an image on the host; all bytes 0xff, NaN, at first. A guard of 1 MiB behind it.
class LargeBuffer {
 public:
  LargeBuffer(DType dtype, std::int64_t elements) : dtype_(dtype), bytes_(elements * std::int64_t(size_of(dtype))) {
    CKL_CHECK_CUDA(cudaMalloc(&data_, bytes_ + mib));
    CKL_CHECK_CUDA(cudaMemset(data_, 0xff, bytes_ + mib));
  }
  ~LargeBuffer() { cudaFree(data_); }
  LargeBuffer(const LargeBuffer&) = delete;
  LargeBuffer& operator=(const LargeBuffer&) = delete;

  void* device() const { return data_; }

  /// Repeats `bits` of 16-bit elements over the whole buffer.
  void tile(const std::vector<std::uint16_t>& bits) {
    const std::int64_t period = std::int64_t(bits.size()) * 2;
    CKL_CHECK_CUDA(cudaMemcpy(data_, bits.data(), std::min(period, bytes_), cudaMemcpyHostToDevice));
    for (std::int64_t done = period; done < bytes_; done += std::min(done, bytes_ - done))  // doubles what is there
      CKL_CHECK_CUDA(cudaMemcpy(at(done), data_, std::min(done, bytes_ - done), cudaMemcpyDeviceToDevice));
  }

  void write(std::int64_t element, const void* from, std::int64_t count) {
    const std::int64_t size = std::int64_t(size_of(dtype_));
    CKL_CHECK_CUDA(cudaMemcpy(at(element * size), from, count * size, cudaMemcpyHostToDevice));
  }

  void read(std::int64_t element, void* to, std::int64_t count) const {
    const std::int64_t size = std::int64_t(size_of(dtype_));
    CKL_CHECK_CUDA(cudaMemcpy(to, at(element * size), count * size, cudaMemcpyDeviceToHost));
  }

  /// Expects the bytes from `element` on, at most 1 MiB, to be untouched.
  void expect_poison(std::int64_t element, std::int64_t count, const char* what) const {
    std::vector<unsigned char> bytes(count * std::int64_t(size_of(dtype_)));
    read(element, bytes.data(), count);
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0xff), std::int64_t(bytes.size())) << what;
  }
  void expect_guard() const {
    expect_poison(bytes_ / std::int64_t(size_of(dtype_)), mib / std::int64_t(size_of(dtype_)), "the guard band");
  }

 private:
  char* at(std::int64_t byte) const { return static_cast<char*>(data_) + byte; }

  DType dtype_;
  std::int64_t bytes_;
  void* data_ = nullptr;
};

/// `count` normally distributed bf16 elements.
std::vector<std::uint16_t> normal(std::int64_t count, std::uint64_t seed) {
  static const std::vector<std::uint64_t> table = bench::normal_bits(DType::bf16);
  Draw draw(seed);
  std::vector<std::uint16_t> bits(count);
  for (std::uint16_t& each : bits) each = std::uint16_t(table[draw.bits() % table.size()]);
  return bits;
}

class Huge : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    if (short_list()) GTEST_SKIP() << "not in the short list: it needs tens of gigabytes";
    if (!memory_available(std::size_t(20) << 30)) GTEST_SKIP() << "needs 20 GiB of free device memory";
  }
};

// 2^31 + 5 elements: the last, partial vector lies beyond 2^31, and byte offsets beyond 2^32. The periods of the
// inputs' patterns are prime, so a displaced element differs.
TEST_F(Huge, AddContiguous) {
  const std::int64_t count = two_to_31 + 5;
  const std::vector<std::uint16_t> x = normal(1048573, 1), y = normal(1048571, 2);
  LargeBuffer a(DType::bf16, count), b(DType::bf16, count), d(DType::bf16, count);
  a.tile(x), b.tile(y);
  const auto tensor = [&](const LargeBuffer& buffer) {
    return Tensor::contiguous(buffer.device(), DType::bf16, {count});
  };
  add(tensor(a), tensor(b), tensor(d));
  CKL_CHECK_CUDA(cudaDeviceSynchronize());
  d.expect_guard();

  const std::int64_t chunk = 64 * mib;
  std::vector<std::uint16_t> results(chunk);
  const reference::Numeric bf16(DType::bf16);
  for (std::int64_t first = 0; first < count; first += chunk) {
    const std::int64_t size = std::min(chunk, count - first);
    d.read(first, results.data(), size);
    std::vector<std::int64_t> wrong(size / mib + 1);
    reference::parallel_for(std::int64_t(wrong.size()), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin * mib; i < std::min(end * mib, size); ++i) {
        const std::int64_t at = first + i;
        const double sum =
            bf16.read(x.data(), at % std::int64_t(x.size())) + bf16.read(y.data(), at % std::int64_t(y.size()));
        wrong[i / mib] += bf16.read(results.data(), i) != reference::round_to(bf16.format(), sum);
      }
    });
    for (std::size_t part = 0; part < wrong.size(); ++part)
      ASSERT_EQ(wrong[part], 0) << "wrong elements from " << first + std::int64_t(part) * mib << " on";
  }
}

// A column of a matrix with 2^31 + 8 elements: few elements, far apart, by the strided kernel.
TEST_F(Huge, AddStrided) {
  const std::int64_t rows = 9, stride = two_to_31 / 8 + 1;
  LargeBuffer a(DType::bf16, (rows - 1) * stride + 1), d(DType::bf16, (rows - 1) * stride + 1);
  const std::vector<std::uint16_t> x = normal(rows, 3);
  for (std::int64_t row = 0; row < rows; ++row) a.write(row * stride, &x[row], 1);
  const Tensor column = Tensor::strided(a.device(), DType::bf16, {rows}, {stride});
  add(column, column, Tensor::strided(d.device(), DType::bf16, {rows}, {stride}));
  CKL_CHECK_CUDA(cudaDeviceSynchronize());
  const reference::Numeric bf16(DType::bf16);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint16_t result;
    d.read(row * stride, &result, 1);
    EXPECT_EQ(bf16.read(&result, 0), 2 * bf16.read(x.data(), row)) << row;
    if (row > 0) d.expect_poison(row * stride - 1000, 1000, "before a row");
  }
  d.expect_guard();
}

/// A GEMM on LargeBuffers, of whose D some rows are checked.
struct LargeGemm {
  std::int64_t m, n, k;
  std::int64_t a_leading, d_leading;  ///< Elements between rows.
  DType out = DType::bf16;

  void run() const {
    LargeBuffer a(DType::bf16, (m - 1) * a_leading + k), b(DType::bf16, n * k), d(out, (m - 1) * d_leading + n);
    const std::vector<std::uint16_t> b_values = normal(n * k, 5);
    b.write(0, b_values.data(), n * k);
    // All of A's rows where there are few; else the pattern, whose period is prime, so that rows differ.
    const std::vector<std::uint16_t> pattern = normal(1048573, 4);
    a.tile(pattern);
    gemm({Tensor::row_major(a.device(), DType::bf16, m, k, a_leading),
          Tensor::column_major(b.device(), DType::bf16, k, n), Tensor::row_major(d.device(), out, m, n, d_leading)});
    CKL_CHECK_CUDA(cudaDeviceSynchronize());
    d.expect_guard();

    // Both ends, the rows around the powers of two in elements and in bytes, and some between.
    std::vector<std::int64_t> rows = {0, 1, m / 3, m / 2, m - 2, m - 1};
    for (const std::int64_t boundary : {two_to_31 / 2, two_to_31, 2 * two_to_31})
      for (const std::int64_t leading : {a_leading, d_leading})
        for (const std::int64_t row : {boundary / leading - 1, boundary / leading, boundary / leading + 1})
          rows.push_back(row);
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    std::erase_if(rows, [this](std::int64_t row) { return row < 0 || row >= m; });

    // The chosen rows alone make a small product, which the oracle computes.
    const std::int64_t count = std::int64_t(rows.size()), size = std::int64_t(size_of(out));
    std::vector<std::uint16_t> some_a(count * k);
    std::vector<char> some_d(count * n * size);
    for (std::int64_t i = 0; i < count; ++i) {
      a.read(rows[i] * a_leading, &some_a[i * k], k);
      d.read(rows[i] * d_leading, &some_d[i * n * size], n);
      if (d_leading > n && rows[i] < m - 1) d.expect_poison(rows[i] * d_leading + n, 8, "the gap after a row");
    }
    GemmProblem problem;
    problem.m = count, problem.n = n, problem.k = k;
    problem.a = {DType::bf16, k, 1, 0, 16}, problem.b = {DType::bf16, 1, k, 0, 16}, problem.d = {out, n, 1, 0, 16};
    std::vector<double> expected(count * n), scale(count * n);
    reference::gemm(problem, some_a.data(), b_values.data(), nullptr, expected.data(), scale.data());
    const reference::Comparison comparison =
        reference::compare_gemm(problem, some_d.data(), expected.data(), scale.data());
    EXPECT_TRUE(comparison.passed()) << comparison.wrong << " elements are wrong; of the chosen rows "
                                     << comparison.first_wrong;
  }
};

// D has more than 2^31 elements, stored by TMA, whose coordinates are 32-bit but whose addresses must not be.
TEST_F(Huge, GemmWithALargeD) { LargeGemm{65544, 32776, 16, 16, 32776}.run(); }

// The same stored element by element: D's rows are at odd distances.
TEST_F(Huge, GemmWithALargeOddD) { LargeGemm{65544, 32775, 16, 16, 32775}.run(); }

// A has more than 2^31 elements.
TEST_F(Huge, GemmWithALargeA) { LargeGemm{131080, 72, 16392, 16392, 72}.run(); }

// The same on the path without TMA.
TEST_F(Huge, GemmWithALargeOddA) { LargeGemm{131080, 8, 16391, 16391, 8}.run(); }

// Three rows, each more than 2^31 elements from the next.
TEST_F(Huge, GemmWithLargeLeadingDimensions) { LargeGemm{3, 40, 72, two_to_31 + 8, 40}.run(); }
TEST_F(Huge, GemmWithALargeLeadingDimensionOfD) { LargeGemm{3, 40, 72, 72, two_to_31 + 8}.run(); }

}  // namespace
}  // namespace ckl::test
