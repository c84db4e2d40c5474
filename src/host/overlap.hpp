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

/// Throws invalid_argument if two indices of `tensor` name the same bytes: it could not be an output.
void require_no_self_overlap(const Tensor& tensor, const char* argument);

/// Throws invalid_argument if `output` and `input` share bytes, unless they are the same elements at the same places.
void require_no_partial_overlap(const Tensor& output, const char* output_name, const Tensor& input,
                                const char* input_name);

}  // namespace ckl::host
