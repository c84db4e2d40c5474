#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <set>
#include <stdexcept>
#include <string>

#include "ckl/error.hpp"
#include "fuzz/fuzz_case.hpp"
#include "fuzz/worker.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

FuzzCase example(std::int64_t m, std::int64_t offset, std::int64_t order) {
  FuzzCase one;
  one.add("m", m, 1);
  one.add("offset", offset, 0);
  one.add("order", order, {"rows", "columns"});
  return one;
}

TEST(FuzzCase, IsWrittenAndReadBack) {
  const FuzzCase one = example(65, 0, 1);
  EXPECT_EQ(one.to_string(), "m=65,order=columns");
  EXPECT_EQ(FuzzCase::parse(one, "m=65,order=columns").to_string(), one.to_string());
  EXPECT_EQ(FuzzCase::parse(one, "simplest").to_string(), "simplest");
  EXPECT_EQ(FuzzCase::parse(one, "offset=3")["m"], 1);
}

TEST(FuzzCase, SaysWhatCannotBeRead) {
  for (const char* text : {"m", "m=", "m=-1", "m=1048577", "m=99999999999999999999", "m=1x", "order=diagonal",
                           "width=3", "m=1,,offset=2", ""})
    EXPECT_THROW(FuzzCase::parse(example(1, 0, 0), text), UsageError) << text;
}

TEST(FuzzCase, EveryDrawnCaseIsReadBack) {
  for (const FuzzTarget* target : find_fuzz_targets("all"))
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      reference::Draw draw(seed), again(seed);
      const FuzzCase one = target->draw(draw, seed % 2 == 0);
      EXPECT_EQ(FuzzCase::parse(one, one.to_string()).to_string(), one.to_string());
      EXPECT_EQ(target->draw(again, seed % 2 == 0).to_string(), one.to_string());
    }
}

TEST(FuzzCase, MalformedOnesAreDrawnOfEveryKind) {
  for (const FuzzTarget* target : find_fuzz_targets("all")) {
    std::set<std::string> faults;
    std::size_t kinds = 0;
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
      reference::Draw draw(seed);
      const FuzzCase one = target->draw(draw, true);
      faults.insert(one.word("fault"));
      kinds = one.fields().back().words.size();
    }
    EXPECT_EQ(faults.size(), kinds) << target->name();
  }
}

TEST(Shrink, FindsTheEdgeOfAFault) {
  int tried = 0;
  const FuzzCase found = shrink(example(1000, 13, 1), [&](const FuzzCase& one) {
    ++tried;
    return one["m"] >= 65 && one["offset"] % 2 == 1;
  });
  EXPECT_EQ(found.to_string(), "m=65,offset=1");
  EXPECT_LT(tried, 100);
}

TEST(Shrink, KeepsWhatTheFaultNeeds) {
  const auto fails = [](const FuzzCase& one) { return one.word("order") == "columns" && one["m"] == 0; };
  EXPECT_EQ(shrink(example(0, 9, 1), fails).to_string(), "m=0,order=columns");
}

TEST(Shrink, EndsWhenItsTrialsAre) {
  int tried = 0;
  shrink(
      example(1000000, 13, 1), [&](const FuzzCase& one) { return ++tried, one["m"] >= 100; }, 7);
  EXPECT_EQ(tried, 7);
}

TEST(Worker, SendsLines) {
  std::string lines;
  const std::string fate = run_in_child(
      10, true, [](const auto& send) { send("one"), send("two\nlines"); },
      [&](const std::string& line) { return lines += line + ";", true; });
  EXPECT_EQ(fate, "");
  EXPECT_EQ(lines, "one;two lines;");
}

TEST(Worker, TellsHowAChildEnds) {
  const auto ignore = [](const std::string&) { return true; };
  EXPECT_NE(run_in_child(
                10, true, [](const auto&) { std::raise(SIGSEGV); }, ignore)
                .find("signal 11"),
            std::string::npos);
  EXPECT_NE(run_in_child(
                0.2, true, [](const auto&) { sleep(60); }, ignore)
                .find("nothing has happened"),
            std::string::npos);
  std::string line;
  run_in_child(
      10, true, [](const auto&) { throw std::runtime_error("broken"); },
      [&](const std::string& sent) { return line = sent, true; });
  EXPECT_EQ(line, "broken");
}

TEST(Worker, IsEndedWhenNobodyListens) {
  int lines = 0;
  run_in_child(
      10, true,
      [](const auto& send) {
        while (true) send("again");
      },
      [&](const std::string&) { return ++lines < 3; });
  EXPECT_EQ(lines, 3);
}

TEST(Refusal, MustBeThisLibrarysAndNameTheArgument) {
  EXPECT_EQ(expect_refusal("a.rank", [] { throw Error(ErrorCode::invalid_argument, "a.rank must be 2"); }), "");
  EXPECT_NE(expect_refusal("b.", [] { throw Error(ErrorCode::invalid_argument, "m must be 2"); }), "");
  EXPECT_NE(expect_refusal("a", [] { throw std::runtime_error("a"); }), "");
  EXPECT_NE(expect_refusal("a", [] {}), "");
}

TEST(FuzzTarget, IsFoundByName) {
  ASSERT_EQ(find_fuzz_targets("add").size(), 1);
  EXPECT_EQ(find_fuzz_targets("add").front()->name(), "add");
  EXPECT_THROW(find_fuzz_targets("sub"), UsageError);
}

}  // namespace
}  // namespace ckl::bench
