#pragma once

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "ckl/tensor.hpp"
#include "ops/case.hpp"

namespace ckl::bench {

/// The user asked for something that cannot be; what() is one sentence with argument, requirement and value.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// "4096x2112x7168" as numbers. `count` is how many there must be, 0 for any number up to max_rank.
std::vector<std::int64_t> parse_sizes(const std::string& key, const std::string& text, std::size_t count);

/// A dtype by name, one of `allowed`.
DType parse_dtype(const std::string& key, const std::string& text, std::initializer_list<DType> allowed);

/// A number, all of `text`.
double parse_number(const std::string& key, const std::string& text);

/// `text` if it is one of `allowed`.
std::string parse_choice(const std::string& key, const std::string& text, std::initializer_list<const char*> allowed);

/// Throws if `settings` has a key that is not in `known`.
void reject_unknown_keys(const std::string& op, const Settings& settings, std::initializer_list<const char*> known);

/// The value of a key, or `otherwise` where it is absent.
std::string value_or(const Settings& settings, const std::string& key, const std::string& otherwise);

}  // namespace ckl::bench
