#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fatbin/fatbin.hpp"
#include "machine/program.hpp"
#include "runtime/objects.hpp"

// A library is the code of one fat binary: registered by a program when it starts, or loaded by cudaLibraryLoad*.

struct CUkern_st {
  CUlib_st* library = nullptr;
  std::string name;
  const emu::machine::Program* code = nullptr;  // looked up when the kernel is first used
  // What cudaFuncSetAttribute sets.
  int max_dynamic_shared = 0;
  bool max_dynamic_shared_set = false;
  bool non_portable_cluster = false;
  bool cluster_must_be_set = false;
  int preferred_carveout = -1;
  int scheduling_policy = 0;
  dim3 required_cluster{0, 0, 0};
};

struct CUlib_st {
  std::string name;  // for messages
  emu::Fatbin fatbin;
  bool loaded = false;
  std::vector<std::shared_ptr<emu::machine::LoadedModule>> modules;
  std::map<std::string, std::unique_ptr<CUkern_st>, std::less<>> kernels;
};

namespace emu {

/// A device variable (__device__ or __constant__).
struct GlobalVariable {
  std::byte* address = nullptr;
  std::size_t bytes = 0;
};

/// A library with the fat binary, or the PTX text, at `image`.
std::unique_ptr<CUlib_st> make_library(const void* image, std::string name);

/// Parses the library's PTX, if that is still to do. Fails with cudaErrorNoKernelImageForDevice if there is none that fits,
/// and with cudaErrorInvalidPtx if it is not understood.
void load(CUlib_st& library);

/// The kernel called `name`; fails with `missing` if the library has none.
CUkern_st& get_kernel(CUlib_st& library, const std::string& name, cudaError_t missing);
/// The variable called `name`, if the library has it.
std::optional<GlobalVariable> find_variable(CUlib_st& library, const std::string& name);

/// The kernel's code. Fails as load() does.
const machine::Program& code_of(CUkern_st& kernel);

/// What programs pass as a function: the address of a kernel's host stub, a cudaKernel_t, or a cudaFunction_t (which are
/// the same here).
CUkern_st& resolve_function(const void* function);
CUkern_st* find_function(const void* function);
/// The variable whose host shadow is at `symbol`.
GlobalVariable resolve_symbol(const void* symbol);

// What programs register before main.
CUlib_st* register_library(const void* wrapper);
void unregister_library(CUlib_st* library);
void register_function(CUlib_st* library, const void* stub, const char* name);
void register_variable(CUlib_st* library, const void* shadow, const char* name);

}  // namespace emu
