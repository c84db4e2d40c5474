# The `docs` target: the API's pages in docs/html of the build folder. Any warning of Doxygen's is an error.
find_program(CKL_DOXYGEN doxygen)
if(NOT CKL_DOXYGEN)
  message(STATUS "Doxygen was not found (`make setup` brings it): there will be no docs target")
  return()
endif()
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/docs")
add_custom_target(docs
  COMMAND "${CMAKE_COMMAND}" -E env CKL_VERSION=${PROJECT_VERSION} "CKL_DOCS_FOLDER=${PROJECT_BINARY_DIR}/docs"
          "${CKL_DOXYGEN}" docs/Doxyfile
  COMMAND "${CMAKE_COMMAND}" -E echo "The API's pages: ${PROJECT_BINARY_DIR}/docs/html/index.html"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  VERBATIM)
if(CKL_BUILD_TESTS)
  add_test(NAME docs COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target docs)
  set_tests_properties(docs PROPERTIES RESOURCE_LOCK build_folder)
endif()
