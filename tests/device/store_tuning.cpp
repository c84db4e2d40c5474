// store_tuning M N K CONFIG: stores that CONFIG is the fastest for a dense bf16 product on device 0; for the tests of the command,
// which cannot measure under the emulator.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "cases/gemm_cases.hpp"
#include "ckl/ckl.hpp"

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  try {
    using namespace ckl;
    const GemmProblem problem =
        test::problem_of(test::dense_gemm("", "", std::atoll(argv[1]), std::atoll(argv[2]), std::atoll(argv[3])));
    store_tuning(problem, device_info(0), argv[4], 1.0);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
