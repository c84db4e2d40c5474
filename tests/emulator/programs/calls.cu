// Calls: direct, recursive, through pointers in memory and virtual functions, with structures by value, from diverged lanes;
// printf and assert.
#include <cassert>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <unistd.h>

#include "check.hpp"

#define NOINLINE __device__ __noinline__

NOINLINE int fibonacci(int n) { return n < 2 ? 1 : fibonacci(n - 1) + fibonacci(n - 2); }

/// A pointer to a local variable of a caller that is deeper in the recursion by then.
NOINLINE void fill(int* numbers, int n) {
  int own[2] = {n, n * n};
  if (n > 0) fill(own, n - 1);
  numbers[0] += own[0];
  numbers[1] += own[1] + n;
}

typedef int (*Operation)(int, int);
NOINLINE int add(int a, int b) { return a + b; }
NOINLINE int multiply(int a, int b) { return a * b; }
NOINLINE int power(int a, int b) { return b == 0 ? 1 : a * power(a, b - 1); }
__device__ Operation operations[] = {add, multiply, power};

struct Shape {
  __device__ virtual int area() const { return 0; }
  int side;
};
struct Square : Shape {
  __device__ int area() const override { return side * side; }
};
struct Circle : Shape {
  __device__ int area() const override { return 3 * side * side; }
};

struct Large {
  int numbers[10];
  double scale;
};
NOINLINE Large changed(Large value, int i) {
  value.numbers[i % 10] += 100;
  value.scale *= 2;
  return value;
}

struct Results {
  int fibonacci, filled, operation, area, large;
  double scale;
};

__global__ void everything(Results* results, Large large) {
  const int i = threadIdx.x;
  Results& mine = results[i];
  mine.fibonacci = i % 3 ? fibonacci(i % 8) : -1;
  int numbers[2] = {0, 0};
  fill(numbers, i % 5);
  mine.filled = numbers[0] * 1000 + numbers[1];
  mine.operation = operations[i % 3](i, 3);
  Square square;
  Circle circle;
  square.side = circle.side = i;
  const Shape* shape = i % 2 ? static_cast<const Shape*>(&square) : &circle;
  mine.area = shape->area();
  const Large result = changed(changed(large, i), i + 1);
  mine.large = result.numbers[i % 10] * 1000 + result.numbers[(i + 2) % 10];
  mine.scale = result.scale;
}

__global__ void say(long long wide) {
  if (threadIdx.x == 3)
    printf("%d %5.2f|%-4s|%c %llx %lld %% %*d %u\n", -7, 2.5, "ab", 'z', 0x123456789abcull, wide, 4, 42, 4000000000u);
}

__global__ void doubt(int limit) { assert(static_cast<int>(threadIdx.x) < limit); }

int host_fibonacci(int n) { return n < 2 ? 1 : host_fibonacci(n - 1) + host_fibonacci(n - 2); }
void host_fill(int* numbers, int n) {
  int own[2] = {n, n * n};
  if (n > 0) host_fill(own, n - 1);
  numbers[0] += own[0];
  numbers[1] += own[1] + n;
}

int main() {
  constexpr int threads = 96;
  Results* device = nullptr;
  CHECK_CUDA(cudaMalloc(&device, threads * sizeof(Results)));
  Large large{};
  for (int i = 0; i < 10; ++i) large.numbers[i] = i;
  large.scale = 1.5;
  everything<<<1, threads>>>(device, large);
  std::vector<Results> found(threads);
  CHECK_CUDA(cudaMemcpy(found.data(), device, threads * sizeof(Results), cudaMemcpyDeviceToHost));
  for (int i = 0; i < threads; ++i) {
    const Results& r = found[i];
    int numbers[2] = {0, 0};
    host_fill(numbers, i % 5);
    const int operation = i % 3 == 0 ? i + 3 : i % 3 == 1 ? i * 3 : i * i * i;
    const int large_result = (i % 10 + 100) * 1000 + (i + 2) % 10;
    if (r.fibonacci != (i % 3 ? host_fibonacci(i % 8) : -1) || r.filled != numbers[0] * 1000 + numbers[1] ||
        r.operation != operation || r.area != (i % 2 ? i * i : 3 * i * i) || r.large != large_result || r.scale != 6) {
      std::fprintf(stderr, "thread %d: %d %d %d %d %d %f\n", i, r.fibonacci, r.filled, r.operation, r.area, r.large,
                   r.scale);
      return 1;
    }
  }

  // What the kernel prints, read back from a file.
  char name[] = "/tmp/ckl-emu-calls-XXXXXX";
  const int file = mkstemp(name), console = dup(1);
  std::fflush(stdout);
  dup2(file, 1);
  say<<<1, 32>>>(-1234567890123ll);
  CHECK_CUDA(cudaDeviceSynchronize());
  std::fflush(stdout);
  dup2(console, 1);
  char text[200] = {};
  const bool was_read = pread(file, text, sizeof text - 1, 0) >= 0;
  unlink(name);
  const char* expected = "-7  2.50|ab  |z 123456789abc -1234567890123 %   42 4000000000\n";
  if (!was_read || std::strcmp(text, expected) != 0) {
    std::fprintf(stderr, "printf gave: %s", text);
    return 1;
  }

  doubt<<<1, 32>>>(32);
  CHECK_CUDA(cudaDeviceSynchronize());
  doubt<<<1, 32>>>(10);
  if (const cudaError_t error = cudaDeviceSynchronize(); error != cudaErrorAssert) {
    std::fprintf(stderr, "an assertion that fails gives %s\n", cudaGetErrorName(error));
    return 1;
  }
  return 0;
}
