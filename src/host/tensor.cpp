#include "ckl/tensor.hpp"

#include <algorithm>
#include <utility>

#include "host/operand.hpp"
#include "host/require.hpp"

namespace ckl {

Tensor Tensor::strided(const void* data, DType dtype, std::initializer_list<std::int64_t> sizes,
                       std::initializer_list<std::int64_t> strides) {
  host::require(sizes.size() <= std::size_t(max_rank), "sizes must have at most ", max_rank, " entries, but has ",
                sizes.size());
  host::require(sizes.size() == strides.size(), "strides must have as many entries as sizes (", sizes.size(),
                "), but has ", strides.size());
  Tensor t;
  t.data = const_cast<void*>(data);
  t.dtype = dtype;
  t.rank = int(sizes.size());
  std::copy(sizes.begin(), sizes.end(), t.sizes.begin());
  std::copy(strides.begin(), strides.end(), t.strides.begin());
  return t;
}

Tensor Tensor::contiguous(const void* data, DType dtype, std::initializer_list<std::int64_t> sizes) {
  Tensor t = strided(data, dtype, sizes, sizes);
  std::int64_t stride = 1;
  for (int i = t.rank - 1; i >= 0; --i) {
    t.strides[i] = stride;
    host::require(!__builtin_mul_overflow(stride, std::max<std::int64_t>(t.sizes[i], 1), &stride),
                  "sizes must have a product below 2^63, but sizes are ", t.to_string());
  }
  return t;
}

Tensor Tensor::row_major(const void* data, DType dtype, std::int64_t rows, std::int64_t cols, std::int64_t leading) {
  return strided(data, dtype, {rows, cols}, {leading ? leading : cols, 1});
}

Tensor Tensor::column_major(const void* data, DType dtype, std::int64_t rows, std::int64_t cols, std::int64_t leading) {
  return strided(data, dtype, {rows, cols}, {1, leading ? leading : rows});
}

Tensor Tensor::transposed() const {
  host::require(rank >= 2, "transposed() needs a tensor of rank 2 or more, but rank is ", rank);
  Tensor t = *this;
  std::swap(t.sizes[rank - 2], t.sizes[rank - 1]);
  std::swap(t.strides[rank - 2], t.strides[rank - 1]);
  return t;
}

std::string Tensor::to_string() const {
  return host::sentence(name(dtype), " ", host::listed(rank, sizes), " strides ", host::listed(rank, strides));
}

}  // namespace ckl
