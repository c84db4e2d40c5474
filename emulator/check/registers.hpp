#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

// What is known of the registers that wgmma works on. Only those that some wgmma of the kernel works on are told apart, by
// slots: numbers that the machine chooses.
namespace emu::check {

/// Register slots, a bit for each: a wgmma has a hundred of them, and they are asked for all at once.
class SlotSet {
 public:
  SlotSet() = default;
  SlotSet(std::initializer_list<std::uint32_t> slots) {
    for (const std::uint32_t slot : slots) add(slot);
  }

  void add(std::uint32_t slot) {
    if (words_.size() <= slot / 64) words_.resize(slot / 64 + 1);
    words_[slot / 64] |= std::uint64_t{1} << slot % 64;
  }
  bool contains(std::uint32_t slot) const {
    return slot / 64 < words_.size() && (words_[slot / 64] >> slot % 64 & 1) != 0;
  }
  void join(const SlotSet& other) {
    if (words_.size() < other.words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  void clear() { words_.clear(); }
  /// A slot that both have.
  std::optional<std::uint32_t> find_common(const SlotSet& other) const;

 private:
  std::vector<std::uint64_t> words_;
};

/// The register slots of one warp that wgmmas in flight work on.
class RegistersInFlight {
 public:
  bool empty() const { return issued_.empty(); }
  /// A wgmma at `where`, of the warp's wgmma group `group`, is issued: D is read and written, A is read. The sets must live on.
  void issue(std::uint64_t group, const SlotSet& d, const SlotSet& a, std::uint32_t where);
  /// wait_group retires the groups below `group`.
  void retire(std::uint64_t group);
  void clear();

  /// Whether an instruction that reads `slot` meets an accumulator in flight.
  bool conflicts_with_read(std::uint32_t slot) const { return written_.contains(slot); }
  /// Whether one that writes it meets an accumulator, or an A that is still read.
  bool conflicts_with_write(std::uint32_t slot) const { return written_.contains(slot) || read_.contains(slot); }
  /// The wgmma that was issued last.
  std::uint32_t where() const { return where_; }

 private:
  struct Issued {
    std::uint64_t group;
    const SlotSet *d, *a;
  };
  std::vector<Issued> issued_;  // in their order
  SlotSet written_, read_;      // of all that are issued
  std::uint32_t where_ = 0;
};

/// The register slots of one warp that were written since its last wgmma.fence.
class UnfencedRegisters {
 public:
  /// An instruction other than a wgmma writes `slot`.
  void write(std::uint32_t slot, std::uint32_t where);
  void fence();
  void clear();
  /// For a wgmma: the place that wrote one of its registers with no fence since. If there was no fence at all, `where` itself.
  std::optional<std::uint32_t> find(const SlotSet& d, const SlotSet& a, std::uint32_t where) const;

 private:
  SlotSet written_;
  std::vector<std::uint32_t> where_;  // by slot: who wrote it last
  bool was_fenced_ = false;
};

}  // namespace emu::check
