#include <cstring>

#include <fmt/format.h>

#include "async/copy.hpp"

namespace emu::async {
namespace {

constexpr std::uint64_t bulk_unit = 16;  // bytes: alignment of either side, and of the size

/// Whether cp.reduce.async.bulk to global memory has the operation (PTX ISA, cp.reduce.async.bulk).
bool exists_in_global(ReduceOperation operation, ReduceType type) {
  switch (operation) {
    case ReduceOperation::add:
      return type == ReduceType::u32 || type == ReduceType::s32 || type == ReduceType::u64 || type == ReduceType::f16 ||
             type == ReduceType::bf16 || type == ReduceType::f32 || type == ReduceType::f64;
    case ReduceOperation::min:
    case ReduceOperation::max: return type <= ReduceType::bf16;  // the integers, f16, bf16
    case ReduceOperation::inc:
    case ReduceOperation::dec: return type == ReduceType::u32;
    default: return type == ReduceType::b32 || type == ReduceType::b64;
  }
}

bool exists_in_shared(ReduceOperation operation, ReduceType type) {
  switch (operation) {
    case ReduceOperation::add: return type == ReduceType::u32 || type == ReduceType::s32 || type == ReduceType::u64;
    case ReduceOperation::min:
    case ReduceOperation::max: return type == ReduceType::u32 || type == ReduceType::s32;
    case ReduceOperation::inc:
    case ReduceOperation::dec: return type == ReduceType::u32;
    default: return type == ReduceType::b32;
  }
}

}  // namespace

std::optional<std::string> find_bulk_violation(std::uint64_t source, std::uint64_t target, std::uint64_t bytes) {
  if (bytes % bulk_unit) return fmt::format("the size of a bulk copy must be a multiple of 16 bytes, and is {}", bytes);
  if (source % bulk_unit)
    return fmt::format("the source of a bulk copy must be aligned to 16 bytes, and is {:#x}", source);
  if (target % bulk_unit)
    return fmt::format("the target of a bulk copy must be aligned to 16 bytes, and is {:#x}", target);
  return {};
}

std::optional<std::string> find_bulk_reduction_violation(ReduceOperation operation, ReduceType type, bool to_global) {
  if (to_global ? exists_in_global(operation, type) : exists_in_shared(operation, type)) return {};
  return fmt::format("a bulk reduction to {} memory has no .{} of .{}", to_global ? "global" : "shared",
                     name_of(operation), name_of(type));
}

void bulk_load(std::uint64_t source, std::span<std::byte> target, GlobalAccess& global) {
  if (target.empty()) return;
  std::memcpy(target.data(), global.read({.address = source, .row_bytes = target.size()}), target.size());
}

void bulk_store(std::span<const std::byte> source, std::uint64_t target, GlobalAccess& global) {
  if (source.empty()) return;
  std::memcpy(global.write({.address = target, .row_bytes = source.size()}), source.data(), source.size());
}

void bulk_reduce(std::span<const std::byte> source, std::uint64_t target, ReduceOperation operation, ReduceType type,
                 GlobalAccess& global) {
  if (source.empty()) return;
  reduce(operation, type, global.update({.address = target, .row_bytes = source.size()}), source.data(), source.size());
}

}  // namespace emu::async
