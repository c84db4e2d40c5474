#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "machine/initialized.hpp"

namespace emu {

/// The device's global memory: blocks of the host's, at the host's addresses. The runtime changes it between launches; while
/// a kernel runs it is only looked up, by all threads at once.
class GlobalMemory {
 public:
  struct Block {
    std::uint64_t address = 0, bytes = 0;
    InitializedBytes* initialized = nullptr;  // null: all of it, since the host may write it unseen
    bool contains(std::uint64_t at, std::uint64_t size) const {
      return at - address < bytes && size <= bytes - (at - address);
    }
  };

  GlobalMemory() = default;
  GlobalMemory(const GlobalMemory&) = delete;
  GlobalMemory& operator=(const GlobalMemory&) = delete;
  ~GlobalMemory();

  /// The address of a block of poisoned memory, a multiple of 512; 0 if there is none.
  std::uint64_t allocate(std::uint64_t bytes);
  /// Registers memory of the host's.
  void adopt(void* pointer, std::uint64_t bytes);
  /// Ends what allocate() or adopt() began.
  void release(std::uint64_t address);

  // Between the host and the device; the runtime has checked the ranges.
  void copy_in(std::uint64_t address, const void* from, std::uint64_t bytes);
  void copy_out(void* to, std::uint64_t address, std::uint64_t bytes);
  void copy_within(std::uint64_t to, std::uint64_t from, std::uint64_t bytes);
  void fill(std::uint64_t address, std::uint8_t value, std::uint64_t bytes);
  /// Poisons memory again.
  void invalidate(std::uint64_t address, std::uint64_t bytes);

  /// The block that holds `address`; one of 0 bytes if there is none.
  Block find(std::uint64_t address) const;

 private:
  struct Owned {
    Block block;
    std::unique_ptr<InitializedBytes> initialized;  // null: the memory is the host's
  };
  void note_written(std::uint64_t address, std::uint64_t bytes);
  std::map<std::uint64_t, Owned> blocks_;
};

}  // namespace emu
