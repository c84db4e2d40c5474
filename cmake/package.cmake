# Install tree and CMake package: find_package(CuTeKernelLib) gives CuTeKernelLib::ckl.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/CuTeKernelLib")

install(TARGETS ckl EXPORT CuTeKernelLibTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ckl" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
# The kernels' headers, as they lie in src, for modules of the user's own.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/src/device" "${PROJECT_SOURCE_DIR}/src/ops"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ckl/kernels" FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")
install(EXPORT CuTeKernelLibTargets NAMESPACE CuTeKernelLib:: DESTINATION "${package_folder}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/CuTeKernelLibConfig.cmake.in"
                              "${PROJECT_BINARY_DIR}/package/CuTeKernelLibConfig.cmake"
                              INSTALL_DESTINATION "${package_folder}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/CuTeKernelLibConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
# What ckl_add_module needs.
install(FILES "${PROJECT_SOURCE_DIR}/cmake/ckl_add_module.cmake" "${PROJECT_SOURCE_DIR}/cmake/find_toolkit.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/kernel_modules.cmake"
        DESTINATION "${package_folder}")
install(PROGRAMS "${PROJECT_SOURCE_DIR}/cmake/compile_module.sh" DESTINATION "${package_folder}")
install(FILES "${PROJECT_BINARY_DIR}/package/CuTeKernelLibConfig.cmake"
              "${PROJECT_BINARY_DIR}/package/CuTeKernelLibConfigVersion.cmake"
        DESTINATION "${package_folder}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/NOTICE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
