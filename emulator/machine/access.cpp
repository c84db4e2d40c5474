#include <cstring>

#include "machine/state.hpp"

// From addresses to the host's pointers.
namespace emu::machine {

using isa::Window;

namespace {

void check_alignment(std::uint64_t address, std::uint32_t alignment, const char* window) {
  if (address & (alignment - 1)) [[unlikely]]
    fail(FaultKind::misaligned_address, "misaligned: {} address {:#x} is not a multiple of {}", window, address,
         alignment);
}

}  // namespace

const GlobalMemory::Block& global_block(Cluster& cluster, std::uint64_t address, std::uint64_t bytes) {
  if (const GlobalMemory::Block* recent = cluster.recent.find(address, bytes)) [[likely]]
    return *recent;
  const GlobalMemory::Block block = cluster.grid->memory->find(address);
  if (block.bytes == 0)
    fail(FaultKind::illegal_address, "out of bounds: {} bytes at {:#x} lie in no allocation", bytes, address);
  if (!block.contains(address, bytes))
    fail(FaultKind::illegal_address, "out of bounds: {} bytes at {:#x} leave their allocation of {} bytes at {:#x}",
         bytes, address, block.bytes, block.address);
  return cluster.recent.keep(block);
}

std::byte* global_pointer(Cluster& cluster, std::uint64_t address, std::uint64_t bytes, std::uint32_t alignment) {
  check_alignment(address, alignment, "global");
  global_block(cluster, address, bytes);
  return reinterpret_cast<std::byte*>(address);
}

SharedLocation locate_shared(Cta& cta, std::uint32_t address, std::uint32_t bytes, std::uint32_t alignment) {
  check_alignment(address, alignment, "shared");
  const std::uint32_t rank = address >> shared_offset_bits, offset = address & shared_offset_mask;
  Cta* target = &cta;
  if (rank) {
    if (rank > cta.cluster->ctas.size()) [[unlikely]]
      fail(FaultKind::illegal_address, "shared address {:#x} is of CTA {} of a cluster of {}", address, rank - 1,
           cta.cluster->ctas.size());
    target = &cta.cluster->ctas[rank - 1];
    // The checker, if there is one, reports it with all that it knows; the memory is still there.
    if (target->live_warps == 0 && !cta.cluster->checker) [[unlikely]]
      fail(FaultKind::hazard, "shared memory of CTA {} of the cluster is accessed after it has exited", rank - 1);
  }
  if (offset < shared_base || offset + bytes > target->shared.size()) [[unlikely]]
    fail(FaultKind::illegal_address,
         "out of bounds: {} bytes at shared address {:#x} lie outside of the CTA's [{:#x}, {:#x})", bytes, address,
         shared_base, target->shared.size());
  return {target, offset};
}

std::uint32_t shared_address(Window window, std::uint64_t address) {
  const std::uint64_t tag = address & tag_mask;
  if (tag == 0 && (window != Window::generic || address >> 32 == 0)) return static_cast<std::uint32_t>(address);
  if (tag != shared_tag) fail(FaultKind::illegal_address, "{:#x} is not an address in shared memory", address);
  return static_cast<std::uint32_t>(address & ~tag_mask);
}

Place place_of(isa::Context& c, Window window, int lane, std::uint64_t address, std::uint32_t bytes,
               std::uint32_t alignment) {
  if (window == Window::generic) {
    const std::uint64_t tag = address & tag_mask;
    if (tag == 0) {
      window = Window::global;
    } else {
      address &= ~tag_mask;
      window = tag == shared_tag  ? Window::shared_cluster
               : tag == local_tag ? Window::local
               : tag == param_tag ? Window::param
                                  : throw Fault(FaultKind::illegal_address,
                                                fmt::format("generic address {:#x} is in no window", address | tag));
    }
  }
  switch (window) {
    case Window::shared_cta:
    case Window::shared_cluster: {
      const SharedLocation at = locate_shared(*c.cta, static_cast<std::uint32_t>(address), bytes, alignment);
      return {at.cta->shared.data() + at.offset, at.cta, at.offset};
    }
    case Window::local: {
      check_alignment(address, alignment, "local");
      const std::uint64_t size = c.program->local_bytes;
      if (address > size || bytes > size - address)
        fail(FaultKind::illegal_address, "out of bounds: {} bytes at local address {:#x} leave the thread's {} bytes",
             bytes, address, size);
      return {c.warp->local + static_cast<std::uint64_t>(lane) * size + address};
    }
    case Window::param: {
      check_alignment(address, alignment, "param");
      const std::uint64_t size = c.grid->params.size();
      if (address > size || bytes > size - address)
        fail(FaultKind::illegal_address, "out of bounds: {} bytes at {:#x} leave the parameters, {} bytes", bytes,
             address, size);
      return {c.grid->params.data() + address};
    }
    default: return {global_pointer(*c.cluster, address, bytes, alignment), nullptr, 0, true};
  }
}

const TensorMap* TensorMapCache::find(const std::byte* blob) const {
  for (const Entry& entry : entries_)
    if (entry.at == blob && std::memcmp(entry.blob.data(), blob, tensor_map_bytes) == 0) return &entry.map;
  return nullptr;
}

const TensorMap& TensorMapCache::keep(const std::byte* blob, const TensorMap& map) {
  Entry& entry = entries_[next_++ % entries_.size()];
  entry.at = blob;
  std::memcpy(entry.blob.data(), blob, tensor_map_bytes);
  entry.map = map;
  return entry.map;
}

void note_global_write(Cluster& cluster, std::uint64_t address, std::uint64_t bytes) {
  const GlobalMemory::Block& block = global_block(cluster, address, bytes);
  if (block.initialized) block.initialized->set(address - block.address, bytes);
}

void check_global_read(Cluster& cluster, check::Site site, std::uint64_t address, std::uint64_t bytes) {
  const GlobalMemory::Block& block = global_block(cluster, address, bytes);
  if (!block.initialized) return;
  if (const auto missing = block.initialized->find_unset(address - block.address, bytes))
    cluster.checker->report(check::Hazard::uninitialized_read, site, 0, [&] {
      return fmt::format("reads uninitialized global memory, byte {} of the {} bytes allocated at {:#x}", *missing,
                         block.bytes, block.address);
    });
}

std::byte* AsyncGlobal::access(const async::GlobalRows& rows, bool reads, bool writes) {
  // The rows ascend: if all from the first to the last byte are in one block, so are they.
  const GlobalMemory::Block& block =
      global_block(cluster_, rows.address, (rows.rows - 1) * rows.stride + rows.row_bytes);
  if (cluster_.checker && block.initialized && !block.initialized->is_complete())
    for (std::uint64_t i = 0; i < rows.rows; ++i) {
      const std::uint64_t address = rows.address + i * rows.stride;
      if (reads) check_global_read(cluster_, site_, address, rows.row_bytes);
      if (writes) note_global_write(cluster_, address, rows.row_bytes);
    }
  return reinterpret_cast<std::byte*>(rows.address);
}

}  // namespace emu::machine
