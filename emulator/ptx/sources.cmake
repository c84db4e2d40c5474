# The sources of this folder, from emulator/.
set(CKL_EMULATOR_PTX_SOURCES
  ptx/async_uses.cpp
  ptx/call_graph.cpp
  ptx/control_flow.cpp
  ptx/cursor.cpp
  ptx/declarations.cpp
  ptx/describe.cpp
  ptx/function_parser.cpp
  ptx/instruction_parser.cpp
  ptx/lexer.cpp
  ptx/liveness.cpp
  ptx/locations.cpp
  ptx/module.cpp
  ptx/module_parser.cpp
  ptx/slots.cpp
  ptx/special_register.cpp
  ptx/types.cpp)
