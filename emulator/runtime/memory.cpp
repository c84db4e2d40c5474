#include "runtime/memory.hpp"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/options.hpp"
#include "runtime/status.hpp"

namespace emu {

namespace {

bool counts_as_device_memory(MemoryKind kind) {
  return kind == MemoryKind::device || kind == MemoryKind::pool || kind == MemoryKind::graph ||
         kind == MemoryKind::managed;
}

/// Bytes from the first to behind the last that a region of `extent` touches.
std::size_t span_bytes(const Region& region, const Extent& extent) {
  return extent.empty()
             ? 0
             : (extent.depth - 1) * region.slice_pitch + (extent.height - 1) * region.row_pitch + extent.width;
}

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

enum class Side { host, device, either };

Side dst_side(cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return Side::either;
  return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ? Side::device : Side::host;
}
Side src_side(cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return Side::either;
  return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ? Side::device : Side::host;
}

void validate_side(const Memory& memory, const Region& region, const Extent& extent, Side side, const char* name) {
  if (extent.empty()) return;
  require_value(region.data, "{} must not be null", name);
  const Allocation* allocation = memory.find(region.data);
  if (!allocation) {
    require_value(side != Side::device, "{} ({}) is not device memory", name, static_cast<void*>(region.data));
    return;  // the host's own memory, whose size is not known
  }
  require_value(side != Side::host || allocation->host_visible(),
                "{} ({}) is device memory, but the kind of the copy says host memory", name,
                static_cast<void*>(region.data));
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(region.data) - allocation->address;
  require_value(span_bytes(region, extent) <= allocation->bytes - offset,
                "{} + {} bytes leaves its allocation of {} bytes by {}", name, span_bytes(region, extent),
                allocation->bytes, span_bytes(region, extent) - (allocation->bytes - offset));
}

/// Writes the elements of one row out.
void fill_row(std::byte* row, const FillOperation& fill) {
  for (std::size_t x = 0; x < fill.extent.width; x += fill.element_bytes)
    std::memcpy(row + x, &fill.value, fill.element_bytes);
}

}  // namespace

void* Memory::allocate(std::size_t bytes, MemoryKind kind, unsigned flags, CUmemPoolHandle_st* pool) {
  if (bytes == 0) return nullptr;
  const bool on_device = counts_as_device_memory(kind);
  const std::size_t capacity = options().gpu->memory_bytes;
  require(!on_device || (bytes <= capacity && device_bytes_ <= capacity - bytes), cudaErrorMemoryAllocation,
          "{} bytes are asked for, but {} of the device's {} are taken", bytes, device_bytes_, capacity);
  Allocation allocation{0, bytes, kind, flags, pool};
  if (kind == MemoryKind::pinned || kind == MemoryKind::managed) {
    // The host writes such memory unseen, so for the checks it is the host's own.
    void* host = nullptr;
    require(posix_memalign(&host, 4096, bytes) == 0, cudaErrorMemoryAllocation, "the host has no {} bytes left", bytes);
    allocation.address = reinterpret_cast<std::uintptr_t>(host);
    global_.adopt(host, bytes);
  } else {
    allocation.address = global_.allocate(bytes);
    require(allocation.address != 0, cudaErrorMemoryAllocation, "the host has no {} bytes left", bytes);
  }
  allocations_[allocation.address] = allocation;
  if (on_device) device_bytes_ += bytes;
  return reinterpret_cast<void*>(allocation.address);
}

void Memory::adopt(void* host, std::size_t bytes, unsigned flags) {
  const auto address = reinterpret_cast<std::uintptr_t>(host);
  auto next = allocations_.lower_bound(address);
  const bool overlaps = find(host) || (next != allocations_.end() && next->first < address + bytes);
  require(!overlaps, cudaErrorHostMemoryAlreadyRegistered, "{} bytes at {} are registered or allocated already", bytes,
          host);
  global_.adopt(host, bytes);
  allocations_[address] = {address, bytes, MemoryKind::registered, flags, nullptr};
}

void Memory::release(Allocation allocation) {
  global_.release(allocation.address);
  if (allocation.kind == MemoryKind::pinned || allocation.kind == MemoryKind::managed)
    std::free(reinterpret_cast<void*>(allocation.address));
  if (counts_as_device_memory(allocation.kind)) device_bytes_ -= allocation.bytes;
  allocations_.erase(allocation.address);
}

void Memory::add_variable(std::byte* address, std::size_t bytes) {
  allocations_[address_of(address)] = {address_of(address), bytes, MemoryKind::variable, 0, nullptr};
}

void Memory::remove_variable(std::byte* address) { allocations_.erase(address_of(address)); }

const Allocation* Memory::find(const void* pointer) const {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  auto at = allocations_.upper_bound(address);
  if (at == allocations_.begin()) return nullptr;
  --at;
  return address - at->first < at->second.bytes ? &at->second : nullptr;
}

const Allocation* Memory::find_start(const void* pointer) const {
  auto at = allocations_.find(reinterpret_cast<std::uintptr_t>(pointer));
  return at == allocations_.end() ? nullptr : &at->second;
}

std::size_t Memory::pool_bytes(const CUmemPoolHandle_st* pool) const {
  std::size_t bytes = 0;
  for (const auto& [address, allocation] : allocations_)
    if (allocation.pool == pool) bytes += allocation.bytes;
  return bytes;
}

void Memory::detach(const CUmemPoolHandle_st* pool) {
  for (auto& [address, allocation] : allocations_)
    if (allocation.pool == pool) allocation.pool = nullptr;
}

void Memory::validate(const CopyOperation& copy) const {
  validate_side(*this, copy.dst, copy.extent, dst_side(copy.kind), "dst");
  validate_side(*this, copy.src, copy.extent, src_side(copy.kind), "src");
}

void Memory::validate(const FillOperation& fill) const {
  validate_side(*this, fill.dst, fill.extent, Side::device, "devPtr");
  require_value(reinterpret_cast<std::uintptr_t>(fill.dst.data) % fill.element_bytes == 0 &&
                    fill.dst.row_pitch % fill.element_bytes == 0,
                "devPtr and pitch must be aligned to elements of {} bytes", fill.element_bytes);
}

void Memory::run(const CopyOperation& copy) {
  validate(copy);  // once more: a graph may run long after its allocations ended
  if (copy.extent.empty()) return;
  const bool to_device = find(copy.dst.data) != nullptr, from_device = find(copy.src.data) != nullptr;
  for (std::size_t z = 0; z < copy.extent.depth; ++z)
    for (std::size_t y = 0; y < copy.extent.height; ++y) {
      std::byte* dst = copy.dst.row(y, z);
      std::byte* src = copy.src.row(y, z);
      const std::size_t width = copy.extent.width;
      if (to_device && from_device)
        global_.copy_within(address_of(dst), address_of(src), width);
      else if (to_device)
        global_.copy_in(address_of(dst), src, width);
      else if (from_device)
        global_.copy_out(dst, address_of(src), width);
      else
        std::memmove(dst, src, width);
    }
}

void Memory::run(const FillOperation& fill) {
  validate(fill);
  if (fill.extent.empty()) return;
  for (std::size_t z = 0; z < fill.extent.depth; ++z)
    for (std::size_t y = 0; y < fill.extent.height; ++y) {
      std::byte* row = fill.dst.row(y, z);
      if (fill.element_bytes == 1) {
        global_.fill(address_of(row), std::uint8_t(fill.value), fill.extent.width);
        continue;
      }
      std::vector<std::byte> pattern(fill.extent.width);
      fill_row(pattern.data(), fill);
      global_.copy_in(address_of(row), pattern.data(), pattern.size());
    }
}

void Memory::invalidate(void* address, std::size_t bytes) { global_.invalidate(address_of(address), bytes); }

void Memory::release_all() {
  for (auto at = allocations_.begin(); at != allocations_.end();) {
    const Allocation allocation = (at++)->second;
    if (allocation.kind != MemoryKind::variable) release(allocation);
  }
}

}  // namespace emu
