# Kernels with a function of one's own, in the library's build and, installed, in any other.
#
#   ckl_add_module(TARGET NAME name FUNCTOR functor.cuh <kind> Type PARAMS params.hpp CONFIGS config...)
#
# compiles one kernel a config with the functor Type of functor.cuh, and adds to TARGET the fatbin and its table, a `ckl::Module` called
# name. The kind says what the functor is:
#
#   EPILOGUE   of a GEMM (device::UserEpilogue in ops/gemm/fused/epilogue.cuh), for GemmModulePlan
#   MONOID     of a reduction (ops/reduce/custom.cuh), for ReduceModulePlan
#   FUNCTION   of elements (ops/elementwise/custom.cuh), for ElementwiseModulePlan
#
# params.hpp is plain C++ that declares TypeParams, which Type::Params stands for. Paths are relative to the current source folder. The
# toolkit and CuTe are found as the library finds them: CKL_CUDA_DIR and CKL_CUTLASS_DIR say where.
include("${CMAKE_CURRENT_LIST_DIR}/find_toolkit.cmake")

function(ckl_add_module target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "NAME;FUNCTOR;EPILOGUE;MONOID;FUNCTION;PARAMS" "CONFIGS")
  foreach(word IN ITEMS NAME FUNCTOR PARAMS CONFIGS)
    if(NOT arg_${word})
      message(FATAL_ERROR "ckl_add_module: ${word} is missing.")
    endif()
  endforeach()
  set(type "${arg_EPILOGUE}${arg_MONOID}${arg_FUNCTION}")
  set(op "")
  set(inputs 0)
  set(outputs 0)
  if(type STREQUAL "")
  elseif(arg_EPILOGUE STREQUAL type)
    set(op gemm)
  elseif(arg_MONOID STREQUAL type)
    set(op reduce)
  elseif(arg_FUNCTION STREQUAL type)
    set(op elementwise)
    set(inputs "${type}Params::inputs")
    set(outputs "${type}Params::outputs")
  endif()
  if(op STREQUAL "")
    message(FATAL_ERROR "ckl_add_module: one of EPILOGUE, MONOID and FUNCTION must be given.")
  endif()
  string(TOUPPER ${op} OP)
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "ckl_add_module: `${arg_UNPARSED_ARGUMENTS}` is no argument of it.")
  endif()
  if(NOT CKL_NVCC)
    ckl_find_cuda()
    ckl_find_cutlass()
    set(CKL_NVCC "${CKL_NVCC}" PARENT_SCOPE)  # for the next module
    set(CKL_CUTLASS_INCLUDE "${CKL_CUTLASS_INCLUDE}" PARENT_SCOPE)
  endif()
  set(CKL_KERNEL_INCLUDES ${CKL_MODULE_INCLUDES} "${CKL_CUTLASS_INCLUDE}" "${CMAKE_CURRENT_SOURCE_DIR}")
  file(REAL_PATH "${arg_FUNCTOR}" functor)
  file(REAL_PATH "${arg_PARAMS}" params)
  set(name ${arg_NAME})

  set(source "${CMAKE_CURRENT_BINARY_DIR}/modules/${name}.cu")
  list(TRANSFORM arg_CONFIGS REPLACE "(.+)" "CKL_${OP}_ENTRY_WITH(\\1, ${type})\n" OUTPUT_VARIABLE kernels)
  list(JOIN kernels "" kernels)
  file(CONFIGURE OUTPUT "${source}" @ONLY
       CONTENT "#include \"${functor}\"\n\nstatic_assert(std::is_same_v<${type}::Params, ${type}Params>);\n${kernels}")
  ckl_compile_module(${name} "${source}")
  ckl_embed_module(${target} ${name})

  list(LENGTH arg_CONFIGS count)
  list(TRANSFORM arg_CONFIGS REPLACE "(.+)" "    {\"ckl_${op}_\\1\", \"\\1\"},\n" OUTPUT_VARIABLE entries)
  list(JOIN entries "" entries)
  set(table "${CMAKE_CURRENT_BINARY_DIR}/modules/${name}.table.cpp")
  file(CONFIGURE OUTPUT "${table}" @ONLY CONTENT [[
#include <ckl/@op@_module.hpp>

#include "@params@"

extern "C" const unsigned char ckl_module_@name@_begin[];
static const ckl::ModuleEntry entries[] = {
@entries@};
extern const ckl::Module @name@;
const ckl::Module @name@ = {"@name@", ckl_module_@name@_begin, entries, @count@, sizeof(@type@Params), @inputs@, @outputs@, ckl::@op@_module_version};
]])
  target_sources(${target} PRIVATE "${table}")
endfunction()
