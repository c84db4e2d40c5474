"""The module itself: how tensors get in and out, streams, errors. Of the operators, add and gemm.

Needs a Hopper GPU, or the emulator in the place of the CUDA runtime; `test_module.py WithoutDevice` needs neither.
"""
import ctypes
import sys
import unittest

import ckl

from arrays import CPU, Array, FastArray, FutureArray, Managed, OldArray, OwningArray, cuda, make_capsule
from device_main import main


class HostMemory:
    """A tensor in memory that no device reaches, as NumPy's are."""

    def __init__(self):
        self.data = (ctypes.c_float * 4)()

    def __dlpack_device__(self):
        return CPU, 0

    def __dlpack__(self, *, stream=None, max_version=None):
        self.held, self.sizes = Managed(), (ctypes.c_int64 * 1)(4)
        tensor = self.held.tensor
        tensor.data, tensor.rank, tensor.device.type = ctypes.addressof(self.data), 1, CPU
        tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes = 2, 32, 1
        tensor.sizes = ctypes.cast(self.sizes, ctypes.POINTER(ctypes.c_int64))
        return make_capsule(ctypes.addressof(self.held), b"dltensor", None)


class WithoutDevice(unittest.TestCase):
    def test_version(self):
        self.assertRegex(ckl.__version__, r"^\d+\.\d+\.\d+$")

    def test_every_function_is_documented(self):
        for name in ckl.__all__:
            if name != "Stream":  # no object of its own
                self.assertTrue(getattr(ckl, name).__doc__, name)

    def test_host_memory_is_refused(self):
        x = HostMemory()
        with self.assertRaisesRegex(ckl.Error, r"in\[0\] must be on a CUDA device, but is in host memory that is neither") as caught:
            ckl.add(x, x, x)
        self.assertEqual(caught.exception.code, "invalid_argument")

    def test_what_is_no_tensor(self):
        with self.assertRaisesRegex(TypeError, "a must be a tensor that has __dlpack__, but is of type list"):
            ckl.gemm([1, 2], [3, 4])

    def test_no_such_device(self):
        self.assertFalse(ckl.supported(1000))
        with self.assertRaisesRegex(ckl.Error, "device"):
            ckl.release_workspaces(1000)

    def test_error_is_a_runtime_error(self):
        self.assertTrue(issubclass(ckl.Error, RuntimeError))


class Tensors(unittest.TestCase):
    def setUp(self):
        FastArray.stream, FastArray.out_of_memory = 0, False

    def test_every_way_in(self):
        for kind in (Array, OldArray, FastArray, OwningArray, FutureArray):
            with self.subTest(kind.__name__):
                x, y, out = kind([1, 2, 3]), kind([10, 20, 30]), kind.full([3])
                self.assertIs(ckl.add(x, y, out, stream=0), out)
                self.assertEqual(out.values(), [11, 22, 33])

    def test_unversioned(self):
        x, out = Array([1, 2], versioned=False), Array.full([2], versioned=False)
        ckl.add(x, x, out, stream=0)
        self.assertEqual(out.values(), [2, 4])

    def test_strides_and_offset(self):
        x = FastArray(range(12), [3, 4])
        out = ckl.add(x.view([2, 2], [8, 2], 1), x.view([2, 2], [0, 1]))  # columns 1 and 3 of rows 0 and 2; row 0 twice
        self.assertEqual(out.values(), [1 + 0, 3 + 1, 9 + 0, 11 + 1])

    def test_without_strides(self):
        x, out = Array(range(6), [2, 3], without_strides=True), Array.full([3, 2])
        ckl.copy(x, out.transposed(), stream=0)
        self.assertEqual(out.values(), [0, 3, 1, 4, 2, 5])

    def test_broadcast_and_scalar(self):
        out = ckl.add(FastArray([1, 2, 3], [3, 1]), FastArray([10, 20], [2]))
        self.assertEqual((out.shape, out.values()), ([3, 2], [11, 21, 12, 22, 13, 23]))
        self.assertEqual(ckl.add(FastArray([10, 20], [2]), FastArray([1, 2, 3], [3, 1])).values(), [11, 21, 12, 22, 13, 23])
        out = ckl.add(FastArray([1], []), FastArray([2], []))
        self.assertEqual((out.shape, out.values()), ([], [3]))

    def test_no_elements(self):
        out = ckl.add(FastArray([], [0, 3]), FastArray([], [0, 3]))
        self.assertEqual(out.shape, [0, 3])

    def test_dtypes(self):
        for dtype in ("f32", "f16", "bf16", "i64", "i32", "b8"):
            with self.subTest(dtype):
                out = ckl.add(FastArray([1, 0], dtype=dtype), FastArray([0, 0], dtype=dtype))
                self.assertEqual((out.dtype, out.values()), (dtype, [1, 0]))
        x = FastArray([1.5, -2])
        self.assertEqual(ckl.add(x, x, dtype="bf16").dtype, "bf16")
        with self.assertRaisesRegex(ckl.Error, r"out or dtype must be given where inputs differ in dtype, but in\[0\] is f32 and in\[1\] is i32"):
            ckl.add(x, FastArray([1, 2], dtype="i32"))
        self.assertEqual(ckl.add(x, FastArray([1, 2], dtype="i32"), dtype="f16").values(), [2.5, 0])
        with self.assertRaisesRegex(ckl.Error, 'dtype must be one of f64, f32, .*, but is "float"'):
            ckl.add(x, x, dtype="float")
        with self.assertRaisesRegex(ckl.Error, r"in\[0\] must be of a dtype that the library has, but is of DLPack's type code 1 with 8 bits") as caught:
            ckl.add(FastArray([1], dtype="u8"), x)
        self.assertEqual(caught.exception.code, "unsupported")

    def test_dtype_of_a_given_out(self):
        x, out = FastArray([1, 2]), FastArray.full([2], dtype="bf16")
        self.assertEqual(ckl.add(x, x, out, dtype="bf16").values(), [2, 4])
        with self.assertRaisesRegex(ckl.Error, r"dtype must be that of the given out\[0\], bf16, but is f32"):
            ckl.add(x, x, out, dtype="f32")

    def test_pinned_host_memory(self):
        x, out = Array([1, 2], pinned=True), Array.full([2], pinned=True)
        ckl.add(x, x, out)  # host memory has no stream that must be known
        self.assertEqual(out.values(), [2, 4])

    def test_numpy(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("no NumPy")
        memory = Array([1, 2, 3, 4], pinned=True)
        x = numpy.frombuffer((ctypes.c_float * 4).from_address(memory.memory.address.value), numpy.float32)
        ckl.add(x, x, x)
        cuda.cudaDeviceSynchronize()
        self.assertEqual(x.tolist(), [2, 4, 6, 8])
        with self.assertRaisesRegex(ckl.Error, "neither pinned nor managed"):
            ckl.add(x, numpy.zeros(4, numpy.float32), x)
        x.flags.writeable = False
        with self.assertRaisesRegex(ckl.Error, r"out\[0\] must be writable, but is read-only"):
            ckl.add(x, x, x)

    def test_read_only(self):
        x = Array([1, 2], read_only=True)
        for out in (x, OwningArray([1, 2], read_only=True)):
            with self.assertRaisesRegex(ckl.Error, r"out\[0\] must be writable, but is read-only"):
                ckl.add(x, x, out, stream=0)

    def test_too_many_dimensions(self):
        with self.assertRaisesRegex(ckl.Error, r"in\[1\] must have at most 5 dimensions, but has 6"):
            ckl.add(FastArray([1]), FastArray([1], [1] * 6))

    def test_another_device(self):
        x = FastArray([1])
        x.device = (2, 7)
        with self.assertRaisesRegex(ckl.Error, r"in\[1\] must be on CUDA device 0 as the tensors before it, but is on device 7"):
            ckl.add(FastArray([1]), x)
        x.device = (10, 0)
        with self.assertRaisesRegex(ckl.Error, r"in\[0\] must be on a CUDA device, but is on a device of DLPack's type 10"):
            ckl.add(x, x)

    def test_out_that_cannot_be_made(self):
        x = Array([1])
        with self.assertRaisesRegex(TypeError, r"out\[0\] must be given, since arrays.Array makes no tensors for others"):
            ckl.add(x, x, stream=0)
        FastArray.out_of_memory = True
        with self.assertRaisesRegex(MemoryError, "this framework has no memory"):
            ckl.add(FastArray([1]), FastArray([1]))

    def test_no_leaks(self):
        x, y = Array([1, 2]), FastArray([1, 2])
        counts = sys.getrefcount(x), sys.getrefcount(y)
        for _ in range(10):
            ckl.add(x, x, x, stream=0)
            self.assertEqual(sys.getrefcount(ckl.add(y, y)), 1 + (sys.getrefcount(object()) - 1))
        self.assertEqual((sys.getrefcount(x), sys.getrefcount(y)), counts)


class Streams(unittest.TestCase):
    def setUp(self):
        self.stream = ctypes.c_void_p()
        cuda.cudaStreamCreateWithFlags(ctypes.byref(self.stream), 1)

    def tearDown(self):
        FastArray.stream = 0
        cuda.cudaStreamDestroy(self.stream)

    def nodes_captured(self, work):
        """How many launches of work() went to self.stream: each becomes a node of a graph."""
        graph, count = ctypes.c_void_p(), ctypes.c_size_t()
        cuda.cudaStreamBeginCapture(self.stream, 2)
        try:
            work()
        finally:
            cuda.cudaStreamEndCapture(self.stream, ctypes.byref(graph))
        cuda.cudaGraphGetNodes(graph, None, ctypes.byref(count))
        cuda.cudaGraphDestroy(graph)
        return count.value

    def test_the_frameworks_current_one(self):
        x, out = FastArray([1, 2]), FastArray.full([2])
        ckl.add(x, x, out)  # on the default stream; loads the kernel
        FastArray.stream = self.stream.value
        self.assertEqual(self.nodes_captured(lambda: ckl.add(x, x, out)), 1)

    def test_the_callers(self):
        handle = self.stream.value
        protocol = type("Protocol", (), {"__cuda_stream__": lambda _: (0, handle)})()
        torch = type("Torch", (), {"cuda_stream": handle})()
        cupy = type("Cupy", (), {"ptr": handle})()
        for stream in (handle, protocol, torch, cupy):
            for kind in (Array, FastArray):
                x, out = kind([1, 2]), kind.full([2])
                self.assertEqual(self.nodes_captured(lambda: ckl.add(x, x, out, stream=stream)), 1)

    def test_unknown(self):
        x = Array([1, 2])
        with self.assertRaisesRegex(TypeError, "stream must be given, since arrays.Array does not tell its current one"):
            ckl.add(x, x, x)
        for stream in (True, "default", 1.5):
            with self.assertRaisesRegex(TypeError, "stream must be None, an integer or a framework's stream, but is of type "):
                ckl.add(x, x, x, stream=stream)


def matrix(rows, columns, dtype="bf16", factor=1):
    return FastArray([factor * ((3 * i + 5 * j) % 7 - 3) for i in range(rows) for j in range(columns)], [rows, columns], dtype)


def product(a, b):
    x, y, k = a.values(), b.values(), a.shape[1]
    n = b.shape[1]
    return [[sum(x[i * k + p] * y[p * n + j] for p in range(k)) for j in range(n)] for i in range(a.shape[0])]


class Gemm(unittest.TestCase):
    """Small whole numbers, which bf16 and f16 hold exactly."""

    def check(self, out, expected):
        self.assertEqual(out.values(), [value for row in expected for value in row])

    def test_layouts_and_dtypes(self):
        for dtype in ("bf16", "f16"):
            a, b = matrix(9, 16, dtype), matrix(16, 8, dtype)
            expected = product(a, b)
            out = ckl.gemm(a, b)
            self.assertEqual((out.shape, out.dtype), ([9, 8], dtype))
            self.check(out, expected)
            columns = FastArray([b.values()[i * 8 + j] for j in range(8) for i in range(16)], [8, 16], dtype).transposed()
            out = FastArray.full([8, 9], dtype="f32").transposed()
            self.assertIs(ckl.gemm(a, columns, out=out), out)
            self.check(out, expected)
        self.assertEqual(ckl.gemm(a, b, dtype="f32").dtype, "f32")

    def test_alpha_beta_c(self):
        a, b, c = matrix(8, 8), matrix(8, 8), matrix(8, 8, "f32")
        ab, rows = product(a, b), [c.values()[i * 8:i * 8 + 8] for i in range(8)]
        self.check(ckl.gemm(a, b, c, dtype="f32"), [[x + y for x, y in zip(*r)] for r in zip(ab, rows)])
        self.check(ckl.gemm(a, b, c, alpha=2, beta=-0.5, dtype="f32"), [[2 * x - 0.5 * y for x, y in zip(*r)] for r in zip(ab, rows)])
        self.check(ckl.gemm(a, b, c, c, beta=0), ab)

    def test_epilogue(self):
        a, b = matrix(8, 16), matrix(16, 8)
        vector = lambda *values: FastArray([values[i % len(values)] for i in range(8)])
        scalar = lambda value: FastArray([value], [])
        rows, columns, residual, aux = vector(1, -20), vector(3, 0, 7), matrix(8, 8, "f32"), FastArray.full([8, 8])
        z = [[2 * 3 * x + p + q for x, q in zip(row, columns.values())] for row, p in zip(product(a, b), rows.values())]
        out = ckl.gemm(a, b, a_scale=vector(2), b_scale=scalar(3), row_bias=rows, column_bias=columns, activation="relu",
                       residual=residual, d_scale=scalar(0.5), aux=aux, dtype="f32")
        r = residual.values()
        self.check(aux, z)
        self.check(out, [[0.5 * (max(x, 0) + r[i * 8 + j]) for j, x in enumerate(row)] for i, row in enumerate(z)])
        out = ckl.gemm(a, b, activation="relu", gated=True, dtype="f32", batch_invariant=True)
        self.check(out, [[max(row[j], 0) * row[j + 1] for j in range(0, 8, 2)] for row in product(a, b)])

    def test_errors(self):
        a, b = matrix(8, 16), matrix(16, 8)
        for message, call in {
            'activation must be one of none, relu, gelu, gelu_tanh, silu, sigmoid, but is "selu"': lambda: ckl.gemm(a, b, activation="selu"),
            "a.dtype must be bf16 or f16, but is f32": lambda: ckl.gemm(matrix(8, 16, "f32"), matrix(16, 8, "f32")),
            "a.rank must be 2, but is 0": lambda: ckl.gemm(FastArray([1], [], "bf16"), b),
            r"b.sizes\[0\] must be a.sizes\[1\], 16, but is 8": lambda: ckl.gemm(a, a),
        }.items():
            with self.assertRaisesRegex(ckl.Error, message):
                call()


if __name__ == "__main__":
    main()
