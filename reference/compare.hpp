#pragma once

#include <cstdint>

#include "numeric.hpp"
#include "reference.hpp"

namespace ckl::reference {

/// Whether `actual` may stand for `expected` in `format`, when the value before rounding may be off by `slack`.
bool acceptable(FloatFormat format, double actual, double expected, double slack);

/// |actual - expected| / scale, with the conventions of Comparison::error.
double relative_error(FloatFormat format, double actual, double expected, double scale);

/// Adds element `column` of row `row` to a comparison whose errors are relative to the slack and half a unit in the last place.
void judge(Comparison& comparison, FloatFormat format, double actual, double expected, double slack, std::int64_t row,
           std::int64_t column);

/// Adds the elements of `more`.
void append(Comparison& comparison, const Comparison& more);

}  // namespace ckl::reference
