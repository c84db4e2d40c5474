#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "numeric.hpp"
#include "parallel.hpp"
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

/// Judges rows [0, count) on all CPU cores: `judge_rows(begin, end, comparison)` adds those of a piece to what it is given.
template <class JudgeRows>
Comparison compare_on_all_cores(std::int64_t count, double bound, const JudgeRows& judge_rows) {
  std::mutex mutex;
  std::map<std::int64_t, Comparison> pieces;  // by their first row: the first wrong element is the same each time
  parallel_for(count, [&](std::int64_t begin, std::int64_t end) {
    Comparison piece;
    judge_rows(begin, end, piece);
    const std::lock_guard lock(mutex);
    pieces.emplace(begin, std::move(piece));
  });
  Comparison whole;
  whole.bound = bound;
  for (const auto& [begin, piece] : pieces) append(whole, piece);
  return whole;
}

}  // namespace ckl::reference
