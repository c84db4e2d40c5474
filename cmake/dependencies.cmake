# What the build needs from outside: the CUDA toolkit, CuTe, and a few distribution packages.
# `make setup` brings all of it; CKL_CUDA_DIR (or CUDA_HOME), CKL_CUTLASS_DIR and CMAKE_PREFIX_PATH override it.

include("${CMAKE_CURRENT_LIST_DIR}/find_toolkit.cmake")

# cuobjdump and nvdisasm are needed by tests only; some toolkits lack them.
function(ckl_find_disassemblers)
  foreach(tool IN ITEMS cuobjdump nvdisasm)
    find_program(path ${tool} HINTS "${CKL_CUDA_ROOT}/bin" "${CKL_DEPS_DIR}/disassemblers/bin" NO_CACHE)
    string(TOUPPER ${tool} name)
    set(CKL_${name} "${path}" PARENT_SCOPE)
    unset(path)
  endforeach()
endfunction()

ckl_find_cuda()
ckl_find_cutlass()
ckl_find_disassemblers()
find_package(Threads REQUIRED)

# The distribution's packages; a missing one is a sentence, not a CMake trace.
function(ckl_find_package name debian)
  find_package(${name} QUIET)
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${name} was not found: run `make setup`, or install it (${debian} on Debian and Ubuntu) "
                        "and name its place in CMAKE_PREFIX_PATH.")
  endif()
endfunction()

ckl_find_package(nlohmann_json nlohmann-json3-dev)  # of the library itself: headers alone
if(CKL_BUILD_BENCH)
  ckl_find_package(CLI11 libcli11-dev)
  ckl_find_package(fmt libfmt-dev)
  ckl_find_package(yaml-cpp libyaml-cpp-dev)
endif()
if(CKL_BUILD_TESTS)
  ckl_find_package(GTest libgtest-dev)
endif()
