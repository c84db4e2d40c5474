# The sources and the tests of this folder, from emulator/ and from tests/emulator/.
set(CKL_EMULATOR_ASYNC_SOURCES
  async/bulk_copy.cpp
  async/footprint.cpp
  async/matrix_descriptor.cpp
  async/matrix_fragments.cpp
  async/reduction.cpp
  async/tensor_copy.cpp
  async/vector_path.cpp
  async/wgmma.cpp
  async/wgmma_avx2.cpp
  async/wgmma_avx512.cpp
  async/wgmma_portable.cpp)
set(CKL_EMULATOR_ASYNC_TESTS async_copy async_fragments async_wgmma)
