#pragma once

#include "numeric.hpp"

namespace ckl::reference {

/// Whether `actual` may stand for `expected` in `format`, when the value before rounding may be off by `slack`.
bool acceptable(FloatFormat format, double actual, double expected, double slack);

/// |actual - expected| / scale, with the conventions of Comparison::error.
double relative_error(FloatFormat format, double actual, double expected, double scale);

}  // namespace ckl::reference
