// An oracle from outside: ptxas makes the same machine code of a module and of what the parser understood of it.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>

#include "ptx/describe.hpp"
#include "ptx/module.hpp"

namespace emu::ptx {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// A folder that goes away with the test.
struct TemporaryFolder {
  fs::path path;
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "ckl_emu_ptx_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

template <class T> T value_at(const std::string& bytes, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// The sections of an ELF file that hold code or constants, by name.
std::map<std::string, std::string> code_sections(const std::string& elf) {
  const auto table = value_at<std::uint64_t>(elf, 0x28);
  const auto count = value_at<std::uint16_t>(elf, 0x3c), names = value_at<std::uint16_t>(elf, 0x3e);
  const auto field = [&](unsigned section, int offset) {
    return value_at<std::uint64_t>(elf, table + 64 * section + offset);
  };
  std::map<std::string, std::string> sections;
  for (unsigned i = 0; i < count; ++i) {
    const std::string name = elf.c_str() + field(names, 24) + value_at<std::uint32_t>(elf, table + 64 * i);
    if (name.starts_with(".text") || name.starts_with(".nv.constant") || name.starts_with(".nv.global.init"))
      sections[name] = elf.substr(field(i, 24), field(i, 32));
  }
  return sections;
}

std::map<std::string, std::string> assemble(const fs::path& folder, const std::string& text) {
  std::ofstream(folder / "text.ptx") << text;
  const std::string command = std::string("\"") + CKL_EMU_PTXAS + "\" -c -arch=sm_90a \"" +
                              (folder / "text.ptx").string() + "\" -o \"" + (folder / "text.cubin").string() + "\"";
  EXPECT_EQ(std::system(command.c_str()), 0) << text.substr(0, 2000);
  return code_sections(read(folder / "text.cubin"));
}

/// Without hints to the compiler, which the parser skips.
std::string without_pragmas(const std::string& text) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);)
    if (line.find(".pragma") == std::string::npos) result += line + '\n';
  return result;
}

TEST(PtxMachineCode, IsTheSame) {
  if (!fs::exists(CKL_EMU_PTXAS)) GTEST_SKIP() << "there is no ptxas";
  const TemporaryFolder folder;
  const std::string text = read(fs::path(CKL_EMU_PTX_SAMPLES) / "features.ptx");
  const auto expected = assemble(folder.path, without_pragmas(text));
  const auto found = assemble(folder.path, describe(Module::parse(text)));
  EXPECT_GE(expected.size(), 10u);
  for (const auto& [name, bytes] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(found.at(name) == bytes) << name << " differs";
  }
}

}  // namespace
}  // namespace emu::ptx
