#include "machine/memory.hpp"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace emu {

namespace {

constexpr std::uint64_t alignment = 512;
constexpr std::uint64_t huge_page = std::uint64_t{2} << 20;
constexpr int poison = 0xff;  // a NaN in every floating-point type, and no sensible integer

std::byte* pointer(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

}  // namespace

GlobalMemory::~GlobalMemory() {
  while (!blocks_.empty()) release(blocks_.begin()->first);
}

std::uint64_t GlobalMemory::allocate(std::uint64_t bytes) {
  const bool huge = bytes >= huge_page;
  void* memory = nullptr;
  if (posix_memalign(&memory, huge ? huge_page : alignment, bytes) != 0) return 0;
  // Tensor copies touch many rows far apart: with small pages they are bound by misses of the TLB.
  if (huge) madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, poison, bytes);
  const auto address = reinterpret_cast<std::uint64_t>(memory);
  auto initialized = std::make_unique<InitializedBytes>(bytes);
  blocks_[address] = {{address, bytes, initialized.get()}, std::move(initialized)};
  return address;
}

void GlobalMemory::adopt(void* host, std::uint64_t bytes) {
  const auto address = reinterpret_cast<std::uint64_t>(host);
  blocks_[address] = {{address, bytes}, nullptr};
}

void GlobalMemory::release(std::uint64_t address) {
  const auto at = blocks_.find(address);
  if (at == blocks_.end()) return;
  if (at->second.initialized) std::free(pointer(address));
  blocks_.erase(at);
}

void GlobalMemory::note_written(std::uint64_t address, std::uint64_t bytes) {
  if (const Block block = find(address); block.initialized) block.initialized->set(address - block.address, bytes);
}

void GlobalMemory::copy_in(std::uint64_t address, const void* from, std::uint64_t bytes) {
  note_written(address, bytes);
  std::memmove(pointer(address), from, bytes);
}
void GlobalMemory::copy_out(void* to, std::uint64_t address, std::uint64_t bytes) {
  std::memmove(to, pointer(address), bytes);
}
void GlobalMemory::copy_within(std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
  std::memmove(pointer(to), pointer(from), bytes);
  const Block source = find(from), target = find(to);
  if (!target.initialized) return;
  if (source.initialized)
    target.initialized->copy(to - target.address, *source.initialized, from - source.address, bytes);
  else
    target.initialized->set(to - target.address, bytes);
}
void GlobalMemory::fill(std::uint64_t address, std::uint8_t value, std::uint64_t bytes) {
  std::memset(pointer(address), value, bytes);
  note_written(address, bytes);
}
void GlobalMemory::invalidate(std::uint64_t address, std::uint64_t bytes) {
  std::memset(pointer(address), poison, bytes);
  if (const Block block = find(address); block.initialized) block.initialized->clear(address - block.address, bytes);
}

GlobalMemory::Block GlobalMemory::find(std::uint64_t address) const {
  auto at = blocks_.upper_bound(address);
  if (at == blocks_.begin()) return {};
  const Block& block = std::prev(at)->second.block;
  return block.contains(address, 1) ? block : Block{};
}

}  // namespace emu
