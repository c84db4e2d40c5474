#pragma once

/// @file
/// What the targets have in common whose cases are the operands of one call.

#include <string>
#include <vector>

#include <fmt/format.h>

#include "fuzz/operand_fields.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {

/// Adds the last fields of a case: `config`, 0 for the one-line call, and `fault`, one of `faults`, of which the first is none.
inline void draw_config_and_fault(FuzzCase& one, reference::Draw& draw, const std::vector<std::string>& faults) {
  one.add("config", draw.one_in(2) ? 0 : 1 + draw.below(8), 0);
  one.add("fault", draw.one_in(6) ? 1 + draw.below(std::int64_t(faults.size()) - 1) : 0, faults);
}

/// Config number `number`, from 1 on, of those that can serve a problem; empty where there are none.
inline std::string numbered(const std::vector<std::string>& configs, std::int64_t number) {
  return configs.empty() ? "" : configs[std::size_t(number - 1) % configs.size()];
}

/// What is wrong with `output`, if anything.
inline std::string complaint_about(const std::string& output, const reference::Comparison& comparison) {
  return comparison.passed()
             ? ""
             : fmt::format("{} elements of {} are wrong: {}", comparison.wrong, output, comparison.first_wrong);
}

/// `Operands` has
///   Operands(case)                     the tensors, with the inputs filled
///   arguments()                        of the one-line call
///   static call(arguments)             that call
///   static spoil(arguments, fault)     makes well-formed arguments malformed; gives the word that the error must have in it
///   launch(number)                     runs config `number`, or the call if that is 0; gives what is wrong with more than the operands
///   judge()                            what is wrong with the outputs
///   unchanged()                        empty if nothing was written but what the images say
template <class Operands> class OperandsFuzzTarget : public FuzzTarget {
 public:
  std::string run(const FuzzCase& one) const override {
    if (one.word("fault") != "none") return run_malformed(one);
    Operands operands(one);
    const std::string complaint = operands.launch(one["config"]);
    return complaint.empty() ? operands.judge() : complaint;
  }

 private:
  static std::string run_malformed(FuzzCase one) {
    keep_operands_plain(one);
    const Operands operands(one);
    auto arguments = operands.arguments();
    const std::string word = Operands::spoil(arguments, one.word("fault"));
    const std::string complaint = expect_refusal(word, [&] { Operands::call(arguments); });
    return complaint.empty() ? operands.unchanged() : complaint;
  }
};

}  // namespace ckl::bench
