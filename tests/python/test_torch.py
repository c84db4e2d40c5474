"""The module beside PyTorch: shared memory, streams, graphs, results made by PyTorch. Needs PyTorch and a Hopper GPU.

  test_torch.py [torch|ckl]     what is imported first; both orders must work, since both bring a CUDA runtime
"""
import sys
import unittest

FIRST = sys.argv.pop(1) if sys.argv[1:] in (["torch"], ["ckl"]) else "torch"
if FIRST == "ckl":
    import ckl
try:
    import torch
except ImportError:
    print("SKIPPED: no PyTorch")
    sys.exit(77)
import ckl
from device_main import main


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, device="cuda", dtype=dtype)


class Torch(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(6)

    def test_shared_memory(self):
        x, y = randn(1000, 33), randn(1000, 33)
        out = torch.empty_like(x)
        self.assertIs(ckl.add(x, y, out), out)
        self.assertTrue(torch.equal(out, x + y))

    def test_result(self):
        x = randn(8, 3, dtype=torch.bfloat16)
        y = ckl.add(x, x[:1])
        self.assertIsInstance(y, torch.Tensor)
        self.assertEqual((y.shape, y.dtype, y.device), (x.shape, x.dtype, x.device))
        self.assertTrue(torch.equal(y, x + x[:1]))

    def test_every_dtype(self):
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.int32, torch.bool):
            with self.subTest(dtype):
                x = torch.tensor([0, 1, 1, 0], device="cuda").to(dtype)
                y = ckl.copy(x)
                self.assertEqual(y.dtype, dtype)
                self.assertTrue(torch.equal(y.to(torch.float32), x.to(torch.float32)))

    def test_gemm(self):
        a, b, bias = randn(129, 257, dtype=torch.bfloat16), randn(65, 257, dtype=torch.bfloat16).T, randn(65)
        y = ckl.gemm(a, b, column_bias=bias, activation="relu", dtype="f32")
        torch.testing.assert_close(y, torch.relu(a.double() @ b.double() + bias).float(), rtol=1e-4, atol=1e-4)

    def test_current_stream(self):
        stream = torch.cuda.Stream()
        x = randn(1 << 24)
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)  # about 10 ms, after which x is 1: another stream would not wait for it
            x.fill_(1)
            y = ckl.add(x, x)
        stream.synchronize()
        self.assertTrue(bool((y == 2).all()))
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)
            x.fill_(3)
        ckl.add(x, x, y, stream=stream)
        stream.synchronize()
        self.assertTrue(bool((y == 6).all()))

    def test_graph(self):
        x, y = randn(4096), torch.zeros(4096, device="cuda")
        a = randn(64, 64, dtype=torch.float16)
        ckl.add(x, y, y), ckl.gemm(a, a)  # loads the kernels
        y.zero_()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            ckl.add(x, y, y)
            product = ckl.gemm(a, a)
        for _ in range(3):
            graph.replay()
        torch.testing.assert_close(y, 3 * x)
        torch.testing.assert_close(product, a @ a)

    def test_host_memory(self):
        x = torch.zeros(4)
        with self.assertRaisesRegex(ckl.Error, "must be on a CUDA device, but is in host memory"):
            ckl.add(x, x)


if __name__ == "__main__":
    main()
