#include "fuzz/fuzz_case.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "ckl/error.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {

void FuzzCase::add(std::string name, std::int64_t value, std::int64_t simplest, std::int64_t largest) {
  fields_.push_back({std::move(name), value, simplest, largest, {}});
}

void FuzzCase::add(std::string name, std::int64_t value, std::vector<std::string> words) {
  const auto largest = std::int64_t(words.size()) - 1;
  fields_.push_back({std::move(name), value, 0, largest, std::move(words)});
}

namespace {

const Field& field_named(const std::vector<Field>& fields, const std::string& name) {
  for (const Field& field : fields)
    if (field.name == name) return field;
  throw std::logic_error("a fuzzed case has no field " + name);
}

std::string text_of(const Field& field) {
  return field.words.empty() ? std::to_string(field.value) : field.words.at(std::size_t(field.value));
}

std::int64_t value_of(const Field& field, const std::string& text) {
  if (!field.words.empty()) {
    const auto at = std::find(field.words.begin(), field.words.end(), text);
    if (at == field.words.end())
      throw UsageError(
          fmt::format("--case: {} must be one of {}, got `{}`", field.name, fmt::join(field.words, ", "), text));
    return at - field.words.begin();
  }
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0 || value > field.largest)
    throw UsageError(
        fmt::format("--case: {} must be a number from 0 to {}, got `{}`", field.name, field.largest, text));
  return value;
}

}  // namespace

std::int64_t FuzzCase::operator[](const std::string& name) const { return field_named(fields_, name).value; }

const std::string& FuzzCase::word(const std::string& name) const {
  const Field& field = field_named(fields_, name);
  return field.words.at(std::size_t(field.value));
}

std::string FuzzCase::to_string() const {
  std::string text;
  for (const Field& field : fields_)
    if (field.value != field.simplest)
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", field.name, text_of(field));
  return text.empty() ? "simplest" : text;
}

FuzzCase FuzzCase::parse(const FuzzCase& shape, const std::string& text) {
  FuzzCase result = shape;
  for (Field& field : result.fields_) field.value = field.simplest;
  if (text == "simplest") return result;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string pair = text.substr(begin, end - begin);
    const std::size_t equals = pair.find('=');
    const auto field = std::find_if(result.fields_.begin(), result.fields_.end(),
                                    [&](const Field& f) { return f.name == pair.substr(0, equals); });
    if (equals == std::string::npos || field == result.fields_.end())
      throw UsageError(fmt::format("--case: must be a list of FIELD=VALUE as `ckl fuzz` prints it, got `{}`", pair));
    field->value = value_of(*field, pair.substr(equals + 1));
    begin = end + 1;
  }
  return result;
}

FuzzCase shrink(FuzzCase failing, const std::function<bool(const FuzzCase&)>& fails, int trials) {
  for (bool changed = true; changed && trials > 0;) {
    changed = false;
    for (std::size_t i = 0; i < failing.fields().size(); ++i) {
      const auto accepts = [&](std::int64_t value) {
        if (trials <= 0 || value == failing.fields()[i].value) return false;
        FuzzCase simpler = failing;
        simpler.set(i, value);
        --trials;
        if (!fails(simpler)) return false;
        failing = simpler;
        return changed = true;
      };
      const std::int64_t goal = failing.fields()[i].simplest;
      if (accepts(goal)) continue;
      if (!failing.fields()[i].words.empty()) continue;  // of words only one is simpler than the others
      const auto value = [&] { return failing.fields()[i].value; };
      const auto toward_goal = [&](std::int64_t steps) { return value() > goal ? value() - steps : value() + steps; };
      if (value() > goal + 1 && accepts(goal + 1)) continue;
      while (accepts(value() - (value() - goal) / 2)) {}
      while (value() != goal && accepts(toward_goal(1))) {}
    }
  }
  return failing;
}

std::vector<const FuzzTarget*> find_fuzz_targets(const std::string& op) {
  const std::vector<const FuzzTarget*> targets = {
      &gemm_fuzz_target(),    &add_fuzz_target(),  &elementwise_fuzz_target(),   &reduce_fuzz_target(),
      &softmax_fuzz_target(), &norm_fuzz_target(), &cross_entropy_fuzz_target(), &cross_entropy_backward_fuzz_target()};
  if (op == "all") return targets;
  std::string names = "all";
  for (const FuzzTarget* target : targets) {
    if (target->name() == op) return {target};
    names += ", " + target->name();
  }
  throw UsageError(fmt::format("op: must be one of {}, got `{}`", names, op));
}

std::string expect_refusal(const std::string& word, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    if (std::string(error.what()).find(word) != std::string::npos) return "";
    return fmt::format("the error does not name `{}`: {}", word, error.what());
  } catch (const std::exception& error) {
    return fmt::format("it throws something other than ckl::Error: {}", error.what());
  }
  return "a malformed problem is accepted";
}

}  // namespace ckl::bench
