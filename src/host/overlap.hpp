#pragma once

// Which bytes a strided tensor covers, and whether two of them meet.

#include <cstdint>
#include <string>

#include "ckl/tensor.hpp"

namespace ckl::host {

/// Throws invalid_argument unless the tensor's rank is 0 to max_rank, its sizes are not negative, and its elements, their
/// count and their byte offsets all fit 63 bits. `argument` names it in the message.
void require_well_formed(const Tensor& tensor, const char* argument);

/// Number of elements; the tensor is well formed.
std::int64_t element_count(const Tensor& tensor);

/// The largest power of two up to 16 that divides `data`'s address.
int alignment_of(const void* data);

/// Byte offsets of the first and behind the last byte of a tensor, from its data.
struct Span {
  std::int64_t begin = 0, end = 0;
};

/// Those of `tensor`, which has elements and is well formed.
Span span_of(const Tensor& tensor);

/// Whether the bytes around two pointers have none in common, not even between their elements.
inline bool apart(const void* x, const Span& of_x, const void* y, const Span& of_y) {
  const std::int64_t distance = reinterpret_cast<std::intptr_t>(x) - reinterpret_cast<std::intptr_t>(y);
  return distance + of_x.begin >= of_y.end || of_y.begin >= distance + of_x.end;
}

/// Throws invalid_argument if two indices of `tensor` name the same bytes: it could not be an output.
void require_no_self_overlap(const Tensor& tensor, const char* argument);

/// Throws invalid_argument if `output` and `input` share bytes, unless they are the same elements at the same places.
void require_no_partial_overlap(const Tensor& output, const char* output_name, const Tensor& input,
                                const char* input_name);

/// Throws invalid_argument if `output` and `other` share bytes.
void require_no_overlap(const Tensor& output, const char* output_name, const Tensor& other, const char* other_name);

}  // namespace ckl::host
