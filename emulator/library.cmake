# The library itself: libcudart.so.<major> from the machine and the runtime, and ckl-emulate beside it.

include(sources.cmake)

add_library(ckl_emulator_objects OBJECT
  ${CKL_EMULATOR_CORE_SOURCES}
  runtime/capture.cpp
  runtime/context.cpp
  runtime/device_api.cpp
  runtime/driver_api.cpp
  runtime/event.cpp
  runtime/execution.cpp
  runtime/function_api.cpp
  runtime/graph.cpp
  runtime/graph_api.cpp
  runtime/graph_exec.cpp
  runtime/launch.cpp
  runtime/library.cpp
  runtime/memory.cpp
  runtime/memory_api.cpp
  runtime/node_params.cpp
  runtime/operation.cpp
  runtime/per_thread.cpp
  runtime/pool_api.cpp
  runtime/registration.cpp
  runtime/stream.cpp
  runtime/stream_api.cpp
  runtime/stubs.cpp
  runtime/user_object.cpp)
target_include_directories(ckl_emulator_objects PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/generated")
target_compile_options(ckl_emulator_objects PRIVATE -ffp-contract=off)
target_link_libraries(ckl_emulator_objects PUBLIC ckl_emulator_parts)

# <build>/emulator in either case; programs that look for the emulator know it by that name.
set(folder "${CMAKE_CURRENT_BINARY_DIR}")
if(PROJECT_IS_TOP_LEVEL)
  string(APPEND folder "/emulator")
endif()

add_library(ckl_emulator SHARED)
target_link_libraries(ckl_emulator PRIVATE ckl_emulator_objects ckl_emulator_parts)
target_include_directories(ckl_emulator SYSTEM INTERFACE "${cuda_include}")
target_link_options(ckl_emulator PRIVATE "LINKER:--version-script=${CMAKE_CURRENT_BINARY_DIR}/generated/library.map" LINKER:-z,defs)
set_target_properties(ckl_emulator PROPERTIES
  OUTPUT_NAME cudart
  SUFFIX ".so.${cudart_major}"
  NO_SONAME ON  # it is set below: the file's name is the soname
  LINK_DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/generated/library.map"
  LIBRARY_OUTPUT_DIRECTORY "${folder}")
target_link_options(ckl_emulator PRIVATE "LINKER:-soname,${CKL_EMU_SONAME}")

configure_file(ckl-emulate.in "${folder}/ckl-emulate" @ONLY FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
               GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# Where an installed ckl looks for it: off the loader's path, since there it would take the place of the GPU's runtime.
set(installed_folder lib/ckl/emulator)
install(TARGETS ckl_emulator LIBRARY DESTINATION ${installed_folder})
install(PROGRAMS "${folder}/ckl-emulate" DESTINATION ${installed_folder})
