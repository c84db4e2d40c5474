#pragma once

// Copies of matrices into rows that TMA can load, for the host side of other operators.

#include <cstdint>
#include <vector>

#include "ckl/device.hpp"
#include "host/launch.hpp"
#include "ops/pad/config.hpp"
#include "ops/pad/params.hpp"

namespace ckl {

/// How a matrix to copy lies: strides in elements, any. In the copy, `columns` elements are contiguous, and
/// padded_pitch(columns) apart from the next row's.
struct PadSource {
  std::int64_t rows, columns;
  std::int64_t row_stride, column_stride;
};

/// Bytes of the copy.
std::size_t padded_bytes(const PadSource& source, int element_bytes);

/// One or two copies, bound to a config and to the current device; run() only launches.
class PadLauncher {
 public:
  /// @throws Error (unsupported) for matrices beyond what one grid copies.
  PadLauncher(const std::vector<PadSource>& sources, int element_bytes);

  /// Copies from[i], as source i lies, to to[i].
  void run(const void* const* from, void* const* to, Stream stream) const;

 private:
  PadParams params_{};
  int count_ = 0;
  host::Launch launch_;
};

}  // namespace ckl
