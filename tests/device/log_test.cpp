// CKL_LOG=plan: each new plan tells on standard error what was chosen. A program of its own, since the library reads
// its environment once.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "cases/gemm_cases.hpp"
#include "ckl/ckl.hpp"
#include "device_test.hpp"
#include "operand_buffer.hpp"

namespace ckl::test {
namespace {

const int environment_is_set = setenv("CKL_LOG", "plan", 1);  // before the library first looks

class Log : public DeviceTest {};

/// What `work` writes to standard error.
template <class Work> std::string log_of(const Work& work) {
  ::testing::internal::CaptureStderr();
  work();
  return ::testing::internal::GetCapturedStderr();
}

TEST_F(Log, TellsProblemDeviceAndConfigOfAGemm) {
  ASSERT_EQ(environment_is_set, 0);
  const GemmProblem problem = problem_of(dense_gemm("", "", 64, 72, 80));
  std::string config;
  const std::string log = log_of([&] { config = GemmPlan(problem).config(); });
  ASSERT_FALSE(config.empty());
  for (const std::string& word :
       {std::string("ckl: "), problem.to_string(), std::string("device 0"), config + ", by the model"})
    EXPECT_NE(log.find(word), std::string::npos) << "no \"" << word << "\" in: " << log;
}

// The one-line call plans once: the second call has nothing to tell.
TEST_F(Log, TellsOfEachPlanOnce) {
  OperandBuffer a(DType::f32, {77}, {1}), d(DType::f32, {77}, {1});
  a.fill(1);
  const auto call = [&] { add(a.tensor(), a.tensor(), d.tensor()); };
  EXPECT_NE(log_of(call).find("add (77) f32, f32 -> f32 on device 0: n2_f32_v4_flat"), std::string::npos);
  EXPECT_EQ(log_of(call), "");
}

}  // namespace
}  // namespace ckl::test
