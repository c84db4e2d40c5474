#pragma once

#include <string>

#include "ptx/module.hpp"

namespace emu::ptx {

/// The module as PTX again, as it was understood: registers, labels and variables of functions by number, blocks resolved,
/// no debug information. Parsing it gives the same module but for names and lines.
std::string describe(const Module& module);

/// One instruction in that form, without the semicolon: "@!%v3 bra $L17".
std::string describe(const Module& module, const Function& function, const Instruction& instruction);

}  // namespace emu::ptx
