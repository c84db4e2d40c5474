# Kernel modules: device-only fatbins, made by custom commands and embedded into a library.
#
# A module is one .cu file with extern "C" entries. An operator's modules are listed in src/ops/<op>/instances.txt:
#   # comment
#   module_name: [-DMACRO ...] config [config ...]
# A config followed by ? has not been measured yet: it is shipped, but taken only by name or by `ckl tune`.
# A module may have several lines. For each module, CMake writes a .cu file of one CKL_<OP>_ENTRY(config) line per entry into
# the build folder; the entry's symbol is ckl_<op>_<config>. -DMACRO becomes a #define before the include.

cmake_host_system_information(RESULT ckl_cores QUERY NUMBER_OF_LOGICAL_CORES)
set(CKL_NVCC_JOBS ${ckl_cores} CACHE STRING "How many nvcc may run at once (each takes 1 to 2 GB; Ninja only)")
set_property(GLOBAL APPEND PROPERTY JOB_POOLS ckl_nvcc=${CKL_NVCC_JOBS})

set(CKL_COMPILE_MODULE "${CMAKE_CURRENT_LIST_DIR}/compile_module.sh")
if(NOT CKL_MODULE_INCLUDES)  # the installed package has set it
  set(CKL_MODULE_INCLUDES "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
endif()
set(CKL_KERNEL_INCLUDES ${CKL_MODULE_INCLUDES} "${CKL_CUTLASS_INCLUDE}")

# ckl_module_flags(VARIABLE): nvcc's flags for a module, but for where headers are.
function(ckl_module_flags variable)
  set(codes sm_90a)
  if(CKL_EMBED_PTX)
    string(APPEND codes ",compute_90a")
  endif()
  set(flags -std=c++20 -O3 -DNDEBUG --expt-relaxed-constexpr -gencode "arch=compute_90a,code=[${codes}]" -Xptxas -v
            --compress-mode=size -ccbin "${CMAKE_CXX_COMPILER}")
  if(CKL_LINEINFO)
    list(APPEND flags -lineinfo)
  endif()
  set(${variable} "${flags}" PARENT_SCOPE)
endfunction()

# ckl_compile_module(NAME SOURCE): SOURCE becomes modules/NAME.fatbin in the current build folder, with NAME.log beside it.
# Without CKL_LINEINFO the fatbin holds no path of the build, so equal sources give equal bytes.
function(ckl_compile_module name source)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/modules")
  set(fatbin "${folder}/${name}.fatbin")
  file(MAKE_DIRECTORY "${folder}")

  ckl_module_flags(flags)
  list(TRANSFORM CKL_KERNEL_INCLUDES PREPEND -I OUTPUT_VARIABLE includes)

  add_custom_command(
    OUTPUT "${fatbin}"
    BYPRODUCTS "${folder}/${name}.log"
    COMMAND "${CKL_COMPILE_MODULE}" "${fatbin}" "${folder}/${name}.log"
            "${CKL_NVCC}" ${flags} ${includes} "${source}"
    DEPENDS "${source}" "${CKL_COMPILE_MODULE}"
    DEPFILE "${fatbin}.d"
    JOB_POOL ckl_nvcc
    COMMENT "Compiling kernel module ${name}"
    VERBATIM)
endfunction()

# ckl_embed_module(TARGET NAME): puts modules/NAME.fatbin into TARGET's read-only data,
# between the symbols ckl_module_NAME_begin and ckl_module_NAME_end.
function(ckl_embed_module target name)
  set(fatbin "${CMAKE_CURRENT_BINARY_DIR}/modules/${name}.fatbin")
  set(image "${CMAKE_CURRENT_BINARY_DIR}/modules/${name}.image.cpp")
  file(CONFIGURE OUTPUT "${image}" CONTENT [[
__asm__(".section .rodata, \"a\", @progbits\n"
        ".hidden ckl_module_@name@_begin, ckl_module_@name@_end\n"
        ".global ckl_module_@name@_begin, ckl_module_@name@_end\n"
        ".balign 64\n"
        "ckl_module_@name@_begin: .incbin \"@fatbin@\"\n"
        "ckl_module_@name@_end: .byte 0\n"
        ".text\n");
]] @ONLY)
  set_source_files_properties("${image}" PROPERTIES OBJECT_DEPENDS "${fatbin}")
  target_sources(${target} PRIVATE "${image}")
endfunction()

# ckl_read_instances(FILE): sets in the caller `modules` and, for each module M, `M_entries`, `M_macros`, and `M_rows`, the entries as
# C++ initializers of ckl::host::ShippedConfig.
function(ckl_read_instances file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(STRINGS "${file}" lines)
  set(modules "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "#.*" "" line "${line}")
    string(STRIP "${line}" line)
    if(line STREQUAL "")
      continue()
    endif()
    if(NOT line MATCHES "^([a-z0-9_]+):(.*)$")
      message(FATAL_ERROR "${file}: expected `module_name: config ...`, got `${line}`.")
    endif()
    set(module "${CMAKE_MATCH_1}")
    separate_arguments(words UNIX_COMMAND "${CMAKE_MATCH_2}")
    list(APPEND modules ${module})
    foreach(word IN LISTS words)
      if(word MATCHES "^-D([A-Za-z0-9_]+)$")
        list(APPEND ${module}_macros ${CMAKE_MATCH_1})
      elseif(word MATCHES "^([a-z0-9_]+)(\\??)$")
        list(APPEND ${module}_entries ${CMAKE_MATCH_1})
        if(CMAKE_MATCH_2)
          string(APPEND ${module}_rows "{\"${CMAKE_MATCH_1}\", false}, ")
        else()
          string(APPEND ${module}_rows "{\"${CMAKE_MATCH_1}\", true}, ")
        endif()
      else()
        message(FATAL_ERROR "${file}: `${word}` in module ${module} is neither a config (a-z, 0-9, _), maybe with a ?, nor -DMACRO.")
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES modules)
  foreach(module IN LISTS modules)
    if(NOT ${module}_entries)
      message(FATAL_ERROR "${file}: module ${module} has no config.")
    endif()
    set(unique ${${module}_entries})
    list(REMOVE_DUPLICATES unique)
    if(NOT unique STREQUAL "${${module}_entries}")
      message(FATAL_ERROR "${file}: module ${module} lists a config twice.")
    endif()
    set(${module}_entries "${unique}" PARENT_SCOPE)
    set(${module}_macros "${${module}_macros}" PARENT_SCOPE)
    set(${module}_rows "${${module}_rows}" PARENT_SCOPE)
  endforeach()
  set(modules "${modules}" PARENT_SCOPE)
endfunction()

# ckl_add_operator_modules(TARGET FOLDER...): compiles and embeds the instances of the operators in these folders of src/ops, and adds
# the host's table of them. An operator is called as its folder, with _ for /.
function(ckl_add_operator_modules target)
  set(declarations "")
  set(rows "")
  set(plain_list "")
  foreach(folder IN LISTS ARGN)
    string(REPLACE "/" "_" op ${folder})
    string(TOUPPER ${op} OP)
    ckl_read_instances("${CMAKE_CURRENT_SOURCE_DIR}/ops/${folder}/instances.txt")
    foreach(module IN LISTS modules)
      list(LENGTH ${module}_entries count)
      list(TRANSFORM ${module}_macros REPLACE "(.+)" "#define \\1\n" OUTPUT_VARIABLE defines)
      list(TRANSFORM ${module}_entries REPLACE "(.+)" "CKL_${OP}_ENTRY(\\1)\n" OUTPUT_VARIABLE entries)
      list(TRANSFORM ${module}_entries REPLACE "(.+)" "${op} ${module} ckl_${op}_\\1\n" OUTPUT_VARIABLE plain)
      list(JOIN defines "" defines)
      list(JOIN entries "" entries)
      list(JOIN plain "" plain)

      set(source "${CMAKE_CURRENT_BINARY_DIR}/modules/${module}.cu")
      file(CONFIGURE OUTPUT "${source}" CONTENT "${defines}#include \"ops/${folder}/kernel.cuh\"\n\n${entries}" @ONLY)
      ckl_compile_module(${module} "${source}")
      ckl_embed_module(${target} ${module})

      string(APPEND declarations "extern \"C\" const unsigned char ckl_module_${module}_begin[], ckl_module_${module}_end[];\n"
                                 "static const ckl::host::ShippedConfig ${module}_entries[] = {${${module}_rows}};\n")
      string(APPEND rows "    {\"${op}\", \"${module}\", ckl_module_${module}_begin, ckl_module_${module}_end, "
                         "${module}_entries, ${count}},\n")
      string(APPEND plain_list "${plain}")
    endforeach()
  endforeach()

  set(table "${CMAKE_CURRENT_BINARY_DIR}/modules/table.cpp")
  file(CONFIGURE OUTPUT "${table}" @ONLY CONTENT [[
#include "host/module.hpp"

@declarations@
namespace ckl::host {
const ModuleImage kModules[] = {
@rows@};
const std::size_t kModuleCount = sizeof(kModules) / sizeof(kModules[0]);
}  // namespace ckl::host
]])
  target_sources(${target} PRIVATE "${table}")
  # For the tests of the instances: one line `op module symbol` an entry.
  file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/modules/entries.txt" CONTENT "${plain_list}" @ONLY)
endfunction()

# ckl_write_kernel_compiler(FILE): a program that compiles single configs with this build's flags, for `ckl compile`.
function(ckl_write_kernel_compiler file)
  ckl_module_flags(flags)
  list(TRANSFORM flags REPLACE "(.+)" "'\\1'")
  list(JOIN flags " " flags)
  cmake_path(GET CKL_NVCC PARENT_PATH bin)
  cmake_path(GET bin PARENT_PATH cuda)
  include(GNUInstallDirs)
  file(CONFIGURE OUTPUT "${file}" @ONLY NEWLINE_STYLE UNIX CONTENT [[
#!/bin/sh
# ckl-compile-kernel OP CONFIG FATBIN
# Compiles the kernel of one config as the build does, into FATBIN, with FATBIN.log beside it. Made by CMake; on another machine
# CKL_SOURCE_DIR (but for an installed library), CKL_CUDA_DIR and CKL_CUTLASS_DIR say where the library's sources, the CUDA toolkit and
# CuTe's headers are.
op=$1 config=$2 fatbin=$3
prefix=$(dirname "$(readlink -f "$0")")/..
source=${CKL_SOURCE_DIR:-@PROJECT_SOURCE_DIR@}
cuda=${CKL_CUDA_DIR:-@cuda@}
cutlass=${CKL_CUTLASS_DIR:-@CKL_CUTLASS_INCLUDE@}
if [ -d "$prefix/@CMAKE_INSTALL_INCLUDEDIR@/ckl/kernels" ]; then
  kernels=$prefix/@CMAKE_INSTALL_INCLUDEDIR@/ckl/kernels headers=$prefix/@CMAKE_INSTALL_INCLUDEDIR@
  compile=$prefix/@CMAKE_INSTALL_LIBDIR@/cmake/CuTeKernelLib/compile_module.sh
else
  kernels=$source/src headers=$source/include compile=$source/cmake/compile_module.sh
fi
for folder in "$cutlass/include" "$cutlass/cutlass_library/source/include"; do
  [ -f "$folder/cute/tensor.hpp" ] && cutlass=$folder
done

missing() {
  echo "ckl-compile-kernel: there is no $1: $2 must name $3" >&2
  exit 1
}
[ -x "$cuda/bin/nvcc" ] || missing "$cuda/bin/nvcc" CKL_CUDA_DIR "a CUDA toolkit"
[ -f "$cutlass/cute/tensor.hpp" ] || missing "$cutlass/cute/tensor.hpp" CKL_CUTLASS_DIR "CUTLASS or its include folder"
[ -f "$kernels/ops/$op/kernel.cuh" ] || missing "$kernels/ops/$op/kernel.cuh" CKL_SOURCE_DIR "this library's sources"

work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit 1
entry=CKL_$(echo "$op" | tr a-z A-Z)_ENTRY
# The macro: wgmma of every width, which costs a few seconds.
printf '#define CUTE_SM90_EXTENDED_MMA_SHAPES_ENABLED\n#include "ops/%s/kernel.cuh"\n\n%s(%s)\n' "$op" "$entry" "$config" >"$work/kernel.cu"
"$compile" "$work/kernel.fatbin" "$work/kernel.log" "$cuda/bin/nvcc" @flags@ \
  "-I$kernels" "-I$headers" "-I$cutlass" "$work/kernel.cu" || exit 1
# In one step each, so that nobody reads half a kernel.
cp "$work/kernel.log" "$fatbin.log" && cp "$work/kernel.fatbin" "$fatbin.new.$$" && mv "$fatbin.new.$$" "$fatbin"
]])
  file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endfunction()
