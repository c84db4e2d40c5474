#include "ptx/module.hpp"

#include <algorithm>

namespace emu::ptx {

bool Opcode::has(std::string_view part) const { return std::find(parts.begin(), parts.end(), part) != parts.end(); }

std::string Module::text_of(const Instruction& instruction) const {
  std::string result;
  if (instruction.text_size == 0) return result += opcode_of(instruction).text;  // a ret that the parser added
  bool blank = false;
  for (const char c : text().substr(instruction.text_begin, instruction.text_size)) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      blank = true;
      continue;
    }
    if (blank) result += ' ';
    blank = false;
    result += c;
  }
  return result;
}

std::string Module::place_of(const Instruction& instruction) const {
  if (instruction.location == no_index) return "line " + std::to_string(instruction.line) + " of the PTX";
  std::string result;
  for (Index at = instruction.location; at != no_index; at = locations[at].inlined_at) {
    const Location& location = locations[at];
    if (!result.empty()) result += ", inlined at ";
    const auto file = files.find(location.file);
    result += file == files.end() ? "file " + std::to_string(location.file) : std::string(file->second);
    result += ':' + std::to_string(location.line);
  }
  return result;
}

Index Module::find_function(std::string_view name) const {
  const auto at = function_names_.find(name);
  return at == function_names_.end() ? no_index : at->second;
}

Index Module::find_variable(std::string_view name) const {
  const auto at = variable_names_.find(name);
  return at == variable_names_.end() ? no_index : at->second;
}

}  // namespace emu::ptx
