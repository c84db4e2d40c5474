# The sources and the tests of this folder, from emulator/ and from tests/emulator/.
set(CKL_EMULATOR_ASYNC_SOURCES)
set(CKL_EMULATOR_ASYNC_TESTS)
