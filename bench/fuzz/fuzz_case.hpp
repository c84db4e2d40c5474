#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "reference/draw.hpp"

namespace ckl::bench {

/// One property of a fuzzed problem, as a number that may be drawn, written down and made simpler.
struct Field {
  std::string name;
  std::int64_t value = 0;
  std::int64_t simplest = 0;       ///< Shrinking moves `value` there.
  std::int64_t largest = 0;        ///< What may be asked for by hand.
  std::vector<std::string> words;  ///< What the numbers 0, 1, ... are called; empty: they are plain numbers.
};

/// A problem, well formed or not, as a list of independent fields: any of them can change by itself.
class FuzzCase {
 public:
  /// Adds a field; `value` is drawn by the caller.
  void add(std::string name, std::int64_t value, std::int64_t simplest, std::int64_t largest = 1 << 20);
  void add(std::string name, std::int64_t value, std::vector<std::string> words);

  /// The value of a field, which must be there.
  std::int64_t operator[](const std::string& name) const;
  /// The same as a word.
  const std::string& word(const std::string& name) const;

  const std::vector<Field>& fields() const { return fields_; }
  void set(std::size_t field, std::int64_t value) { fields_[field].value = value; }

  /// "m=65,in=bf16,...", of the fields that are not at their simplest.
  std::string to_string() const;

  /// The case that a text like that describes; what it does not name is at its simplest. `shape` has the fields.
  /// Throws UsageError that names what is wrong.
  static FuzzCase parse(const FuzzCase& shape, const std::string& text);

 private:
  std::vector<Field> fields_;
};

/// The simplest case that still fails: each field in turn is tried at its simplest, next to it, halfway there, and one step nearer, as
/// long as anything changes or `trials` are left.
FuzzCase shrink(FuzzCase failing, const std::function<bool(const FuzzCase&)>& fails, int trials = 400);

/// What can be fuzzed of an operator.
class FuzzTarget {
 public:
  virtual ~FuzzTarget() = default;
  virtual std::string name() const = 0;

  /// Draws a case. `small`: for a device that is slow.
  virtual FuzzCase draw(reference::Draw& draw, bool small) const = 0;

  /// Runs it on the current device and judges everything that it did. Empty if all is as it should be, else what is not. May
  /// throw where the device fails.
  virtual std::string run(const FuzzCase& one) const = 0;
};

const FuzzTarget& gemm_fuzz_target();
const FuzzTarget& add_fuzz_target();
const FuzzTarget& elementwise_fuzz_target();
const FuzzTarget& reduce_fuzz_target();
const FuzzTarget& softmax_fuzz_target();
const FuzzTarget& norm_fuzz_target();
const FuzzTarget& cross_entropy_fuzz_target();
const FuzzTarget& cross_entropy_backward_fuzz_target();

/// The target of that name, or every one for "all". Throws UsageError for another name.
std::vector<const FuzzTarget*> find_fuzz_targets(const std::string& op);

/// Runs `call`, which must throw ckl::Error with a message that has `word` in it. Empty if it does, else what it did.
std::string expect_refusal(const std::string& word, const std::function<void()>& call);

}  // namespace ckl::bench
