#include <ckl/ckl.hpp>

#include <cstdio>
#include <cstring>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

// Needs no GPU: the version, and an error that is caught as the library's own type across the border of the shared library.
int main() {
  const char* compiled = TEXT(CKL_VERSION_MAJOR) "." TEXT(CKL_VERSION_MINOR) "." TEXT(CKL_VERSION_PATCH);
  if (std::strcmp(ckl::version(), compiled) != 0) {
    std::printf("headers are %s, the library is %s\n", compiled, ckl::version());
    return 1;
  }
  try {
    ckl::device_info(-1);
    std::printf("device_info(-1) did not throw\n");
    return 1;
  } catch (const ckl::Error& error) {
    std::printf("%s: %s\n", ckl::version(), error.what());
  }
  return 0;
}
