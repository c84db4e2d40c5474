#include "runtime/library.hpp"

#include <cstring>
#include <fstream>
#include <iterator>

#include "runtime/capture.hpp"
#include "runtime/stream.hpp"

namespace emu {

namespace {

/// The registered and the loaded libraries. Never destroyed, since programs unregister after main.
struct Libraries {
  HandleTable<CUlib_st> loaded{"library"};
  HandleTable<CUlib_st> registered{"registered fat binary"};
  std::map<const void*, CUkern_st*> functions;  // by host stub, and by handle
  struct Symbol {
    CUlib_st* library;
    std::string name;
  };
  std::map<const void*, Symbol> symbols;
};

Libraries& libraries() {
  static auto* all = new Libraries;
  return *all;
}

CUkern_st& add_kernel(CUlib_st& library, const std::string& name) {
  auto [at, is_new] = library.kernels.try_emplace(name);
  if (is_new) {
    at->second = std::make_unique<CUkern_st>();
    at->second->library = &library;
    at->second->name = name;
    libraries().functions[at->second.get()] = at->second.get();
  }
  return *at->second;
}

void forget(CUlib_st& library) {
  std::erase_if(libraries().functions, [&](const auto& entry) { return entry.second->library == &library; });
  std::erase_if(libraries().symbols, [&](const auto& entry) { return entry.second.library == &library; });
}

bool looks_like_ptx(const void* image) {
  // PTX text starts with comments and blanks, then .version.
  std::string_view text(static_cast<const char*>(image), strnlen(static_cast<const char*>(image), 4096));
  return text.find(".version") != std::string_view::npos;
}

}  // namespace

std::unique_ptr<CUlib_st> make_library(const void* image, std::string name) {
  auto library = std::make_unique<CUlib_st>();
  library->name = std::move(name);
  try {
    if (is_fatbin(image))
      library->fatbin = read_fatbin(image);
    else if (is_fatbin_wrapper(image))
      library->fatbin = read_fatbin_wrapper(image);
    else if (looks_like_ptx(image))
      library->fatbin.ptx.push_back({90, 'a', static_cast<const char*>(image)});
    else
      fail(cudaErrorInvalidKernelImage, "the image is neither a fat binary nor PTX text; a cubin cannot be emulated");
  } catch (const FatbinError& error) {
    status::say(error.what());
    fail(cudaErrorInvalidKernelImage, "{}", error.what());
  }
  return library;
}

namespace {

/// The module of `text`. Its variables are memory that programs may copy to and from, as long as it lives.
std::shared_ptr<machine::LoadedModule> load_module(const std::string& text) {
  auto module = machine::LoadedModule::load(text, context().memory.global());
  for (const machine::DeviceVariable& variable : module->variables())
    context().memory.add_variable(variable.address, variable.bytes);
  machine::LoadedModule* pointer = module.get();
  return {pointer, [kept = std::move(module)](machine::LoadedModule* unloaded) {
            for (const machine::DeviceVariable& variable : unloaded->variables())
              context().memory.remove_variable(variable.address);
          }};
}

}  // namespace

void load(CUlib_st& library) {
  if (library.loaded) return;
  auto images = library.fatbin.for_hopper();
  if (images.empty()) {
    const std::string why = library.fatbin.why_no_ptx();
    status::say(why);
    fail(cudaErrorNoKernelImageForDevice, "{}", why);
  }
  std::vector<std::shared_ptr<machine::LoadedModule>> modules;
  for (const PtxImage* image : images) {
    try {
      modules.push_back(load_module(image->text));
    } catch (const std::exception& error) {
      status::say(fmt::format("{}: {}", library.name, error.what()));
      fail(cudaErrorInvalidPtx, "{}", error.what());
    }
  }
  library.modules = std::move(modules);
  library.loaded = true;
}

namespace {

/// The kernel's program, decoded when it is first asked for; null if the module has no such kernel.
const machine::Program* decode(const CUlib_st& library, machine::LoadedModule& module, const std::string& name) {
  try {
    return module.kernel(name);
  } catch (const std::exception& error) {
    status::say(fmt::format("{}: {}", library.name, error.what()));
    fail(cudaErrorInvalidPtx, "{}", error.what());
  }
}

}  // namespace

CUkern_st& get_kernel(CUlib_st& library, const std::string& name, cudaError_t missing) {
  load(library);
  for (const auto& module : library.modules)
    if (const machine::Program* code = decode(library, *module, name)) {
      CUkern_st& kernel = add_kernel(library, name);
      kernel.code = code;
      return kernel;
    }
  fail(missing, "{} has no kernel {}", library.name, name);
}

const machine::Program& code_of(CUkern_st& kernel) {
  if (!kernel.code) get_kernel(*kernel.library, kernel.name, cudaErrorInvalidDeviceFunction);
  return *kernel.code;
}

CUkern_st* find_function(const void* function) {
  auto at = libraries().functions.find(function);
  return at == libraries().functions.end() ? nullptr : at->second;
}

CUkern_st& resolve_function(const void* function) {
  CUkern_st* kernel = find_function(function);
  require(kernel, cudaErrorInvalidDeviceFunction, "{} is not a kernel", function);
  return *kernel;
}

GlobalVariable resolve_symbol(const void* symbol) {
  auto at = libraries().symbols.find(symbol);
  require(at != libraries().symbols.end(), cudaErrorInvalidSymbol, "{} is not a device variable", symbol);
  auto variable = find_variable(*at->second.library, at->second.name);
  require(variable.has_value(), cudaErrorInvalidSymbol, "the program's PTX has no variable {}", at->second.name);
  return *variable;
}

CUlib_st* register_library(const void* wrapper) {
  return libraries().registered.add(make_library(wrapper, "the program's fat binary"));
}

void unregister_library(CUlib_st* library) {
  if (!libraries().registered.find(library)) return;
  forget(*library);
  libraries().registered.remove(library);
}

void register_function(CUlib_st* library, const void* stub, const char* name) {
  libraries().functions[stub] = &add_kernel(libraries().registered.get(library), name);
}

void register_variable(CUlib_st* library, const void* shadow, const char* name) {
  libraries().symbols[shadow] = {&libraries().registered.get(library), name};
}

namespace {

CUlib_st& get_library(cudaLibrary_t handle) { return libraries().loaded.get(handle); }

/// JIT and library options steer compilation and loading; those that would change what is loaded are refused.
void check_options(unsigned jit_count, const cudaLibraryOption* options, unsigned count) {
  if (jit_count) status::log("the options of the JIT compiler have no effect");
  for (unsigned i = 0; i < count; ++i) {
    require_value(options, "libraryOptions must not be null");
    require_value(
        options[i] == cudaLibraryHostUniversalFunctionAndDataTable || options[i] == cudaLibraryBinaryIsPreserved,
        "library option {} is unknown", int(options[i]));
    if (options[i] == cudaLibraryHostUniversalFunctionAndDataTable)
      fail_not_supported("cudaLibraryHostUniversalFunctionAndDataTable");
  }
}

cudaLibrary_t add_library(std::unique_ptr<CUlib_st> library) {
  load(*library);
  return libraries().loaded.add(std::move(library));
}

}  // namespace

}  // namespace emu

using namespace emu;

CKL_EMU_API cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code, cudaJitOption*, void**,
                                            unsigned jit_count, cudaLibraryOption* options, void**, unsigned count) {
  return api("cudaLibraryLoadData", [&] {
    require_value(library && code, "library and code must not be null");
    forbid_unsafe_call_during_capture();
    check_options(jit_count, options, count);
    *library = add_library(make_library(code, "the image given to cudaLibraryLoadData"));
  });
}

CKL_EMU_API cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t* library, const char* file, cudaJitOption*, void**,
                                                unsigned jit_count, cudaLibraryOption* options, void**,
                                                unsigned count) {
  return api("cudaLibraryLoadFromFile", [&] {
    require_value(library && file, "library and fileName must not be null");
    forbid_unsafe_call_during_capture();
    check_options(jit_count, options, count);
    std::ifstream stream(file, std::ios::binary);
    require(bool(stream), cudaErrorFileNotFound, "{} cannot be read", file);
    std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    require(bytes.size() >= sizeof(std::uint64_t), cudaErrorInvalidKernelImage,
            "{} is too short to be a fat binary or PTX", file);
    std::unique_ptr<CUlib_st> made;
    if (is_fatbin(bytes.data())) {
      made = std::make_unique<CUlib_st>();
      made->name = file;
      try {
        made->fatbin = read_fatbin(std::as_bytes(std::span(bytes)));
      } catch (const FatbinError& error) {
        fail(cudaErrorInvalidKernelImage, "{}", error.what());
      }
    } else {
      require(!is_fatbin_wrapper(bytes.data()), cudaErrorInvalidKernelImage, "{} is neither a fat binary nor PTX text",
              file);
      made = make_library(bytes.c_str(), file);
    }
    *library = add_library(std::move(made));
  });
}

CKL_EMU_API cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  return api(
      "cudaLibraryUnload",
      [&] {
        forbid_unsafe_call_during_capture();
        forget(get_library(library));
        libraries().loaded.remove(library);
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library, const char* name) {
  return api("cudaLibraryGetKernel", [&] {
    require_value(kernel && name, "pKernel and name must not be null");
    *kernel = &get_kernel(get_library(library), name, cudaErrorSymbolNotFound);
  });
}

CKL_EMU_API cudaError_t cudaLibraryGetKernelCount(unsigned* count, cudaLibrary_t library) {
  return api("cudaLibraryGetKernelCount", [&] {
    require_value(count, "count must not be null");
    *count = 0;
    for (const auto& module : get_library(library).modules) *count += unsigned(module->kernel_names().size());
  });
}

CKL_EMU_API cudaError_t cudaLibraryEnumerateKernels(cudaKernel_t* kernels, unsigned count, cudaLibrary_t handle) {
  return api("cudaLibraryEnumerateKernels", [&] {
    require_value(kernels || !count, "kernels must not be null");
    CUlib_st& library = get_library(handle);
    unsigned next = 0;
    for (const auto& module : library.modules)
      for (const std::string& name : module->kernel_names())
        if (next < count) kernels[next++] = &get_kernel(library, name, cudaErrorSymbolNotFound);
  });
}

CKL_EMU_API cudaError_t cudaLibraryGetGlobal(void** address, std::size_t* bytes, cudaLibrary_t library,
                                             const char* name) {
  return api("cudaLibraryGetGlobal", [&] {
    require_value((address || bytes) && name, "name, and one of dptr and bytes, must not be null");
    auto variable = find_variable(get_library(library), name);
    require(variable.has_value(), cudaErrorSymbolNotFound, "the library has no variable {}", name);
    if (address) *address = variable->address;
    if (bytes) *bytes = variable->bytes;
  });
}

CKL_EMU_API cudaError_t cudaGetSymbolAddress(void** address, const void* symbol) {
  return api("cudaGetSymbolAddress", [&] {
    require_value(address, "devPtr must not be null");
    *address = resolve_symbol(symbol).address;
  });
}

CKL_EMU_API cudaError_t cudaGetSymbolSize(std::size_t* size, const void* symbol) {
  return api("cudaGetSymbolSize", [&] {
    require_value(size, "size must not be null");
    *size = resolve_symbol(symbol).bytes;
  });
}
