#pragma once

#include <string>
#include <vector>

namespace ckl::bench {

/// A vendor's library, found at run time, so that a machine without it still measures the rest.
class DynamicLibrary {
 public:
  /// Opens the first of `names` (e.g. libcublasLt.so.13) that the loader finds by itself, in the packages of the
  /// python3 on the PATH (<site-packages>/nvidia/*/lib), or in the CUDA toolkit ($CUDA_HOME, /usr/local/cuda).
  explicit DynamicLibrary(const std::vector<std::string>& names);

  explicit operator bool() const { return handle_ != nullptr; }

  /// The function called `name`; null if the library has none.
  template <class Function> Function* get(const char* name) const { return reinterpret_cast<Function*>(symbol(name)); }

 private:
  void* symbol(const char* name) const;

  void* handle_ = nullptr;  // never closed: vendors' libraries do not take it well at exit
};

}  // namespace ckl::bench
