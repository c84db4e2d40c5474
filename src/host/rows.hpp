#pragma once

// The host's side of the row engine (device/row_engine.cuh): a problem over rows as the kernel sees it, and which config serves it.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "ckl/device.hpp"
#include "ckl/operand.hpp"
#include "device/row_config.hpp"
#include "device/row_params.hpp"
#include "host/launch.hpp"

namespace ckl::host {

/// Rows along one axis of a shape: the other dimensions, merged where all operands allow it, count them.
struct RowShape {
  RowGrid grid{};
  std::vector<RowOperand> operands;  ///< Without data: those that have a row, then those that have one element a row.
  /// Whether every row of every operand is a dense run of aligned vectors, of 16 bytes or, where elements are narrower than those of the
  /// first operand, of as many elements as that one's.
  bool vectors = false;
  /// Whether rows are dense runs of elements, and those of all operands lie alike between 16-byte boundaries, on which each operand has to
  /// begin where there are several: all but their ends are vectors.
  bool ragged_vectors = false;
  bool dense = false;  ///< Whether every row of every operand is a dense run of elements.

  static RowShape of(int rank, const std::array<std::int64_t, max_rank>& sizes, int axis,
                     const std::vector<TensorOperand>& operands, const std::vector<TensorOperand>& one_a_row = {});
};

/// The configs among `shipped` that can serve rows of `columns` elements of `dtype` in an operator with these needs, best first.
/// `vectors`: 16-byte accesses are possible; `passes`: how often a row is gone through, wherever it is held. None of it depends on the number of
/// rows, so that a row's bits do not either.
std::vector<std::string> rank_row_configs(DType dtype, std::int64_t columns, bool vectors,
                                          const std::vector<std::string>& shipped, RowNeeds needs = {}, int passes = 2,
                                          bool ragged = false);

/// The same for an operator that reads a row once: a group of threads takes rows of any length, piece by piece, of which it holds nothing;
/// `ragged` configs have all of a short row under way at once.
std::vector<std::string> rank_passing_row_configs(DType dtype, std::int64_t columns, bool vectors,
                                                  const std::vector<std::string>& shipped, RowNeeds needs = {});

/// How many blocks of a cluster share a row of `columns` elements; 1 for configs that do not use clusters.
int row_cluster(const RowConfig& config, std::int64_t columns);

/// Prepares the launch of entry `name` of `op` for the shape on `device`, which is current, and the part of each block in its grid.
Launch prepare_rows(const char* op, const std::string& name, RowGrid& grid, int device, RowNeeds needs = {});

}  // namespace ckl::host
