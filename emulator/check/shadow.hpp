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
// many lines alike: lines of the same history share one state, and what becomes of one of them becomes of all.
namespace emu::check {

/// Bytes of a line of 128 bytes, one bit each.
struct ByteMask {
  std::uint64_t low = 0, high = 0;

  static ByteMask of_range(std::uint32_t first, std::uint32_t bytes);
  /// The same for an access of a lane: at most 32 bytes, a power of two, and aligned.
  static ByteMask of_access(std::uint32_t first, std::uint32_t bytes) {
    const std::uint64_t bits = ((std::uint64_t{1} << bytes) - 1) << first % 64;
    return first < 64 ? ByteMask{bits, 0} : ByteMask{0, bits};
  }
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
  std::array<OperationId, 32> cached_;
  std::array<Verdict, 32> verdicts_;
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
  using StateId = std::uint32_t;

 public:
  /// What an operation has made of the line that it accessed last. Begins anew with each operation.
  struct Memo {
    StateId before = none, after = none;
    std::uint32_t units = 0;
  };

  void reset(std::size_t lines);

  /// Checks and records an access to some bytes of a line, or to whole units.
  LineResult access(std::uint32_t line, ByteMask bytes, Judge& judge, Memo& memo);
  LineResult access_units(std::uint32_t line, std::uint32_t units, Judge& judge, Memo& memo) {
    return access_line(lines_[line], units, judge, memo);
  }
  /// The same for whole units, of many lines; meet(line, bytes, result) is called for each line whose result is not clean.
  template <class Meet> void access(const async::Footprint& footprint, Judge& judge, Meet meet);

  void set_mbarrier(std::uint32_t line) { own(lines_[line]).has_mbarrier = 1; }

  /// Calls visit(line, operation, bytes) for all that is recorded; where neighbouring lines have the same state, for the first.
  template <class Visit> void for_each(Visit visit) const;
  /// Sets marks[id] to 1 for all operations that are recorded; and replaces each id by marks[id].
  void mark(std::vector<std::uint32_t>& marks) const;
  void renumber(const std::vector<std::uint32_t>& marks);

 private:
  static constexpr std::uint32_t max_entries = 8;
  static constexpr StateId none = ~0u;
  static constexpr StateId untouched = 0;

  /// What is known of some lines.
  struct alignas(64) State {
    ByteMask initialized;
    std::array<std::uint8_t, max_entries> units{};  // of an entry
    std::array<OperationId, max_entries> operations{};
    std::uint8_t size = 0;
    std::uint8_t is_precise = 0;  // of one line only: its entries are in precise_[operations[0]]
    std::uint8_t has_mbarrier = 0;
    std::uint8_t unused = 0;
    std::uint32_t lines = 0;  // that have this state; not counted for `untouched`

    /// But for `lines`. Word by word: the compiler calls a function to compare 60 bytes.
    bool equals(const State& other) const {
      std::uint64_t mine[8], others[8], differing = 0;
      __builtin_memcpy(mine, this, sizeof(mine));
      __builtin_memcpy(others, &other, sizeof(others));
      for (int i = 0; i < 7; ++i) differing |= mine[i] ^ others[i];
      return (differing | static_cast<std::uint32_t>(mine[7] ^ others[7])) == 0;
    }
  };
  static_assert(sizeof(State) == 64);

  struct PreciseEntry {
    OperationId operation;
    ByteMask bytes;
  };

  /// The state of a line, to be changed for this line alone.
  State& own(StateId& line);
  /// The line gets a state that others have.
  void share(StateId& line, StateId state) {
    if (line != untouched && --states_[line].lines == 0) free_.push_back(line);
    ++states_[state].lines;
    line = state;
  }
  bool is_unused(StateId state) const { return state != untouched && states_[state].lines == 0; }
  LineResult access_line(StateId& line, std::uint32_t units, Judge& judge, Memo& memo) {
    if (line != memo.before || units != memo.units) return access_another_line(line, units, judge, memo);
    share(line, memo.after);
    if (is_unused(memo.before)) memo.before = none;
    return {};
  }
  LineResult access_another_line(StateId& line, std::uint32_t units, Judge& judge, Memo& memo);
  LineResult access_units(State& state, std::uint32_t units, Judge& judge);
  LineResult access_bytes(State& state, ByteMask bytes, Judge& judge);
  void make_precise(State& state);
  static LineResult initialize(State& state, ByteMask bytes, const Judge& judge);

  std::vector<StateId> lines_;
  std::vector<State> states_;
  std::vector<StateId> free_;  // states that no line has
  std::vector<std::vector<PreciseEntry>> precise_;
  std::vector<std::uint32_t> precise_free_;  // lists that no line uses
  std::uint32_t precise_used_ = 0;
};

template <class Meet> void Shadow::access(const async::Footprint& footprint, Judge& judge, Meet meet) {
  Memo memo;
  for (const async::LineUnits& part : footprint) {
    const LineResult result = access_line(lines_[part.line], part.units, judge, memo);
    if (!result.is_clean()) meet(part.line, ByteMask::of_units(part.units), result);
  }
}

template <class Visit> void Shadow::for_each(Visit visit) const {
  for (std::uint32_t index = 0; index < lines_.size(); ++index) {
    if (index > 0 && lines_[index] == lines_[index - 1]) continue;
    const State& state = states_[lines_[index]];
    if (state.is_precise) {
      for (const PreciseEntry& entry : precise_[state.operations[0]]) visit(index, entry.operation, entry.bytes);
    } else {
      for (std::uint32_t i = 0; i < state.size; ++i)
        visit(index, state.operations[i], ByteMask::of_units(state.units[i]));
    }
  }
}

}  // namespace emu::check
