#include "runtime/options.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <functional>
#include <thread>
#include <unistd.h>

#include "runtime/status.hpp"

namespace emu {

namespace {

constexpr const char* prefix = "CKL_EMU_";

template <class Int> Int parse_integer(const std::string& name, const std::string& value, Int low, Int high) {
  Int number{};
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < low || number > high)
    throw OptionsError(fmt::format("{} must be an integer from {} to {}, but is \"{}\"", name, low, high, value));
  return number;
}

bool parse_switch(const std::string& name, const std::string& value) {
  if (value == "0" || value == "1") return value == "1";
  throw OptionsError(fmt::format("{} must be 0 or 1, but is \"{}\"", name, value));
}

void parse_mode(const std::string& name, const std::string& value, Options& options) {
  std::size_t from = 0;
  while (from <= value.size()) {
    const std::size_t comma = std::min(value.find(',', from), value.size());
    const std::string word = value.substr(from, comma - from);
    if (word == "late")
      options.late_loads = options.late_mma = options.late_stores = true;
    else if (word == "late-loads")
      options.late_loads = true;
    else if (word == "late-mma")
      options.late_mma = true;
    else if (word == "late-stores")
      options.late_stores = true;
    else if (word == "random")
      options.random_priorities = true;
    else if (word != "early")
      throw OptionsError(
          fmt::format("{} must be a comma-separated list of early, late, late-loads, late-mma, late-stores and random, "
                      "but is \"{}\"",
                      name, value));
    from = comma + 1;
  }
}

VectorPath parse_vectors(const std::string& name, const std::string& value) {
  const std::map<std::string, VectorPath> paths = {
      {"portable", VectorPath::portable}, {"avx2", VectorPath::avx2}, {"avx512", VectorPath::avx512}};
  const auto path = paths.find(value);
  if (path == paths.end())
    throw OptionsError(fmt::format("{} must be portable, avx2 or avx512, but is \"{}\"", name, value));
  if (path->second > best_vector_path())
    throw OptionsError(fmt::format("{} is \"{}\", which this host does not have", name, value));
  return path->second;
}

std::map<std::string, std::string> environment_variables() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (text.starts_with(prefix) && equals != std::string::npos)
      variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return variables;
}

}  // namespace

Options parse_options(const std::map<std::string, std::string>& variables) {
  Options options;
  options.gpu = find_gpu_model("h100");
  options.vectors = best_vector_path();
  options.threads = int(std::clamp(std::thread::hardware_concurrency(), 1u, 1024u));

  using Reader = std::function<void(const std::string& name, const std::string& value)>;
  const std::map<std::string, Reader> readers = {
      {"GPU",
       [&](auto& name, auto& value) {
         options.gpu = find_gpu_model(value);
         if (!options.gpu) throw OptionsError(fmt::format("{} must be h100 or h200, but is \"{}\"", name, value));
       }},
      {"SMS", [&](auto& name, auto& value) { options.sm_count = parse_integer(name, value, 1, 1024); }},
      {"THREADS", [&](auto& name, auto& value) { options.threads = parse_integer(name, value, 1, 1024); }},
      {"CHECK", [&](auto& name, auto& value) { options.checks = parse_switch(name, value); }},
      {"SEED",
       [&](auto& name, auto& value) { options.seed = parse_integer<std::uint64_t>(name, value, 0, UINT64_MAX); }},
      {"LOG", [&](auto& name, auto& value) { options.log = parse_switch(name, value); }},
      {"MODE", [&](auto& name, auto& value) { parse_mode(name, value, options); }},
      {"VECTORS", [&](auto& name, auto& value) { options.vectors = parse_vectors(name, value); }},
  };
  for (const auto& [name, value] : variables) {
    auto reader = readers.find(name.substr(std::string(prefix).size()));
    if (reader == readers.end())
      throw OptionsError(fmt::format(
          "{} is not a variable of the emulator; it knows GPU, SMS, THREADS, CHECK, SEED, LOG, MODE and VECTORS",
          name));
    reader->second(name, value);
  }
  if (!options.sm_count) options.sm_count = options.gpu->sm_count;
  return options;
}

const Options& options() {
  static const Options* options = []() -> const Options* {
    try {
      const auto* read = new Options(parse_options(environment_variables()));
      use_vector_path(read->vectors);
      return read;
    } catch (const OptionsError& error) {
      status::say(error.what());
      status::set_fault(cudaErrorInitializationError);
      return new Options(parse_options({}));
    }
  }();
  return *options;
}

}  // namespace emu
