#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "async/footprint.hpp"
#include "check/clock.hpp"

// What is known of shared memory: who accessed which bytes last. Lines of 128 bytes are mostly accessed in units of 16, and
// many lines alike, so a line's state is small and comparable.
namespace emu::check {

/// Bytes of a line of 128 bytes, one bit each.
struct ByteMask {
  std::uint64_t low = 0, high = 0;

  static ByteMask of_range(std::uint32_t first, std::uint32_t bytes);
  static ByteMask of_units(std::uint32_t units);  // bit i: bytes [16 * i, 16 * i + 16)
  static constexpr ByteMask all() { return {~std::uint64_t{0}, ~std::uint64_t{0}}; }

  bool empty() const { return (low | high) == 0; }
  bool is_all() const { return (low & high) == ~std::uint64_t{0}; }
  ByteMask operator&(ByteMask other) const { return {low & other.low, high & other.high}; }
  ByteMask operator|(ByteMask other) const { return {low | other.low, high | other.high}; }
  ByteMask operator~() const { return {~low, ~high}; }
  bool operator==(const ByteMask&) const = default;
  std::uint32_t first() const {
    return low ? static_cast<std::uint32_t>(__builtin_ctzll(low))
               : 64 + static_cast<std::uint32_t>(__builtin_ctzll(high));
  }
  /// The units, if each is there as a whole or not at all.
  std::optional<std::uint32_t> units() const;
};

/// What accesses memory.
enum class Actor : std::uint8_t { thread, copy, copy_source, bulk_store, cp_async, wgmma };

/// An instruction's access, as far as it is the same for all bytes.
struct Operation {
  static constexpr std::uint8_t write = 1, async = 2, strong = 4;

  Epoch epoch;             // when it is over
  std::uint8_t flags = 0;  // `async`: through the async proxy
  Actor actor = Actor::thread;
  std::uint32_t where = 0;
  std::uint32_t warp = 0;  // that made it, or issued it

  bool is(std::uint8_t flag) const { return flags & flag; }
  bool operator==(const Operation&) const = default;
};
using OperationId = std::uint32_t;

/// The operations that lines refer to.
class Operations {
 public:
  const Operation& operator[](OperationId id) const { return items_[id]; }
  OperationId add(const Operation& operation) {
    if (items_.empty() || !(items_.back() == operation)) items_.push_back(operation);
    return static_cast<OperationId>(items_.size() - 1);
  }
  bool is_full() const { return items_.size() >= limit_; }
  void clear() {
    items_.clear();
    limit_ = min_limit;
  }
  /// Keeps those whose mark is not 0, and replaces the marks by their new ids.
  void compact(std::vector<std::uint32_t>& marks);
  std::size_t size() const { return items_.size(); }

 private:
  static constexpr std::size_t min_limit = 1 << 15;
  std::vector<Operation> items_;
  std::size_t limit_ = min_limit;
};

/// How an access meets the ones before it.
struct Conflict {
  enum class Kind : std::uint8_t { none, unordered, unfenced } kind = Kind::none;
  OperationId other = 0;
  ByteMask bytes;  // that both access
};

/// What an operation by someone who knows `knowledge` is to earlier operations.
class Judge {
 public:
  Judge(const Operations& operations, OperationId id, const Knowledge& knowledge)
      : operations_(operations), knowledge_(knowledge), self_(operations[id]), id_(id) {
    cached_.fill(~OperationId{0});
  }

  struct Verdict {
    bool ordered;     // the other is over
    bool superseded;  // nothing needs to be checked against the other once it was checked against this one
    Conflict::Kind kind;
  };
  const Verdict& verdict(OperationId other) {
    const std::size_t slot = other % cached_.size();
    if (other != cached_[slot]) {
      cached_[slot] = other;
      verdicts_[slot] = judge(operations_[other]);
    }
    return verdicts_[slot];
  }
  const Operation& self() const { return self_; }
  OperationId id() const { return id_; }
  bool other_reads(OperationId other) const { return !operations_[other].is(Operation::write); }

 private:
  Verdict judge(const Operation& other) const;

  const Operations& operations_;
  const Knowledge& knowledge_;
  const Operation self_;
  OperationId id_;
  // An access meets few other operations, in many places.
  std::array<OperationId, 8> cached_;
  std::array<Verdict, 8> verdicts_;
};

/// What one access to a line met.
struct LineResult {
  Conflict conflict;
  ByteMask uninitialized;           // that were read
  bool overlaps_mbarriers = false;  // it may: the line has some, and the access writes
  bool is_clean() const {
    return conflict.kind == Conflict::Kind::none && uninitialized.empty() && !overlaps_mbarriers;
  }
};

/// The shared memory of one CTA.
class Shadow {
 public:
  void reset(std::size_t lines);

  /// Checks and records an access to some bytes of a line.
  LineResult access(std::uint32_t line, ByteMask bytes, Judge& judge);
  /// The same for whole units, of many lines; meet(line, bytes, result) is called for each line whose result is not clean.
  template <class Meet> void access(const async::Footprint& footprint, Judge& judge, Meet meet);

  void set_mbarrier(std::uint32_t line) { at(line).has_mbarrier = 1; }

  /// Calls visit(line, operation, bytes) for all that is recorded.
  template <class Visit> void for_each(Visit visit) const;
  /// Sets marks[id] to 1 for all operations that are recorded; and replaces each id by marks[id].
  void mark(std::vector<std::uint32_t>& marks) const;
  void renumber(const std::vector<std::uint32_t>& marks);

 private:
  static constexpr std::uint32_t max_entries = 8;

  struct alignas(64) Line {
    ByteMask initialized;
    std::uint32_t generation = 0;  // another one than the shadow's: nothing is known
    std::uint8_t size = 0;
    std::uint8_t is_precise = 0;  // its entries are in precise_[operations[0]]
    std::uint8_t has_mbarrier = 0;
    std::uint8_t unused = 0;
    std::array<std::uint8_t, max_entries> units{};  // of an entry
    std::array<OperationId, max_entries> operations{};

    bool equals(const Line& other) const { return __builtin_memcmp(this, &other, sizeof *this) == 0; }
  };
  static_assert(sizeof(Line) == 64);

  struct PreciseEntry {
    OperationId operation;
    ByteMask bytes;
  };

  Line& at(std::uint32_t index) {
    Line& line = lines_[index];
    if (line.generation != generation_) {
      line = Line{};
      line.generation = generation_;
    }
    return line;
  }
  LineResult access_units(Line& line, std::uint32_t units, Judge& judge);
  LineResult access_bytes(Line& line, ByteMask bytes, Judge& judge);
  void make_precise(Line& line);
  static LineResult initialize(Line& line, ByteMask bytes, const Judge& judge);

  std::vector<Line> lines_;
  std::vector<std::vector<PreciseEntry>> precise_;
  std::vector<std::uint32_t> precise_free_;  // lists that no line uses
  std::uint32_t precise_used_ = 0;
  std::uint32_t generation_ = 0;
};

template <class Meet> void Shadow::access(const async::Footprint& footprint, Judge& judge, Meet meet) {
  // Lines of a tile have the same history: what became of the last one becomes of its like.
  Line before, after;
  std::uint32_t units = 0;
  for (const async::LineUnits& part : footprint) {
    Line& line = at(part.line);
    if (part.units == units && line.equals(before)) {
      line = after;
      continue;
    }
    const Line copy = line;
    const LineResult result = access_units(line, part.units, judge);
    if (!result.is_clean()) {
      meet(part.line, ByteMask::of_units(part.units), result);
    } else if (!line.is_precise) {
      before = copy;
      after = line;
      units = part.units;
    }
  }
}

template <class Visit> void Shadow::for_each(Visit visit) const {
  for (std::uint32_t index = 0; index < lines_.size(); ++index) {
    const Line& line = lines_[index];
    if (line.generation != generation_) continue;
    if (line.is_precise) {
      for (const PreciseEntry& entry : precise_[line.operations[0]]) visit(index, entry.operation, entry.bytes);
    } else {
      for (std::uint32_t i = 0; i < line.size; ++i) visit(index, line.operations[i], ByteMask::of_units(line.units[i]));
    }
  }
}

}  // namespace emu::check
