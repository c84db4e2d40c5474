# The sources and the tests of this folder, from emulator/ and from tests/emulator/.
set(CKL_EMULATOR_CHECK_SOURCES)
set(CKL_EMULATOR_CHECK_TESTS)
