#pragma once

/// @file
/// The fields of operands of a common shape: how they are drawn, and what sizes and strides they stand for.

#include <string>
#include <vector>

#include "bench/guarded/guarded_tensor.hpp"
#include "fuzz/fuzz_case.hpp"

namespace ckl::bench {

/// Draws the fields `rank`, at least `least`, and `s0`, `s1`, ...: the shape, of at most some 2^15 elements (`small`) or 2^21, one
/// dimension longer than the others.
void draw_shape(FuzzCase& one, reference::Draw& draw, bool small, std::int64_t least = 0);

/// Draws the fields of operand `x`; only inputs are broadcast.
void draw_operand(FuzzCase& one, reference::Draw& draw, const std::string& x, bool is_input);

/// The common shape.
Dimensions sizes_of(const FuzzCase& one);

/// The shape of input `x`: the common one, with 1 where its mask says that it is broadcast, and without the first dimensions that it lacks.
Dimensions input_sizes(const FuzzCase& one, const std::string& x);

/// A tensor of these sizes in the memory order that the fields of `x` say: the innermost dimension has its gap and its padding.
GuardedTensor make_operand(const FuzzCase& one, const std::string& x, DType dtype, const Dimensions& sizes);

/// For a malformed problem: two dimensions with no extent below 2, and operands without gaps, in which others might lie.
void keep_operands_plain(FuzzCase& one);

/// "of NAME, what has changed", if anything has.
std::string complaint_about(const std::string& name, const GuardedTensor& x);

}  // namespace ckl::bench
