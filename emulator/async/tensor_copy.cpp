#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "async/copy.hpp"
#include "async/matrix_descriptor.hpp"

namespace emu::async {
namespace {

constexpr std::uint32_t unit_bytes = 16;
constexpr std::uint32_t shared_alignment = 128;
constexpr std::uint32_t max_row_bytes = 256 * 8;  // of a box
constexpr std::uint32_t prefetch_rows = 12;

/// The half-open range of positions of a box along one dimension that lie in the tensor.
struct Inside {
  std::uint32_t begin = 0, end = 0;
  bool empty() const { return begin >= end; }
  std::uint32_t count() const { return empty() ? 0 : end - begin; }
};

Inside inside_of(const TensorMap& map, int dimension, std::int64_t at) {
  const std::int64_t count = map.box_count(dimension), size = static_cast<std::int64_t>(map.sizes[dimension]);
  const std::int64_t step = dimension == 0 ? 1 : map.element_strides[dimension];
  const std::int64_t begin = at >= 0 ? 0 : (-at + step - 1) / step;
  const std::int64_t end = at >= size ? 0 : (size - at + step - 1) / step;
  return {static_cast<std::uint32_t>(std::min(begin, count)),
          static_cast<std::uint32_t>(std::clamp<std::int64_t>(end, 0, count))};
}

/// A plane of a box: the rows along dimension 1 at one position of the dimensions above it.
struct Plane {
  std::uint32_t first_row;  // of the box, counted over its planes
  bool inside;              // in the tensor in the dimensions above 1
  std::uint64_t address;    // of the element at box position 0, 0: may lie outside of the tensor
};

/// From row to row of a box in shared memory: measured on an H200, a row takes the whole span of the swizzle, however narrow it is.
std::uint32_t row_pitch(const TensorMap& map) {
  return std::max(map.box_count(0) * element_bytes(map.type), swizzle_span(map.swizzle));
}

std::uint32_t box_rows(const TensorMap& map) { return box_bytes(map) / (map.box_count(0) * element_bytes(map.type)); }

/// Calls visit(offset in shared memory before the swizzle, offset in the packed box) for each unit of a box.
template <class Visit> void for_each_unit(const TensorMap& map, std::uint32_t offset, Visit visit) {
  const std::uint32_t pitch = row_pitch(map), rows = box_rows(map), row_bytes = box_bytes(map) / rows;
  for (std::uint32_t row = 0; row < rows; ++row)
    for (std::uint32_t i = 0; i < row_bytes; i += unit_bytes) visit(offset + row * pitch + i, row * row_bytes + i);
}

/// How a box lies over its tensor.
class Box {
 public:
  Box(const TensorMap& map, const Coordinates& at) : map_(map), at_(at) {
    for (int i = 0; i < TensorMap::max_rank; ++i) {
      counts_[i] = map.box_count(i);
      inside_[i] = inside_of(map, i, at[i]);
    }
  }

  std::uint32_t element() const { return element_bytes(map_.type); }
  std::uint32_t row_bytes() const { return counts_[0] * element(); }
  std::uint32_t pitch() const { return row_pitch(map_); }
  std::uint32_t rows() const { return counts_[1]; }  // of a plane
  /// Bytes of a row, and rows of a plane, that lie in the tensor.
  Inside columns() const { return {inside_[0].begin * element(), inside_[0].end * element()}; }
  Inside rows_inside() const { return inside_[1]; }
  std::uint64_t row_stride() const { return map_.strides[1] * map_.element_strides[1]; }

  template <class Visit> void for_each_plane(Visit visit) const {
    std::uint32_t first_row = 0;
    for (std::uint32_t w = 0; w < counts_[4]; ++w) {
      for (std::uint32_t v = 0; v < counts_[3]; ++v) {
        for (std::uint32_t u = 0; u < counts_[2]; ++u, first_row += counts_[1]) {
          const bool inside = contains(2, u) && contains(3, v) && contains(4, w);
          const std::uint64_t address = map_.global_address +
                                        static_cast<std::uint64_t>(std::int64_t{at_[0]} * element()) + offset(1, 0) +
                                        offset(2, u) + offset(3, v) + offset(4, w);
          visit(Plane{first_row, inside, address});
        }
      }
    }
  }

  /// The part of a plane that lies in the tensor; `columns` in bytes of a row.
  GlobalRows region(const Plane& plane, Inside columns) const {
    return {plane.address + columns.begin + inside_[1].begin * row_stride(), columns.count(), inside_[1].count(),
            row_stride()};
  }

 private:
  bool contains(int i, std::uint32_t position) const {
    return position >= inside_[i].begin && position < inside_[i].end;
  }
  std::uint64_t offset(int i, std::uint32_t position) const {
    return static_cast<std::uint64_t>(at_[i] + std::int64_t{position} * map_.element_strides[i]) * map_.strides[i];
  }

  const TensorMap& map_;
  const Coordinates& at_;
  std::uint32_t counts_[TensorMap::max_rank];
  Inside inside_[TensorMap::max_rank];
};

/// Writes a packed row at `offset` of shared memory, before the swizzle.
inline void put_row(std::byte* shared, std::uint32_t offset, std::uint32_t swizzle, const std::byte* row,
                    std::uint32_t bytes) {
  if (swizzle == 0) {
    std::memcpy(shared + offset, row, bytes);
    return;
  }
  if (bytes == 128) {  // one line: the swizzle is one exclusive or
    std::byte* line = shared + offset;
    const std::uint32_t flip = offset >> 3 & swizzle;
    for (std::uint32_t i = 0; i < 128; i += unit_bytes) std::memcpy(line + (i ^ flip), row + i, unit_bytes);
    return;
  }
  for (std::uint32_t i = 0; i < bytes; i += unit_bytes) {
    const std::uint32_t at = offset + i;
    std::memcpy(shared + (at ^ (at >> 3 & swizzle)), row + i, unit_bytes);
  }
}

/// Fills elements with the value of elements that lie outside of the tensor.
void fill(const TensorMap& map, std::byte* to, std::uint32_t bytes) {
  if (map.oob_fill == TensorOobFill::zeros) {
    std::memset(to, 0, bytes);
    return;
  }
  static constexpr std::uint64_t nans[] = {0, 0, 0x7fff, 0, 0x7fffffff, 0, 0, 0, 0x7fff'ffff'ffff'ffff};  // by size
  const std::uint32_t element = element_bytes(map.type);
  for (std::uint32_t i = 0; i < bytes; i += element) std::memcpy(to + i, &nans[element], element);
}

void append_unit(Footprint& footprint, std::uint32_t offset) {
  if (footprint.empty() || footprint.back().line != offset / 128) footprint.push_back({offset / 128, 0});
  footprint.back().units |= 1u << offset / unit_bytes % 8;
}

std::optional<ReduceType> reduce_type_of(TensorDataType type, ReduceOperation operation) {
  const bool bitwise = operation >= ReduceOperation::bit_and;
  switch (type) {
    case TensorDataType::u32: return bitwise ? ReduceType::b32 : ReduceType::u32;
    case TensorDataType::s32: return bitwise ? ReduceType::b32 : ReduceType::s32;
    case TensorDataType::u64: return bitwise ? ReduceType::b64 : ReduceType::u64;
    case TensorDataType::s64: return bitwise ? ReduceType::b64 : ReduceType::s64;
    case TensorDataType::f16: return ReduceType::f16;
    case TensorDataType::bf16: return ReduceType::bf16;
    case TensorDataType::f32: return ReduceType::f32;
    case TensorDataType::f64: return ReduceType::f64;
    default: return {};
  }
}

}  // namespace

std::uint32_t box_bytes(const TensorMap& map) {
  std::uint32_t bytes = element_bytes(map.type);
  for (std::uint32_t i = 0; i < map.rank; ++i) bytes *= map.box_count(static_cast<int>(i));
  return bytes;
}

std::optional<std::string> find_violation(const TensorMap& map, std::uint32_t rank, std::uint32_t offset,
                                          std::uint32_t shared_bytes) {
  if (rank != map.rank) {
    return fmt::format("the tensor map has {} dimensions, the instruction {} coordinates", map.rank, rank);
  }
  if (auto unmodelled = find_unmodelled(map)) return unmodelled;
  if (offset % shared_alignment) {
    return fmt::format("the shared memory of a tensor copy must be aligned to 128 bytes, and is at {:#x}", offset);
  }
  const std::uint32_t bytes = box_rows(map) * row_pitch(map);
  if (offset > shared_bytes || bytes > shared_bytes - offset) {
    return fmt::format("a box of {} bytes at {:#x} does not fit into shared memory, which ends at {:#x}", bytes, offset,
                       shared_bytes);
  }
  return {};
}

std::optional<std::string> find_reduction_violation(const TensorMap& map, ReduceOperation operation) {
  const auto type = reduce_type_of(map.type, operation);
  if (!type) {
    return fmt::format("a tensor reduction of the map's data type {} is not supported", static_cast<int>(map.type));
  }
  return find_bulk_reduction_violation(
      operation, *type == ReduceType::s64 && operation == ReduceOperation::add ? ReduceType::u64 : *type, true);
}

void tensor_load(const TensorMap& map, const Coordinates& at, std::span<std::byte> shared, std::uint32_t offset,
                 GlobalAccess& global) {
  const Box box(map, at);
  const std::uint32_t row_bytes = box.row_bytes(), pitch = box.pitch(), swizzle = swizzle_bits(map.swizzle);
  const Inside columns = box.columns(), rows = box.rows_inside();
  const std::uint64_t stride = box.row_stride();
  const bool whole_rows = columns.count() == row_bytes;
  std::byte packed[max_row_bytes];  // a row that is partly filled; then one that is wholly filled
  fill(map, packed, row_bytes);
  box.for_each_plane([&](const Plane& plane) {
    const bool has_data = plane.inside && !rows.empty() && !columns.empty();
    const std::byte* source = has_data ? global.read(box.region(plane, columns)) : nullptr;
    for (std::uint32_t row = 0; row < box.rows(); ++row) {
      const std::uint32_t to = offset + (plane.first_row + row) * pitch;
      if (!has_data || row < rows.begin || row >= rows.end) {
        if (has_data && !whole_rows) fill(map, packed, row_bytes);
        put_row(shared.data(), to, swizzle, packed, row_bytes);
        continue;
      }
      const std::byte* from = source + (row - rows.begin) * stride;
      if (row + prefetch_rows < rows.end) {
        for (std::uint32_t i = 0; i < row_bytes; i += 64) __builtin_prefetch(from + prefetch_rows * stride + i);
      }
      for (std::uint32_t i = 0; i < row_bytes; i += 64) {  // the box of the next step of a loop over dimension 0
        __builtin_prefetch(from + row_bytes + i, 0, 2);
      }
      if (whole_rows) {
        put_row(shared.data(), to, swizzle, from, row_bytes);
      } else {
        std::memcpy(packed + columns.begin, from, columns.count());
        put_row(shared.data(), to, swizzle, packed, row_bytes);
      }
    }
    if (has_data && !whole_rows) fill(map, packed, row_bytes);
  });
}

void tensor_gather(const TensorMap& map, std::span<const std::byte> shared, std::uint32_t offset, std::byte* box) {
  const std::uint32_t bytes = box_bytes(map), swizzle = swizzle_bits(map.swizzle);
  if (swizzle == 0) {
    std::memcpy(box, shared.data() + offset, bytes);
    return;
  }
  for_each_unit(map, offset, [&](std::uint32_t from, std::uint32_t to) {
    std::memcpy(box + to, shared.data() + (from ^ (from >> 3 & swizzle)), unit_bytes);
  });
}

void tensor_scatter(const TensorMap& map, const Coordinates& at, const std::byte* packed, GlobalAccess& global) {
  const Box box(map, at);
  const Inside rows = box.rows_inside();
  Inside columns = box.columns();
  if (rows.empty() || columns.empty()) return;
  // Measured on an H100: a row that the tensor's edge cuts is written up to the next multiple of 16 bytes.
  const std::uint64_t first = static_cast<std::uint64_t>(std::int64_t{at[0]} * box.element());
  const std::uint64_t end = (first + columns.end + unit_bytes - 1) / unit_bytes * unit_bytes - first;
  columns.end = static_cast<std::uint32_t>(std::min<std::uint64_t>(end, box.row_bytes()));
  box.for_each_plane([&](const Plane& plane) {
    if (!plane.inside) return;
    std::byte* target = global.write(box.region(plane, columns));
    const std::byte* source = packed + std::size_t{plane.first_row + rows.begin} * box.row_bytes() + columns.begin;
    for (std::uint32_t row = 0; row < rows.count(); ++row) {
      std::memcpy(target + row * box.row_stride(), source + std::size_t{row} * box.row_bytes(), columns.count());
    }
  });
}

void tensor_reduce(const TensorMap& map, const Coordinates& at, const std::byte* packed, ReduceOperation operation,
                   GlobalAccess& global) {
  const Box box(map, at);
  const Inside rows = box.rows_inside(), columns = box.columns();
  const auto type = reduce_type_of(map.type, operation);
  if (rows.empty() || columns.empty() || !type) return;
  box.for_each_plane([&](const Plane& plane) {
    if (!plane.inside) return;
    std::byte* target = global.update(box.region(plane, columns));
    const std::byte* source = packed + std::size_t{plane.first_row + rows.begin} * box.row_bytes() + columns.begin;
    for (std::uint32_t row = 0; row < rows.count(); ++row) {
      reduce(operation, *type, target + row * box.row_stride(), source + std::size_t{row} * box.row_bytes(),
             columns.count());
    }
  });
}

void tensor_load_footprint(const TensorMap& map, std::uint32_t offset, Footprint& footprint) {
  const std::uint32_t bytes = box_bytes(map), swizzle = swizzle_bits(map.swizzle);
  const bool whole_lines = bytes % 128 == 0 && bytes == box_rows(map) * row_pitch(map);
  if (swizzle == 0 || whole_lines) {  // a swizzle permutes the units of a line
    append_range(footprint, offset, bytes);
    return;
  }
  for_each_unit(map, offset,
                [&](std::uint32_t to, std::uint32_t) { append_unit(footprint, to ^ (to >> 3 & swizzle)); });
}

void tensor_store_footprint(const TensorMap& map, const Coordinates& at, std::uint32_t offset, Footprint& footprint) {
  const Box box(map, at);
  const Inside rows = box.rows_inside(), columns = box.columns();
  const std::uint32_t swizzle = swizzle_bits(map.swizzle);
  if (rows.empty() || columns.empty()) return;
  box.for_each_plane([&](const Plane& plane) {
    if (!plane.inside) return;
    for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
      const std::uint32_t first = offset + (plane.first_row + row) * box.pitch();
      for (std::uint32_t i = columns.begin / unit_bytes * unit_bytes; i < columns.end; i += unit_bytes) {
        append_unit(footprint, (first + i) ^ ((first + i) >> 3 & swizzle));
      }
    }
  });
}

}  // namespace emu::async
