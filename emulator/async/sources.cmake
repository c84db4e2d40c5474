# The sources and the tests of this folder, from emulator/ and from tests/emulator/.
set(CKL_EMULATOR_ASYNC_SOURCES
  async/footprint.cpp
  async/matrix_descriptor.cpp
  async/wgmma.cpp
  async/wgmma_avx2.cpp
  async/wgmma_avx512.cpp
  async/wgmma_portable.cpp)
set(CKL_EMULATOR_ASYNC_TESTS async_wgmma)
