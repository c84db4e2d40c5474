#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

// Tests of single instructions: a kernel for each, over inputs at the edges of every width and random ones, against
// arithmetic on the host. It asks only the runtime API, so that the same tests run on a GPU.
namespace isa_test {

/// The raw inputs of one lane; an operand of n bits takes the low n bits.
struct Inputs {
  std::uint64_t a = 0, b = 0, c = 0, d = 0;
};

struct Case {
  /// PTX with operands in braces: a letter for the input (a to d; r is the result, t and u are for what lies between) and a
  /// width. "{a32}" is input a in a register of 32 bits, "{r64}" the result, "{cp}" the predicate that input c is odd.
  std::string ptx;
  /// The result as the host computes it.
  std::function<std::uint64_t(const Inputs&)> expected;
  /// Inputs for which the result is not specified are left out.
  std::function<bool(const Inputs&)> is_defined = [](const Inputs&) { return true; };
  /// Whether a result other than the expected one will do: NaNs, and approximations.
  std::function<bool(std::uint64_t found, std::uint64_t expected)> accepts = [](std::uint64_t, std::uint64_t) {
    return false;
  };
  /// Instead of `expected`, where lanes see each other: the inputs of the CTA's 128 threads, and a thread's number.
  std::function<std::uint64_t(const Inputs* threads, int thread)> expected_in_cta = nullptr;
};

/// A case whose result depends on other lanes.
inline Case together(std::string ptx, std::function<std::uint64_t(const Inputs* threads, int thread)> expected) {
  Case test;
  test.ptx = std::move(ptx);
  test.expected_in_cta = std::move(expected);
  return test;
}

/// The low `bits` bits of `value`, and those as a signed number.
constexpr std::uint64_t low(std::uint64_t value, int bits) { return bits >= 64 ? value : value & ((1ull << bits) - 1); }
constexpr std::int64_t as_signed(std::uint64_t value, int bits) {
  return static_cast<std::int64_t>(value << (64 - bits)) >> (64 - bits);
}

inline const std::vector<std::uint64_t> integer_edges = {0,
                                                         1,
                                                         2,
                                                         3,
                                                         7,
                                                         8,
                                                         15,
                                                         16,
                                                         31,
                                                         32,
                                                         33,
                                                         63,
                                                         64,
                                                         65,
                                                         0x7f,
                                                         0x80,
                                                         0xff,
                                                         0x100,
                                                         0x7fff,
                                                         0x8000,
                                                         0xffff,
                                                         0x10000,
                                                         0x7fffff,
                                                         0x800000,
                                                         0xffffff,
                                                         0x7fffffff,
                                                         0x80000000,
                                                         0x80000001,
                                                         0xfffffffe,
                                                         0xffffffff,
                                                         0x100000000,
                                                         0x123456789abcdef0,
                                                         0x7fffffffffffffff,
                                                         0x8000000000000000,
                                                         0x8000000080008080,
                                                         0xfffffffffffffffe,
                                                         0xffffffffffffffff};

/// A list of inputs: every pair of edge values for a and b, with c and d drawn, then random ones. `any` draws those.
inline std::vector<Inputs> make_inputs(const std::vector<std::uint64_t>& edges, auto any) {
  std::mt19937_64 random(11);
  const auto draw = [&]() -> std::uint64_t { return random() % 3 == 0 ? edges[random() % edges.size()] : any(random); };
  std::vector<Inputs> inputs;
  for (const std::uint64_t a : edges)
    for (const std::uint64_t b : edges) inputs.push_back({a, b, draw(), draw()});
  while (inputs.size() < 4096 || inputs.size() % 128 != 0) inputs.push_back({draw(), draw(), draw(), draw()});
  return inputs;
}

/// Integers of all magnitudes.
inline std::vector<Inputs> integer_inputs() {
  return make_inputs(integer_edges, [](std::mt19937_64& random) {
    const std::uint64_t magnitude = random() >> (random() % 64);
    return random() % 2 ? magnitude : 0 - magnitude;
  });
}

/// The kernel of one case: thread i reads the four inputs of element i, and writes 64 bits.
class KernelText {
 public:
  KernelText(const Case& test, std::size_t number) {
    std::string body;
    for (std::size_t at = 0; at < test.ptx.size(); ++at) {
      // "{{" starts a vector.
      if (test.ptx.compare(at, 2, "{{") == 0 || test.ptx.compare(at, 2, "}}") == 0) {
        body += test.ptx[at++];
      } else if (test.ptx[at] == '{') {
        const std::size_t end = test.ptx.find('}', at);
        body += operand(test.ptx.substr(at + 1, end - at - 1));
        at = end;
      } else {
        body += test.ptx[at];
      }
    }
    text = ".visible .entry t" + std::to_string(number) +
           "(.param .u64 inputs, .param .u64 outputs)\n{\n"
           ".reg .b32 %thread, %block, %threads; .reg .b64 %in, %out, %at, %raw<5>;\n" +
           declarations_ +
           "mov.u32 %thread, %tid.x; mov.u32 %block, %ctaid.x; mov.u32 %threads, %ntid.x;\n"
           "mad.lo.u32 %thread, %block, %threads, %thread;\n"
           "ld.param.u64 %in, [inputs]; ld.param.u64 %out, [outputs];\n"
           "cvta.to.global.u64 %in, %in; cvta.to.global.u64 %out, %out;\n"
           "mul.wide.u32 %at, %thread, 32; add.u64 %in, %in, %at;\n"
           "mul.wide.u32 %at, %thread, 8; add.u64 %out, %out, %at;\n"
           "ld.global.v2.u64 {%raw0, %raw1}, [%in]; ld.global.v2.u64 {%raw2, %raw3}, [%in+16];\n" +
           loads_ + body + "\n" + (result_.empty() ? "mov.u64 %raw4, %r64;\n" : result_) +
           "st.global.u64 [%out], %raw4;\nret;\n}\n";
  }

  std::string text;

 private:
  std::string operand(const std::string& name) {
    const char letter = name[0];
    const std::string width = name.substr(1), reg = "%" + name;
    if (declarations_.find(reg + ";") != std::string::npos) return reg;
    declarations_ += ".reg " + (width == "p" ? ".pred " : ".b" + width + " ") + reg + ";\n";
    if (letter >= 'a' && letter <= 'd') {
      const std::string raw = "%raw" + std::to_string(letter - 'a');
      if (width == "p") {
        declarations_ += ".reg .b64 %odd_" + name + ";\n";
        loads_ += "and.b64 %odd_" + name + ", " + raw + ", 1; setp.ne.u64 " + reg + ", %odd_" + name + ", 0;\n";
      } else {
        loads_ += (width == "64" ? "mov.u64 " : "cvt.u" + width + ".u64 ") + reg + ", " + raw + ";\n";
      }
    } else if (letter == 'r' && width == "p") {
      result_ = "selp.u64 %raw4, 1, 0, " + reg + ";\n";
    } else if (letter == 'r' && width != "64") {
      result_ = "cvt.u64.u" + width + " %raw4, " + reg + ";\n";
    }
    return reg;
  }

  std::string declarations_, loads_, result_;
};

/// Whether a call succeeded; a failure is reported with the instruction.
inline bool succeeded(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return true;
  ADD_FAILURE() << what << ": " << cudaGetErrorString(error);
  return false;
}

/// The inputs and the results, in the memory of the device.
struct Buffers {
  explicit Buffers(const std::vector<Inputs>& inputs) {
    const std::size_t bytes = inputs.size() * sizeof(Inputs);
    valid = succeeded(cudaMalloc(&in, bytes), "cudaMalloc") &&
            succeeded(cudaMalloc(&out, inputs.size() * 8), "cudaMalloc") &&
            succeeded(cudaMemcpy(in, inputs.data(), bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~Buffers() {
    cudaFree(in);
    cudaFree(out);
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  void *in = nullptr, *out = nullptr;
  bool valid = false;
};

/// Runs one case, kernel t<number> of `library`, and reports its first wrong result.
inline void run_case(cudaLibrary_t library, const Case& test, std::size_t number, const std::vector<Inputs>& inputs,
                     Buffers& buffers) {
  const std::size_t count = inputs.size();
  std::vector<std::uint64_t> found(count);
  cudaKernel_t kernel = nullptr;
  void* arguments[] = {&buffers.in, &buffers.out};
  const dim3 grid(static_cast<unsigned>(count / 128)), block(128);
  if (!succeeded(cudaLibraryGetKernel(&kernel, library, ("t" + std::to_string(number)).c_str()), test.ptx) ||
      !succeeded(cudaMemset(buffers.out, 0xab, count * 8), test.ptx) ||
      !succeeded(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, arguments, 0, nullptr),
                 test.ptx) ||
      !succeeded(cudaMemcpy(found.data(), buffers.out, count * 8, cudaMemcpyDeviceToHost), test.ptx))
    return;
  for (std::size_t i = 0; i < count; ++i) {
    const Inputs& in = inputs[i];
    if (!test.is_defined(in)) continue;
    const std::uint64_t expected = test.expected_in_cta
                                       ? test.expected_in_cta(&inputs[i / 128 * 128], static_cast<int>(i % 128))
                                       : test.expected(in);
    if (found[i] == expected || test.accepts(found[i], expected)) continue;
    ADD_FAILURE() << test.ptx << std::hex << "\n  gives 0x" << found[i] << ", not 0x" << expected << "\n  for a = 0x"
                  << in.a << ", b = 0x" << in.b << ", c = 0x" << in.c << ", d = 0x" << in.d;
    return;
  }
}

/// Writes the PTX to the file that ISA_TEST_PTX names, for the list of what is tested; whether there is such a file. Nothing is
/// executed then.
inline bool wrote_text(const std::string& text) {
  const char* file = std::getenv("ISA_TEST_PTX");
  if (file) std::ofstream(file, std::ios::app) << text;
  return file != nullptr;
}

/// Runs all cases and compares; each failing case is reported once, with its first wrong inputs.
inline void run(const std::vector<Case>& cases, const std::vector<Inputs>& inputs = integer_inputs()) {
  const std::string head = ".version 8.0\n.target sm_90a\n.address_size 64\n";
  std::string all = head;
  for (std::size_t i = 0; i < cases.size(); ++i) all += KernelText(cases[i], i).text;
  if (wrote_text(all)) return;
  Buffers buffers(inputs);
  if (!buffers.valid) return;
  const auto load = [](const std::string& text, cudaLibrary_t& library) {
    return cudaLibraryLoadData(&library, text.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  };
  cudaLibrary_t library = nullptr;
  if (load(all, library) == cudaSuccess) {
    for (std::size_t i = 0; i < cases.size(); ++i) run_case(library, cases[i], i, inputs, buffers);
    cudaLibraryUnload(library);
    return;
  }
  // One instruction that is not known keeps the module from being loaded: each on its own then.
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!succeeded(load(head + KernelText(cases[i], i).text, library), cases[i].ptx)) continue;
    run_case(library, cases[i], i, inputs, buffers);
    cudaLibraryUnload(library);
  }
}

}  // namespace isa_test
