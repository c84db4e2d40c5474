#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "bench/guarded/guarded_memory.hpp"
#include "ckl/tensor.hpp"
#include "reference/draw.hpp"
#include "reference/numeric.hpp"

namespace ckl::bench {

using Dimensions = std::vector<std::int64_t>;

/// Calls `visit(offset)` with the place of every element, in elements from element (0, 0, ...), in C order.
template <class Visit> void for_each_element(const Dimensions& sizes, const Dimensions& strides, const Visit& visit,
                                             std::size_t dimension = 0, std::int64_t offset = 0) {
  if (dimension == sizes.size()) return visit(offset);
  for (std::int64_t i = 0; i < sizes[dimension]; ++i)
    for_each_element(sizes, strides, visit, dimension + 1, offset + i * strides[dimension]);
}

/// The bits of 65536 normally distributed numbers of `dtype`; integers are a thousand times those, booleans whether they are positive.
inline std::vector<std::uint64_t> normal_bits(DType dtype) {
  std::vector<std::uint64_t> bits;
  const reference::Numeric numeric(dtype == DType::f64 ? DType::f32 : dtype);
  reference::Draw draw(0x6e6f'726d);
  while (bits.size() < 1 << 16) {  // Box and Muller's polar form, as rewritten by Marsaglia
    const double x = draw.symmetric(), y = draw.symmetric(), square = x * x + y * y;
    if (square >= 1 || square == 0) continue;
    const double normal = x * std::sqrt(-2 * std::log(square) / square);
    bits.push_back(std::bit_cast<std::uint64_t>(normal));  // f64
    if (dtype == DType::f64) continue;
    bits.back() = 0;
    numeric.write(&bits.back(), 0, numeric.is_float() ? normal : dtype == DType::b8 ? normal > 0 : 1000 * normal);
  }
  return bits;
}

/// A strided tensor in guarded device memory that is exactly as large as the tensor's span.
class GuardedTensor {
 public:
  /// @param offset  Elements from a 256-byte boundary to the lowest element.
  GuardedTensor(DType dtype, Dimensions sizes, Dimensions strides, std::int64_t offset = 0)
      : dtype_(dtype),
        sizes_(std::move(sizes)),
        strides_(std::move(strides)),
        memory_(std::size_t(span()) * size_of(dtype), std::size_t(offset) * size_of(dtype)) {}

  /// Normally distributed elements, the same for the same seed. What lies between the elements stays NaN.
  void fill(std::uint64_t seed) {
    static std::map<DType, std::vector<std::uint64_t>> tables;  // of the types that were asked for
    std::vector<std::uint64_t>& table = tables[dtype_];
    if (table.empty()) table = normal_bits(dtype_);
    reference::Draw draw(seed);
    for_each([&](std::int64_t offset) {
      std::memcpy(host_at(offset), &table[draw.bits() % table.size()], size_of(dtype_));
    });
    memory_.upload();
  }

  /// All elements `value`, but what lies between them stays NaN.
  void fill_with(double value) {
    const reference::Numeric numeric(dtype_);
    for_each([&](std::int64_t offset) { numeric.write(host(), offset, value); });
    memory_.upload();
  }

  /// Sets one element.
  void set(const Dimensions& index, double value) {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides_[i];
    reference::Numeric(dtype_).write(host(), offset, value);
    memory_.upload();
  }

  /// Element (0, 0, ...) in the host's image.
  std::byte* host() { return host_at(0); }

  /// A copy of the image of the tensor's span, and where in it element (0, 0, ...) lies, in bytes.
  std::vector<std::byte> image() const { return {memory_.host(), memory_.host() + memory_.bytes()}; }
  std::int64_t first_byte() const { return lowest() * std::int64_t(size_of(dtype_)); }

  /// Element (0, 0, ...) on the device.
  std::byte* device() const { return memory_.device() + lowest() * std::int64_t(size_of(dtype_)); }

  /// The device memory as the library sees it.
  Tensor tensor() const {
    Tensor view;
    view.data = device();
    view.dtype = dtype_;
    view.rank = int(sizes_.size());
    std::copy(sizes_.begin(), sizes_.end(), view.sizes.begin());
    std::copy(strides_.begin(), strides_.end(), view.strides.begin());
    return view;
  }

  /// Brings the elements, and only those, from the device into the image, as the results that were to be written. What
  /// difference() finds then should not have been written. Returns all bytes of the tensor's span.
  std::vector<std::byte> receive() {
    std::vector<std::byte> now = memory_.download();
    for_each([&](std::int64_t offset) {
      const std::int64_t at = (lowest() + offset) * std::int64_t(size_of(dtype_));
      std::memcpy(memory_.host() + at, now.data() + at, size_of(dtype_));
    });
    return now;
  }

  /// Empty if the device memory equals the image, guard bands included.
  std::string difference() const { return memory_.difference(); }
  std::vector<std::byte> download() const { return memory_.download(); }
  void upload() { memory_.upload(); }

 private:
  template <class Visit> void for_each(const Visit& visit) const { for_each_element(sizes_, strides_, visit); }

  bool empty() const {
    for (const std::int64_t size : sizes_)
      if (size == 0) return true;
    return false;
  }

  /// Elements from the lowest to the highest, both included.
  std::int64_t span() const {
    if (empty()) return 0;
    std::int64_t count = 1;
    for (std::size_t i = 0; i < sizes_.size(); ++i) count += (sizes_[i] - 1) * std::abs(strides_[i]);
    return count;
  }

  /// Elements from the lowest to element (0, 0, ...), which is another where a stride is negative.
  std::int64_t lowest() const {
    if (empty()) return 0;
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < sizes_.size(); ++i)
      if (strides_[i] < 0) offset -= (sizes_[i] - 1) * strides_[i];
    return offset;
  }

  std::byte* host_at(std::int64_t offset) {
    return memory_.host() + (lowest() + offset) * std::int64_t(size_of(dtype_));
  }

  DType dtype_;
  Dimensions sizes_, strides_;
  GuardedMemory memory_;
};

}  // namespace ckl::bench
