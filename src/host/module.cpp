#include "host/module.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

#include "ckl/gemm_module.hpp"
#include "ckl/tuning.hpp"
#include "ckl/version.hpp"
#include "host/require.hpp"
#include "host/user_file.hpp"

namespace ckl {

std::string compiled_kernels_folder(std::string_view op) {
  const std::string folder = host::user_file("CKL_KERNELS", "kernels");
  return folder.empty() ? "" : host::sentence(folder, "/", version(), "-", gemm_module_version, "/", op);
}

namespace host {

namespace {

/// What load() makes of `key`, once for the process; nothing is kept where it throws.
template <class Key, class Load> cudaLibrary_t load_once(const Key& key, const Load& load) {
  struct Loaded {  // a type of ours: the code of a map of others' types alone would be exported
    cudaLibrary_t library;
  };
  static std::mutex mutex;
  static std::map<Key, Loaded> loaded;
  std::lock_guard lock(mutex);
  auto at = loaded.find(key);
  if (at == loaded.end()) at = loaded.emplace(key, Loaded{load()}).first;
  return at->second.library;
}

/// Loads the fatbin at `image`.
cudaLibrary_t load(const unsigned char* image) {
  return load_once(image, [image] {
    cudaLibrary_t library = nullptr;
    check(cudaLibraryLoadData(&library, image, nullptr, nullptr, 0, nullptr, nullptr, 0), "cudaLibraryLoadData");
    return library;
  });
}

/// Loads the fatbin in `file`: what replaces the file counts for the next process.
cudaLibrary_t load_file(const std::string& file) {
  return load_once(file, [&file] {
    cudaLibrary_t library = nullptr;
    check(cudaLibraryLoadFromFile(&library, file.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0),
          sentence("cudaLibraryLoadFromFile(\"", file, "\")").c_str());
    return library;
  });
}

/// The names of the configs of operator `op` that `is_wanted` says true of, in the order of the instance lists.
template <class Predicate> std::vector<std::string> configs_where(const char* op, Predicate is_wanted) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kModuleCount; ++i) {
    const ModuleImage& module = kModules[i];
    if (std::strcmp(module.op, op) != 0) continue;
    for (const ShippedConfig* at = module.entries; at != module.entries + module.entry_count; ++at)
      if (is_wanted(*at)) names.push_back(at->name);
  }
  return names;
}

bool contains(const std::vector<std::string>& configs, const std::string& config) {
  return std::find(configs.begin(), configs.end(), config) != configs.end();
}

std::vector<std::string> fatbins_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code none;  // no such folder
  for (const auto& file : std::filesystem::directory_iterator(folder, none))
    if (file.path().extension() == ".fatbin") names.push_back(file.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::vector<std::string> shipped_configs(const char* op) {
  return configs_where(op, [](const ShippedConfig&) { return true; });
}
std::vector<std::string> measured_configs(const char* op) {
  return configs_where(op, [](const ShippedConfig& config) { return config.measured; });
}
std::vector<std::string> unmeasured_configs(const char* op) {
  return configs_where(op, [](const ShippedConfig& config) { return !config.measured; });
}

const std::vector<std::string>& compiled_configs(const std::string& op) {
  struct Found {  // a type of ours, as in load_once()
    std::vector<std::string> configs;
  };
  static std::mutex mutex;
  static std::map<std::string, Found> found;
  std::lock_guard lock(mutex);
  auto [at, is_new] = found.try_emplace(op);
  if (is_new) at->second.configs = fatbins_in(compiled_kernels_folder(op));
  return at->second.configs;
}

std::string chosen(const std::vector<std::string>& candidates, std::string_view wanted) {
  if (candidates.empty()) {
    require(wanted.empty(), "config must be empty for a problem without elements, but is \"", wanted, "\"");
    return {};
  }
  if (wanted.empty()) return candidates.front();
  require(contains(candidates, std::string(wanted)), "config must be one that can serve the problem (the best is \"",
          candidates.front(), "\"), but is \"", wanted, "\"");
  return std::string(wanted);
}

void require_module(const Module& module, int version, int max_params) {
  require(module.version == version, "module ", module.name, " must be of version ", version,
          ", that of this library, but is of version ", module.version,
          ": compile it again with the library's headers");
  require(module.params_bytes <= std::size_t(max_params), "module ", module.name, "'s Params must have at most ",
          max_params, " bytes, but have ", module.params_bytes);
}

const ModuleEntry* find_entry(const Module& module, std::string_view config) {
  const ModuleEntry* end = module.entries + module.entry_count;
  const ModuleEntry* found =
      std::find_if(module.entries, end, [&](const ModuleEntry& each) { return config == each.config; });
  return found == end ? nullptr : found;
}

void require_params(std::size_t bytes, std::size_t of_module, const std::string& module) {
  require(bytes == of_module, "params must have the ", of_module, " bytes of module ", module, "'s Params, but have ",
          bytes);
}

cudaKernel_t find_kernel(const char* op, const std::string& config) {
  const std::string symbol = sentence("ckl_", op, "_", config);
  for (std::size_t i = 0; i < kModuleCount; ++i) {
    const ModuleImage& module = kModules[i];
    const ShippedConfig* end = module.entries + module.entry_count;
    if (std::strcmp(module.op, op) == 0 &&
        std::any_of(module.entries, end, [&](const ShippedConfig& each) { return each.name == config; }))
      return find_kernel_of(module.begin, symbol.c_str());
  }
  require_supported(contains(compiled_configs(op), config), "config must be one that this library ships for ", op,
                    " or that has been compiled, but is \"", config, "\"");
  const std::string file = compiled_kernels_folder(op) + "/" + config + ".fatbin";
  cudaKernel_t kernel = nullptr;
  check(cudaLibraryGetKernel(&kernel, load_file(file), symbol.c_str()), "cudaLibraryGetKernel");
  return kernel;
}

cudaKernel_t any_kernel() {
  const ModuleImage& module =
      *std::min_element(kModules, kModules + kModuleCount,
                        [](const ModuleImage& x, const ModuleImage& y) { return x.end - x.begin < y.end - y.begin; });
  return find_kernel(module.op, module.entries[0].name);
}

cudaKernel_t find_kernel_of(const unsigned char* image, const char* symbol) {
  cudaKernel_t kernel = nullptr;
  check(cudaLibraryGetKernel(&kernel, load(image), symbol), "cudaLibraryGetKernel");
  return kernel;
}

}  // namespace host

}  // namespace ckl
