"""A tensor framework in a hundred lines of ctypes: arrays on the device that speak DLPack, so that tests need neither NumPy nor PyTorch.

`Array` has `__dlpack__` alone. `FastArray` has DLPack's exchange API in C, as PyTorch has: it makes new arrays, and tells its current
stream, `FastArray.stream`.
"""
import ctypes
import itertools
import math
import struct
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

CPU, CUDA = 1, 2
DTYPES = {  # type code, bits, the format of struct
    "f64": (2, 64, "d"), "f32": (2, 32, "f"), "f16": (2, 16, "e"), "bf16": (4, 16, None),
    "i64": (0, 64, "q"), "i32": (0, 32, "i"), "u8": (1, 8, "B"), "b8": (6, 8, "?"),
    "e4m3": (10, 8, "B"), "e5m2": (12, 8, "B"),  # packed as bits
}


class Runtime:
    """The CUDA runtime that the module has loaded, or the emulator in its place."""

    def __init__(self):
        self.library = ctypes.CDLL("libcudart.so.13")
        self.library.cudaGetErrorString.restype = c_char_p

    def __getattr__(self, name):
        def call(*arguments):
            status = getattr(self.library, name)(*arguments)
            if status:
                raise RuntimeError(f"{name}: {self.library.cudaGetErrorString(status).decode()}")
        return call


cuda = Runtime()


class DLDevice(Structure):
    _fields_ = [("type", c_int32), ("index", c_int32)]


class DLDataType(Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class DLTensor(Structure):
    _fields_ = [("data", c_void_p), ("device", DLDevice), ("rank", c_int32), ("dtype", DLDataType), ("sizes", POINTER(c_int64)),
                ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]


class Managed(Structure):
    _fields_ = [("tensor", DLTensor), ("context", c_void_p), ("deleter", c_void_p)]


class Version(Structure):
    _fields_ = [("major", c_uint32), ("minor", c_uint32)]


class ManagedVersioned(Structure):
    _fields_ = [("version", Version), ("context", c_void_p), ("deleter", c_void_p), ("flags", c_uint64), ("tensor", DLTensor)]


make_capsule = ctypes.pythonapi.PyCapsule_New
make_capsule.restype, make_capsule.argtypes = ctypes.py_object, [c_void_p, c_char_p, c_void_p]


def pack(dtype, values):
    if dtype != "bf16":
        return struct.pack(f"{len(values)}{DTYPES[dtype][2]}", *values)
    words = struct.unpack(f"{len(values)}I", struct.pack(f"{len(values)}f", *values))
    return struct.pack(f"{len(values)}H", *((word + 0x7fff + (word >> 16 & 1)) >> 16 for word in words))


def decode_fp8(bits, fraction_bits):
    """The value of a number of fp8 that is no infinity or NaN."""
    exponent, fraction = bits >> fraction_bits & (127 >> fraction_bits), bits & ((1 << fraction_bits) - 1)
    bias = (127 >> fraction_bits) // 2
    magnitude = math.ldexp(fraction + (1 << fraction_bits if exponent else 0), max(exponent, 1) - bias - fraction_bits)
    return -magnitude if bits & 128 else magnitude


def unpack(dtype, data, count):
    if dtype in ("e4m3", "e5m2"):
        return [decode_fp8(bits, 3 if dtype == "e4m3" else 2) for bits in data[:count]]
    if dtype != "bf16":
        return list(struct.unpack(f"{count}{DTYPES[dtype][2]}", data))
    return list(struct.unpack(f"{count}f", struct.pack(f"{count}I", *(word << 16 for word in struct.unpack(f"{count}H", data)))))


def dense_strides(shape):
    return [math.prod(shape[dim + 1:]) for dim in range(len(shape))]


class Memory:
    def __init__(self, size, pinned):
        self.address, self.pinned = c_void_p(), pinned
        if pinned:
            cuda.cudaHostAlloc(byref(self.address), c_size_t(size), 0)
        else:
            cuda.cudaMalloc(byref(self.address), c_size_t(size))

    def __del__(self):
        (cuda.cudaFreeHost if self.pinned else cuda.cudaFree)(self.address)


class Array:
    """`values`, in C order, in a tensor of `shape`; `read_only`, `versioned` and `without_strides` (they mean C order) say what
    `__dlpack__` tells."""

    def __init__(self, values, shape=None, dtype="f32", pinned=False, read_only=False, versioned=True, without_strides=False):
        self.shape = [len(values)] if shape is None else list(shape)
        self.strides, self.offset, self.dtype = dense_strides(self.shape), 0, dtype
        self.read_only, self.versioned, self.without_strides = read_only, versioned, without_strides
        self.device = CPU if pinned else CUDA, 0
        data = pack(dtype, values)
        self.elements = len(values)
        self.memory = Memory(max(len(data), 256), pinned)
        cuda.cudaMemcpy(self.memory.address, data, c_size_t(len(data)), 4)

    @classmethod
    def full(cls, shape, value=0, dtype="f32", **options):
        return cls([value] * math.prod(shape), shape, dtype, **options)

    def view(self, shape, strides, offset=0):
        """The same memory; strides and offset in elements."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, shape=list(shape), strides=list(strides), offset=offset)
        return other

    def transposed(self):
        return self.view(self.shape[::-1], self.strides[::-1], self.offset)

    def values(self):
        """In C order, once the device has finished."""
        bits = DTYPES[self.dtype][1]
        data = ctypes.create_string_buffer(self.elements * bits // 8)
        cuda.cudaDeviceSynchronize()
        cuda.cudaMemcpy(data, self.memory.address, c_size_t(len(data)), 4)
        everything = unpack(self.dtype, data.raw, self.elements)
        places = itertools.product(*(range(size) for size in self.shape))
        return [everything[self.offset + sum(i * stride for i, stride in zip(place, self.strides))] for place in places]

    def fill_in(self, tensor):
        code, bits, _ = DTYPES[self.dtype]
        # They live as long as this object does.
        self.c_sizes, self.c_strides = ((c_int64 * len(x))(*x) for x in (self.shape, self.strides))
        tensor.data, tensor.device, tensor.rank = self.memory.address, DLDevice(*self.device), len(self.shape)
        tensor.dtype, tensor.byte_offset = DLDataType(code, bits, 1), self.offset * bits // 8
        tensor.sizes, tensor.strides = (ctypes.cast(x, POINTER(c_int64)) for x in (self.c_sizes, self.c_strides))
        if self.without_strides:
            tensor.strides = None

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None, max_version=None):
        # A consumer that orders its own work says so by -1, and host memory has no stream.
        assert stream == (-1 if self.device[0] == CUDA else None), stream
        if self.versioned and max_version:
            self.held, name = ManagedVersioned(version=Version(1, 1), flags=int(self.read_only)), b"dltensor_versioned"
        else:
            self.held, name = Managed(), b"dltensor"
        self.fill_in(self.held.tensor)
        return make_capsule(ctypes.addressof(self.held), name, None)


class OldArray(Array):
    """Of a framework that knows nothing of versions."""

    def __dlpack__(self, *, stream=None):
        return super().__dlpack__(stream=stream)


SetError = CFUNCTYPE(None, c_void_p, c_char_p, c_char_p)


@CFUNCTYPE(c_int, POINTER(DLTensor), POINTER(c_void_p), c_void_p, SetError)
def allocate(prototype, out, context, set_error):
    shape = [prototype.contents.sizes[dim] for dim in range(prototype.contents.rank)]
    wanted = (prototype.contents.dtype.code, prototype.contents.dtype.bits)
    dtype = next((name for name, (code, bits, _) in DTYPES.items() if (code, bits) == wanted), None)
    if dtype is None or FastArray.out_of_memory:
        set_error(context, b"MemoryError", b"this framework has no memory")
        return -1
    array = FastArray.full(shape, 0, dtype)
    FastArray.handed_over = array
    array.held = ManagedVersioned(version=Version(1, 3))
    array.fill_in(array.held.tensor)
    out[0] = ctypes.addressof(array.held)
    return 0


@CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))
def own(address, out):
    array = ctypes.cast(address, ctypes.py_object).value
    array.held = ManagedVersioned(version=Version(1, 3), flags=int(array.read_only))
    array.fill_in(array.held.tensor)
    out[0] = ctypes.addressof(array.held)
    return 0


@CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))
def to_object(tensor, out):
    array, FastArray.handed_over = FastArray.handed_over, None
    assert tensor == ctypes.addressof(array.held)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(array))
    out[0] = id(array)
    return 0


@CFUNCTYPE(c_int, c_void_p, POINTER(DLTensor))
def borrow(address, out):
    ctypes.cast(address, ctypes.py_object).value.fill_in(out.contents)
    return 0


@CFUNCTYPE(c_int, c_int32, c_int32, POINTER(c_void_p))
def current_stream(device_type, device, out):
    assert (device_type, device) == (CUDA, 0)
    out[0] = FastArray.stream
    return 0


class ExchangeApi(Structure):
    _fields_ = [("version", Version), ("previous", c_void_p), ("allocate", type(allocate)), ("own", type(own)),
                ("to_object", type(to_object)), ("borrow", type(borrow)), ("current_stream", type(current_stream))]


def exchange_api(borrow=borrow):
    """A capsule, and the table that must live as long."""
    api = ExchangeApi(Version(1, 3), None, allocate, own, to_object, borrow, current_stream)
    return make_capsule(ctypes.addressof(api), b"dlpack_exchange_api", None), api


class FastArray(Array):
    stream = 0
    out_of_memory = False
    handed_over = None
    __dlpack_c_exchange_api__, table = exchange_api()

    def __dlpack__(self, **_):
        raise AssertionError("the exchange API comes first")


class OwningArray(FastArray):
    """Of a framework that cannot lend: it hands over."""
    __dlpack_c_exchange_api__, table = exchange_api(borrow=type(borrow)())


class FutureArray(FastArray):
    """Of a framework whose newest interface is unknown (here, it has nothing), beside which it has the one that is known."""
    newest = ExchangeApi(version=Version(2, 0), previous=ctypes.addressof(FastArray.table))
    __dlpack_c_exchange_api__ = make_capsule(ctypes.addressof(newest), b"dlpack_exchange_api", None)
