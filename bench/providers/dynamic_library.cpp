#include "providers/dynamic_library.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace ckl::bench {
namespace {

namespace fs = std::filesystem;

/// The first line that `command` prints.
std::string first_line(const char* command) {
  FILE* pipe = popen(command, "r");
  if (!pipe) return "";
  char line[4096] = "";
  const char* read = fgets(line, sizeof(line), pipe);
  pclose(pipe);
  std::string text = read ? line : "";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<fs::path> python_folders() {
  std::vector<fs::path> folders;
  const fs::path site = first_line("python3 -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))' 2>/dev/null");
  std::error_code error;
  for (const fs::directory_entry& package : fs::directory_iterator(site / "nvidia", error))
    folders.push_back(package.path() / "lib");
  return folders;
}

std::vector<fs::path> toolkit_folders() {
  std::vector<fs::path> folders;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* root = std::getenv(variable)) folders.push_back(fs::path(root) / "lib64");
  folders.push_back("/usr/local/cuda/lib64");
  return folders;
}

void* open(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }

}  // namespace

DynamicLibrary::DynamicLibrary(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (!handle_) handle_ = open(name);
  if (handle_) return;
  static const std::vector<fs::path> folders = [] {
    std::vector<fs::path> all = python_folders();
    for (const fs::path& folder : toolkit_folders()) all.push_back(folder);
    return all;
  }();
  for (const std::string& name : names)
    for (const fs::path& folder : folders)
      if (!handle_ && fs::exists(folder / name)) handle_ = open(folder / name);
}

void* DynamicLibrary::symbol(const char* name) const { return handle_ ? dlsym(handle_, name) : nullptr; }

}  // namespace ckl::bench
