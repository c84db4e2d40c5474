# What the build needs from outside: the CUDA toolkit, CuTe, and a few distribution packages.
# `make setup` brings all of it; CKL_CUDA_DIR (or CUDA_HOME), CKL_CUTLASS_DIR and CMAKE_PREFIX_PATH override it.

set(CKL_CUDA_MINIMUM 12.8)
set(CKL_CUDA_DIR "" CACHE PATH "Root of the CUDA toolkit; empty: CUDA_HOME, CUDA_PATH, nvcc on the PATH, /usr/local/cuda, then CKL_DEPS_DIR")
set(CKL_CUTLASS_DIR "" CACHE PATH "CUTLASS to use: its root or its include folder; empty: what `make setup` downloaded")

# CMake's CUDA language is not used: kernels are device-only modules (see kernel_modules.cmake), host code is plain C++.
function(ckl_find_cuda)
  if(CKL_CUDA_DIR)
    set(candidates "${CKL_CUDA_DIR}")
  else()
    find_program(nvcc_on_path nvcc NO_CACHE)
    if(nvcc_on_path)
      file(REAL_PATH "${nvcc_on_path}" nvcc_on_path)
      cmake_path(GET nvcc_on_path PARENT_PATH bin)
      cmake_path(GET bin PARENT_PATH nvcc_root)
    endif()
    set(candidates "$ENV{CUDA_HOME}" "$ENV{CUDA_PATH}" "${nvcc_root}" /usr/local/cuda "${CKL_DEPS_DIR}/cuda")
  endif()

  set(root "")
  foreach(candidate IN LISTS candidates)
    if(NOT root AND candidate AND EXISTS "${candidate}/bin/nvcc")
      set(root "${candidate}")
    endif()
  endforeach()
  if(NOT root)
    message(FATAL_ERROR "No CUDA toolkit found (${CKL_CUDA_MINIMUM} or newer is required): "
                        "run `make setup`, or set CKL_CUDA_DIR to the folder that holds bin/nvcc.")
  endif()

  execute_process(COMMAND "${root}/bin/nvcc" --version OUTPUT_VARIABLE text ERROR_QUIET)
  if(NOT text MATCHES "release ([0-9]+\\.[0-9]+)")
    message(FATAL_ERROR "${root}/bin/nvcc does not run, so its version cannot be told: "
                        "set CKL_CUDA_DIR to a CUDA toolkit, ${CKL_CUDA_MINIMUM} or newer.")
  endif()
  set(version "${CMAKE_MATCH_1}")
  if(version VERSION_LESS CKL_CUDA_MINIMUM)
    message(FATAL_ERROR "The CUDA toolkit in ${root} is version ${version}, but ${CKL_CUDA_MINIMUM} or newer is required: "
                        "set CKL_CUDA_DIR to a newer one.")
  endif()

  find_path(include cuda_runtime_api.h HINTS "${root}/include" "${root}/targets/x86_64-linux/include" NO_DEFAULT_PATH NO_CACHE)
  find_library(cudart cudart HINTS "${root}/lib64" "${root}/lib" "${root}/targets/x86_64-linux/lib" NO_DEFAULT_PATH NO_CACHE)
  if(NOT include OR NOT cudart)
    message(FATAL_ERROR "The CUDA toolkit in ${root} lacks the runtime's header or libcudart.so: "
                        "install the runtime's development files, or set CKL_CUDA_DIR to a complete toolkit.")
  endif()

  message(STATUS "CUDA toolkit ${version}: ${root}")
  add_library(ckl_cudart INTERFACE IMPORTED GLOBAL)
  set_target_properties(ckl_cudart PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${include}" INTERFACE_LINK_LIBRARIES "${cudart}")
  cmake_path(GET cudart PARENT_PATH libraries)
  set(CKL_CUDA_ROOT "${root}" PARENT_SCOPE)
  set(CKL_CUDA_VERSION "${version}" PARENT_SCOPE)
  set(CKL_CUDA_LIBRARY_DIR "${libraries}" PARENT_SCOPE)
  set(CKL_NVCC "${root}/bin/nvcc" PARENT_SCOPE)
endfunction()

function(ckl_find_cutlass)
  set(CKL_CUTLASS_INCLUDE "")
  foreach(root IN ITEMS "${CKL_CUTLASS_DIR}" "$ENV{CKL_CUTLASS_DIR}" "${CKL_DEPS_DIR}/cutlass")
    foreach(folder IN ITEMS "${root}" "${root}/include" "${root}/cutlass_library/source/include")
      if(root AND EXISTS "${folder}/cute/tensor.hpp")
        message(STATUS "CuTe: ${folder}")
        set(CKL_CUTLASS_INCLUDE "${folder}" PARENT_SCOPE)
        return()
      endif()
    endforeach()
    if(root AND root STREQUAL CKL_CUTLASS_DIR)
      message(FATAL_ERROR "CKL_CUTLASS_DIR is ${root}, but there is no cute/tensor.hpp in it or in its include folder.")
    endif()
  endforeach()
  message(FATAL_ERROR "CuTe's headers were not found: run `make setup`, or set CKL_CUTLASS_DIR to a copy of CUTLASS (4.2 or newer).")
endfunction()

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
