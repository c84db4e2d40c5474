# The machine and the instructions.
set(CKL_EMULATOR_CORE_SOURCES
  isa/arithmetic.cpp
  isa/arithmetic_float.cpp
  isa/binder.cpp
  isa/bits.cpp
  isa/calls.cpp
  isa/checks.cpp
  isa/comparison.cpp
  isa/control.cpp
  isa/convert.cpp
  isa/copies.cpp
  isa/matrix.cpp
  isa/mbarrier.cpp
  isa/memory.cpp
  isa/moves.cpp
  isa/numeric.cpp
  isa/small_copies.cpp
  isa/store_async.cpp
  isa/warp.cpp
  machine/access.cpp
  machine/launch.cpp
  machine/memory.cpp
  machine/program.cpp
  machine/scheduler.cpp
  machine/sync.cpp)
# f64 is computed in roundings other than the host's default.
set_source_files_properties(isa/arithmetic_float.cpp PROPERTIES COMPILE_OPTIONS "-frounding-math")
