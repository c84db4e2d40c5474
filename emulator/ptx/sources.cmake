# The sources of this folder, from emulator/, and their tests.
set(CKL_EMULATOR_PTX_SOURCES
  ptx/lexer.cpp)
set(CKL_EMULATOR_PTX_TESTS
  ptx_lexer)
