"""The lint is tested on samples: each rule rejects what it is for, and lets good code pass."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

LINT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint"


def lint(path, text):
    """Runs the lint on a tree of one file; gives its exit status and what it printed."""
    with tempfile.TemporaryDirectory() as root:
        file = pathlib.Path(root) / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
        done = subprocess.run([sys.executable, LINT, root], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


class Lint(unittest.TestCase):
    def rejects(self, text, expected, path="src/device/row.cuh"):
        status, output = lint(path, text)
        self.assertEqual(status, 1, f"accepted: {text}")
        self.assertIn(expected, output)
        self.assertIn(f"{path}:", output)

    def accepts(self, text, path="src/device/row.cuh"):
        status, output = lint(path, text)
        self.assertEqual(status, 0, output)

    def test_raw_cuda(self):
        for line, what in [
            ('asm volatile("bar.sync 0;");', "inline assembly"),
            ("x += __shfl_xor_sync(~0u, x, 1);", "intrinsic"),
            ("__syncthreads();", "intrinsic"),
            ("y = __ldg(&x);", "intrinsic"),
            ("atomicAdd(&x, 1.0f);", "atomic"),
            ("cuda::atomic_ref<int> r(x);", "atomic"),
            ("auto v = *reinterpret_cast<float4*>(p);", "vector type"),
            ("uint2 v;", "vector type"),
            ("nvcuda::wmma::mma_sync(d, a, b, c);", "wmma"),
            ("using C = cutlass::gemm::collective::CollectiveBuilder<int>::CollectiveOp;", "collective builder"),
            ("using G = cutlass::gemm::device::GemmUniversalAdapter<K>;", "ready-made"),
        ]:
            with self.subTest(line):
                self.rejects(line + "\n", what)
                self.rejects(line + "\n", what, "src/ops/gemm/kernel.cuh")
                self.accepts(line + "\n", "src/device/arch.cuh")

    def test_what_is_no_raw_cuda(self):
        self.accepts("// __syncthreads() and float4 in a comment\n/* asm\n volatile */ int x;\n")
        self.accepts('const char* s = "asm(float4)";\n')
        self.accepts("extern \"C\" __global__ void __launch_bounds__(384, 1) f(__grid_constant__ P const p) {}\n")
        self.accepts("extern __shared__ __align__(1024) uint8_t bytes[];\n")
        self.accepts("std::atomic<int> count; dim3 grid; int8_t a; float x4; my_float4_t y;\n", "src/host/launch.cpp")
        self.accepts("bool big = __builtin_mul_overflow(a, b, &c);\nTensor t = f(a);\n", "src/host/tensor.cpp")
        self.rejects("bool big = __builtin_mul_overflow(a, b, &c);\n", "intrinsic")

    def test_the_line_is_told(self):
        _, output = lint("src/device/row.cuh", "/* one\n two */\n\n__syncthreads();\n")
        self.assertIn("row.cuh:4:", output)

    def test_tensor_shapes(self):
        shape = "ends with its shape"
        self.rejects("Tensor sA = make_tensor(p, layout);\n", shape)
        self.rejects("  Tensor sA = make_tensor(p,\n    layout);  // the tile\n", shape)
        self.rejects("auto tCrC = partition_fragment_C(mma, tile);\n", shape)
        self.rejects("auto gA = local_tile(mA, tile, coord);\n", shape)
        self.accepts("Tensor sA = make_tensor(p, layout);  // (BLK_M, BLK_K, PIPE)\n")
        self.accepts("Tensor sA = make_tensor(p,\n    layout);  // (BLK_M, BLK_K, PIPE)\n")
        self.accepts("auto tCrC = partition_fragment_C(mma, tile);  // (MMA, MMA_M, MMA_N)\n")
        self.accepts("using cute::Tensor;  // not ckl::Tensor\nauto layout = make_layout(shape);\n")

    def test_includes(self):
        self.rejects("#include <cuda_runtime_api.h>\n", "public header", "include/ckl/gemm.hpp")
        self.rejects("#include <cute/tensor.hpp>\n", "public header", "include/ckl/gemm.hpp")
        self.rejects('#include "host/module.hpp"\n', "public header", "include/ckl/gemm.hpp")
        self.rejects("#include <cute/tensor.hpp>\n", "plain C++", "src/ops/gemm/gemm.cpp")
        self.rejects('#include "ops/gemm/kernel.cuh"\n', "plain C++", "src/ops/gemm/gemm.cpp")
        self.rejects("#include <cutlass/numeric_types.h>\n", "plain C++", "src/ops/gemm/config.hpp")
        self.rejects('#include "device/mainloop.cuh"\n', "plain C++", "src/host/launch.cpp")
        self.rejects('#include "ops/gemm/params.hpp"\n', "below the operators", "src/host/launch.cpp")
        self.rejects('#include "ops/gemm/params.hpp"\n', "below the operators", "src/device/mainloop.cuh")
        self.rejects('#include "host/launch.hpp"\n', "no host code", "src/ops/gemm/params.hpp")
        self.rejects('#include "ops/gemm/params.hpp"\n', "one floor down", "src/ops/conv2d/kernel.cuh")
        self.rejects('#include "ops/elementwise/params.hpp"\n', "one floor down", "src/ops/gemm/gemm.cpp")
        self.rejects('#include "ops/elementwise/elementwise.hpp"\n', "one floor down", "src/ops/gemm/config.hpp")
        self.accepts('#include "ops/elementwise/elementwise.hpp"\n', "src/ops/gemm/gemm.cpp")
        self.rejects('#include "reference/gemm.hpp"\n', "tools and tests", "src/ops/gemm/gemm.cpp")
        self.accepts('#include "ckl/tensor.hpp"\n#include <vector>\n', "include/ckl/gemm.hpp")
        self.accepts('#include "host/launch.hpp"\n#include "ops/gemm/params.hpp"\n#include <cuda_runtime_api.h>\n',
                     "src/ops/gemm/gemm.cpp")
        self.accepts('#include "device/mainloop.cuh"\n#include <cute/tensor.hpp>\n', "src/ops/gemm/kernel.cuh")

    def test_no_sources(self):
        with tempfile.TemporaryDirectory() as root:
            done = subprocess.run([sys.executable, LINT, root], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no sources", done.stderr)

    def test_this_tree(self):
        done = subprocess.run([sys.executable, LINT], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
