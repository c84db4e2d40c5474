# The sources and the tests of this folder, from emulator/ and from tests/emulator/.
set(CKL_EMULATOR_CHECK_SOURCES
  check/checker.cpp
  check/checker_async.cpp
  check/describe.cpp
  check/registers.cpp
  check/report.cpp
  check/shadow.cpp)
set(CKL_EMULATOR_CHECK_TESTS check_async check_generic check_random)
