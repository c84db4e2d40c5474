#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace emu::check {

/// The register slots of one warp that wgmmas in flight work on. Slots are numbers below a bound that the machine chooses.
class RegistersInFlight {
 public:
  explicit RegistersInFlight(std::uint32_t slots = 0) : written_(slots), read_(slots) {}

  bool empty() const { return count_ == 0; }
  /// A wgmma at `where` is issued: D is read and written, A is read.
  void issue(std::span<const std::uint32_t> d, std::span<const std::uint32_t> a, std::uint32_t where);
  /// The same operands, when wait_group retires it.
  void retire(std::span<const std::uint32_t> d, std::span<const std::uint32_t> a);

  /// Whether an instruction that reads `slot` meets an accumulator in flight.
  bool conflicts_with_read(std::uint32_t slot) const { return written_[slot] != 0; }
  /// Whether one that writes it meets an accumulator, or an A that is still read.
  bool conflicts_with_write(std::uint32_t slot) const { return written_[slot] != 0 || read_[slot] != 0; }
  /// The wgmma that was issued last.
  std::uint32_t where() const { return where_; }

 private:
  std::vector<std::uint16_t> written_, read_;  // by slot: wgmmas in flight
  std::uint32_t count_ = 0, where_ = 0;
};

/// The register slots of one warp that were written since its last wgmma.fence. Only slots that some wgmma of the kernel works
/// on need to be told.
class UnfencedRegisters {
 public:
  explicit UnfencedRegisters(std::uint32_t slots = 0) : writes_(slots) {}

  /// An instruction other than a wgmma writes `slot`.
  void write(std::uint32_t slot, std::uint32_t where) { writes_[slot] = {fences_, where}; }
  void fence() { ++fences_; }
  /// For a wgmma: the place that wrote one of its registers with no fence since. If there was no fence at all, `where` itself.
  std::optional<std::uint32_t> find(std::span<const std::uint32_t> d, std::span<const std::uint32_t> a,
                                    std::uint32_t where) const;

 private:
  struct Write {
    std::uint32_t fences = ~0u;  // before it
    std::uint32_t where = 0;
  };
  std::vector<Write> writes_;  // by slot: the last one
  std::uint32_t fences_ = 0;
};

}  // namespace emu::check
