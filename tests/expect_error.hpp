#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ckl/error.hpp"

namespace ckl::test {

/// Expects `call` to throw ckl::Error of `code` whose message has all of `words`: the argument, what is required of
/// it, and the actual value.
template <class Call> void expect_error(ErrorCode code, const std::vector<std::string>& words, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_STREQ(name(error.code()), name(code)) << error.what();
    const std::string message = error.what();
    for (const std::string& word : words)
      EXPECT_NE(message.find(word), std::string::npos) << "no \"" << word << "\" in: " << message;
    return;
  }
  ADD_FAILURE() << "no ckl::Error was thrown";
}

}  // namespace ckl::test
