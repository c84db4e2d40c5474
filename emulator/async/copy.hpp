#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "async/footprint.hpp"
#include "tensor_map/tensor_map.hpp"

// Bulk copies (cp.async.bulk, cp.reduce.async.bulk) and tensor copies (cp.async.bulk.tensor, cp.reduce.async.bulk.tensor),
// tile mode, as plain functions: no queues, no barriers. The caller decides when they take effect.
namespace emu::async {

/// Rows of global memory that one step of a copy touches: `rows` times `row_bytes`, each `stride` bytes after the other.
struct GlobalRows {
  std::uint64_t address = 0;
  std::uint64_t row_bytes = 0;
  std::uint64_t rows = 1;
  std::uint64_t stride = 0;
};

/// Global memory as asynchronous operations see it. Each function checks all rows, throws what the machine throws for an
/// access out of bounds, and gives the host's pointer to the first row.
class GlobalAccess {
 public:
  virtual const std::byte* read(const GlobalRows& rows) = 0;
  virtual std::byte* write(const GlobalRows& rows) = 0;
  /// Reductions read and write; each element by one atomic operation of the host.
  virtual std::byte* update(const GlobalRows& rows) = 0;

 protected:
  ~GlobalAccess() = default;
};

enum class ReduceOperation : std::uint8_t { add, min, max, inc, dec, bit_and, bit_or, bit_xor };
enum class ReduceType : std::uint8_t { u32, s32, u64, s64, f16, bf16, f32, f64, b32, b64 };
std::uint32_t bytes_of(ReduceType type);
const char* name_of(ReduceOperation operation);
const char* name_of(ReduceType type);

/// target[i] = target[i] op source[i] for `bytes` bytes, each element by one atomic operation of the host. f16 and bf16
/// additions do not flush (".noftz"). The operation must exist for the type.
void reduce(ReduceOperation operation, ReduceType type, std::byte* target, const std::byte* source, std::size_t bytes);

// ---- Tensor copies ----

using Coordinates = std::array<std::int32_t, TensorMap::max_rank>;  // entries from the rank on are 0

/// Bytes that one box takes in shared memory; a load signals all of them, those that are filled too.
std::uint32_t box_bytes(const TensorMap& map);

/// What is wrong with a tensor copy of `map` at `offset` in shared memory of `shared_bytes` bytes by an instruction of
/// `rank` dimensions, as a sentence; nothing if it can be executed.
std::optional<std::string> find_violation(const TensorMap& map, std::uint32_t rank, std::uint32_t offset,
                                          std::uint32_t shared_bytes);
/// The same for cp.reduce.async.bulk.tensor: whether the operation exists for the map's type.
std::optional<std::string> find_reduction_violation(const TensorMap& map, ReduceOperation operation);

/// Global to shared memory; what lies outside of the tensor is filled with the map's fill value.
void tensor_load(const TensorMap& map, const Coordinates& at, std::span<std::byte> shared, std::uint32_t offset,
                 GlobalAccess& global);

/// Shared to global memory in two halves, since the source is free when it has been read: tensor_gather() packs the box
/// into box_bytes() bytes, tensor_scatter() writes what lies inside of the tensor. As on hardware, a row that ends at the
/// tensor's edge is written in whole units of 16 bytes.
void tensor_gather(const TensorMap& map, std::span<const std::byte> shared, std::uint32_t offset, std::byte* box);
void tensor_scatter(const TensorMap& map, const Coordinates& at, const std::byte* box, GlobalAccess& global);
/// The same, with the operation in place of the write.
void tensor_reduce(const TensorMap& map, const Coordinates& at, const std::byte* box, ReduceOperation operation,
                   GlobalAccess& global);

/// Shared memory that a tensor load writes: the whole box.
void tensor_load_footprint(const TensorMap& map, std::uint32_t offset, Footprint& footprint);
/// Shared memory that a tensor store reads: the units of the box that have elements inside of the tensor.
void tensor_store_footprint(const TensorMap& map, const Coordinates& at, std::uint32_t offset, Footprint& footprint);

// ---- Bulk copies ----

/// What is wrong with the alignment or the size of a bulk copy, reduction or prefetch, as a sentence; nothing if it can be
/// executed. Bounds are the callers'.
std::optional<std::string> find_bulk_violation(std::uint64_t source, std::uint64_t target, std::uint64_t bytes);
/// Whether cp.reduce.async.bulk has the operation for the type; `to_global`: its target is global, not shared memory.
std::optional<std::string> find_bulk_reduction_violation(ReduceOperation operation, ReduceType type, bool to_global);

void bulk_load(std::uint64_t source, std::span<std::byte> target, GlobalAccess& global);
void bulk_store(std::span<const std::byte> source, std::uint64_t target, GlobalAccess& global);
void bulk_reduce(std::span<const std::byte> source, std::uint64_t target, ReduceOperation operation, ReduceType type,
                 GlobalAccess& global);

}  // namespace emu::async
