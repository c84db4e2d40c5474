#include <cuda_runtime_api.h>

#include <cstdio>

extern "C" const unsigned char ckl_module_scale_begin[], ckl_module_scale_end[];

int main() {
  int version = 0;
  if (cudaRuntimeGetVersion(&version) != cudaSuccess) return 1;
  std::printf("runtime %d, module of %td bytes\n", version, ckl_module_scale_end - ckl_module_scale_begin);
  return ckl_module_scale_end > ckl_module_scale_begin ? 0 : 1;
}
