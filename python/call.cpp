#include "call.hpp"

#include <utility>

#include <cuda_runtime_api.h>

namespace ckl::python {
namespace {

constexpr const char* versioned_capsule = "dltensor_versioned";
constexpr const char* unversioned_capsule = "dltensor";
constexpr const char* exchange_api_capsule = "dlpack_exchange_api";

std::string text(const std::string& part) { return part; }
std::string text(std::int64_t part) { return std::to_string(part); }

/// The parts, one after another.
template <class... Parts> std::string sentence(const Parts&... parts) { return (text(parts) + ...); }

template <class... Parts> [[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, sentence(parts...));
}

/// Throws invalid_argument with the sentence of `parts`, which is only made then, unless `condition` holds.
template <class... Parts> void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(ErrorCode::invalid_argument, parts...);
}

template <class... Parts> [[noreturn]] void fail_type(const Parts&... parts) {
  throw nb::type_error(sentence(parts...).c_str());
}

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it is reported here, so the next call should not report it again
  fail(ErrorCode::cuda, what, " failed: ", cudaGetErrorString(status));
}

std::string type_of(nb::handle object) { return nb::type_name(object.type()).c_str(); }

/// An attribute's name, made once: these are looked up in every call.
template <const char* Text> nb::handle attribute() {
  static PyObject* const name = PyUnicode_InternFromString(Text);
  return name;
}
constexpr char exchange_api_attribute[] = "__dlpack_c_exchange_api__";
constexpr char dlpack_attribute[] = "__dlpack__";

/// object.name, or null.
template <const char* Name> nb::object find(nb::handle object) {
  PyObject* value = PyObject_GetAttr(object.ptr(), attribute<Name>().ptr());
  if (!value) PyErr_Clear();
  return nb::steal(value);
}

/// What the framework of the object offers to callers in C, or null.
const dlpack::ExchangeApi* exchange_api_of(nb::handle object) {
  const nb::object capsule = find<exchange_api_attribute>(object.type());
  if (!capsule.is_valid() || !PyCapsule_IsValid(capsule.ptr(), exchange_api_capsule)) return nullptr;
  auto* api = static_cast<const dlpack::ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), exchange_api_capsule));
  while (api && api->version.major != dlpack::major_version) api = api->previous;
  return api;
}

/// Keeps a tensor that a framework has handed over, until the capsule goes.
nb::object keep(dlpack::VersionedTensor* tensor) {
  return nb::steal(PyCapsule_New(tensor, versioned_capsule, [](PyObject* capsule) {
    auto* held = static_cast<dlpack::VersionedTensor*>(PyCapsule_GetPointer(capsule, versioned_capsule));
    if (held && held->deleter) held->deleter(held);
  }));
}

void require_writable(const char* name, std::uint64_t flags) {
  require(!(flags & dlpack::read_only), name, " must be writable, but is read-only");
}

/// What a framework says on why it has no memory. It is raised when we are back: the framework may be written in Python itself.
struct Failure {
  std::string kind, message;

  static void set(void* self, const char* kind, const char* message) { *static_cast<Failure*>(self) = {kind, message}; }
  [[noreturn]] void raise() const {
    PyErr_SetString(kind == "MemoryError" ? PyExc_MemoryError : PyExc_RuntimeError, message.c_str());
    throw nb::python_error();
  }
};

struct KnownType {
  dlpack::TypeCode code;
  int bits;
  DType dtype;
};

constexpr KnownType known_types[] = {
    {dlpack::TypeCode::floating, 64, DType::f64},       {dlpack::TypeCode::floating, 32, DType::f32},
    {dlpack::TypeCode::floating, 16, DType::f16},       {dlpack::TypeCode::bfloat, 16, DType::bf16},
    {dlpack::TypeCode::float8_e4m3fn, 8, DType::e4m3},  {dlpack::TypeCode::float8_e5m2, 8, DType::e5m2},
    {dlpack::TypeCode::signed_integer, 64, DType::i64}, {dlpack::TypeCode::signed_integer, 32, DType::i32},
    {dlpack::TypeCode::signed_integer, 8, DType::i8},   {dlpack::TypeCode::boolean, 8, DType::b8},
};

DType dtype_of(const char* name, const dlpack::DataType& type) {
  for (const KnownType& known : known_types)
    if (type.code == known.code && type.bits == known.bits && type.lanes == 1) return known.dtype;
  fail(ErrorCode::unsupported, name, " must be of a dtype that the library has, but is of DLPack's type code ",
       int(type.code), " with ", type.bits, " bits and ", type.lanes, " lanes");
}

dlpack::DataType dlpack_type_of(DType dtype) {
  for (const KnownType& known : known_types)
    if (known.dtype == dtype) return {known.code, std::uint8_t(known.bits), 1};
  fail(ErrorCode::invalid_argument, "dtype is none of the library's");
}

Tensor tensor_of(const char* name, const dlpack::Tensor& x) {
  require(x.rank <= max_rank, name, " must have at most ", max_rank, " dimensions, but has ", x.rank);
  Tensor tensor;
  tensor.data = x.data ? static_cast<char*>(x.data) + x.byte_offset : nullptr;
  tensor.dtype = dtype_of(name, x.dtype);
  tensor.rank = x.rank;
  std::int64_t dense = 1;
  for (int dim = x.rank - 1; dim >= 0; --dim) {
    tensor.sizes[std::size_t(dim)] = x.sizes[dim];
    tensor.strides[std::size_t(dim)] = x.strides ? x.strides[dim] : dense;
    dense *= x.sizes[dim];
  }
  return tensor;
}

bool is_host(dlpack::DeviceType type) {
  return type == dlpack::DeviceType::cpu || type == dlpack::DeviceType::cuda_host;
}

/// Whether kernels may use this host memory under its own address.
bool reached_by_devices(const void* address) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, address) != cudaSuccess) {
    cudaGetLastError();  // no device, no driver: then nothing reaches it
    return false;
  }
  return attributes.type != cudaMemoryTypeUnregistered && attributes.devicePointer == address;
}

/// The handle of a stream that is not None.
Stream stream_of(nb::handle stream) {
  nb::object handle = nb::borrow(stream);
  if (nb::hasattr(stream, "__cuda_stream__"))
    handle = stream.attr("__cuda_stream__")()[1];  // (version of the protocol, handle)
  else if (nb::hasattr(stream, "cuda_stream"))
    handle = stream.attr("cuda_stream");
  else if (nb::hasattr(stream, "ptr"))
    handle = stream.attr("ptr");
  if (!PyLong_Check(handle.ptr()) || PyBool_Check(handle.ptr()))
    fail_type("stream must be None, an integer or a framework's stream, but is of type ", type_of(stream));
  return static_cast<Stream>(PyLong_AsVoidPtr(handle.ptr()));
}

/// The dtype of a name such as "f32"; of None, `otherwise`.
DType dtype_or(nb::handle dtype, DType otherwise) {
  if (dtype.is_none()) return otherwise;
  if (!nb::isinstance<nb::str>(dtype))
    fail_type("dtype must be None or a name such as \"bf16\", but is of type ", type_of(dtype));
  return named("dtype", nb::borrow<nb::str>(dtype).c_str(),
               {DType::f64, DType::f32, DType::f16, DType::bf16, DType::e4m3, DType::e5m2, DType::i64, DType::i32,
                DType::i8, DType::b8});
}

}  // namespace

Call::OnDevice::OnDevice(int device) {
  if (device < 0) return;
  int current = 0;
  check(cudaGetDevice(&current), "cudaGetDevice");
  if (current == device) return;
  check(cudaSetDevice(device), "cudaSetDevice");
  former_ = current;
}

Call::OnDevice::~OnDevice() {
  if (former_ >= 0) cudaSetDevice(former_);
}

Tensor Call::view(const char* name, nb::handle object, bool written) {
  const dlpack::Tensor borrowed = borrow(name, object, written);
  if (!first_.is_valid()) {
    first_ = object;
    first_device_ = borrowed.device;
  }
  locate(name, borrowed);
  return tensor_of(name, borrowed);
}

dlpack::Tensor Call::borrow(const char* name, nb::handle object, bool written) {
  if (const dlpack::ExchangeApi* api = exchange_api_of(object)) return borrow_by_api(*api, name, object, written);
  return borrow_by_capsule(name, object, written);
}

dlpack::Tensor Call::borrow_by_api(const dlpack::ExchangeApi& api, const char* name, nb::handle object, bool written) {
  if (!api_) api_ = &api;
  dlpack::Tensor borrowed{};
  if (api.borrow) {
    if (api.borrow(object.ptr(), &borrowed) != 0) throw nb::python_error();
    return borrowed;
  }
  dlpack::VersionedTensor* owned = nullptr;
  if (api.own(object.ptr(), &owned) != 0) throw nb::python_error();
  kept_.push_back(keep(owned));
  if (written) require_writable(name, owned->flags);
  return owned->tensor;
}

dlpack::Tensor Call::borrow_by_capsule(const char* name, nb::handle object, bool written) {
  const nb::object make_capsule = find<dlpack_attribute>(object);
  if (!make_capsule.is_valid())
    fail_type(name, " must be a tensor that has __dlpack__, but is of type ", type_of(object));

  // The caller's stream is the one that counts, so the producer is told (by -1) not to order anything; in host memory there is no stream.
  const auto device = nb::cast<nb::tuple>(object.attr("__dlpack_device__")());
  const bool host = is_host(dlpack::DeviceType(nb::cast<int>(device[0])));
  const nb::object order = host ? nb::none() : nb::object(nb::int_(-1));
  nb::object capsule;
  try {
    capsule =
        make_capsule(nb::arg("stream") = order, nb::arg("max_version") = nb::make_tuple(dlpack::major_version, 0));
  } catch (const nb::python_error& error) {
    if (!error.matches(PyExc_TypeError)) throw;
    capsule = make_capsule(nb::arg("stream") = order);  // made before there were versions
  }
  if (!host && !without_stream_.is_valid()) without_stream_ = object;
  kept_.push_back(capsule);

  if (PyCapsule_IsValid(capsule.ptr(), versioned_capsule)) {
    auto* tensor = static_cast<dlpack::VersionedTensor*>(PyCapsule_GetPointer(capsule.ptr(), versioned_capsule));
    require(tensor->version.major == dlpack::major_version, name, " must be of DLPack's version 1, but is of version ",
            tensor->version.major);
    if (written) require_writable(name, tensor->flags);
    return tensor->tensor;
  }
  if (!PyCapsule_IsValid(capsule.ptr(), unversioned_capsule))
    fail_type(name, ".__dlpack__() must give a DLPack capsule, but gave a ", type_of(capsule));
  return static_cast<dlpack::UnversionedTensor*>(PyCapsule_GetPointer(capsule.ptr(), unversioned_capsule))->tensor;
}

void Call::locate(const char* name, const dlpack::Tensor& tensor) {
  const auto [type, index] = tensor.device;
  if (is_host(type)) {
    require(!tensor.data || reached_by_devices(tensor.data), name,
            " must be on a CUDA device, but is in host memory that is neither pinned nor managed");
    return;
  }
  require(type == dlpack::DeviceType::cuda || type == dlpack::DeviceType::cuda_managed, name,
          " must be on a CUDA device, but is on a device of DLPack's type ", int(type));
  require(device_ < 0 || device_ == index, name, " must be on CUDA device ", device_,
          " as the tensors before it, but is on device ", index);
  device_ = index;
}

Tensor Call::output_or_new(const char* name, nb::object& object, DType dtype, Sizes sizes) {
  if (!object.is_none()) return output(name, object);
  if (!first_.is_valid()) fail_type(name, " must be given where there is no input");
  if (!api_)
    fail_type(name, " must be given, since ", type_of(first_),
              " makes no tensors for others (it lacks __dlpack_c_exchange_api__)");

  dlpack::Tensor prototype{};
  prototype.device = first_device_;
  prototype.rank = std::int32_t(sizes.size());
  prototype.dtype = dlpack_type_of(dtype);
  prototype.sizes = sizes.data();
  dlpack::VersionedTensor* made = nullptr;
  Failure failure;
  if (api_->allocate(&prototype, &made, &failure, &Failure::set) != 0) failure.raise();
  void* result = nullptr;
  if (api_->to_object(made, &result) != 0) throw nb::python_error();
  object = nb::steal(static_cast<PyObject*>(result));
  return output(name, object);
}

Tensor Call::output_or_new(const char* name, nb::object& object, nb::handle dtype, DType otherwise, Sizes sizes) {
  if (object.is_none()) return output_or_new(name, object, dtype_or(dtype, otherwise), std::move(sizes));
  const Tensor given = output(name, object);
  const DType wanted = dtype_or(dtype, given.dtype);
  require(wanted == given.dtype, "dtype must be that of the given ", name, ", ", ckl::name(given.dtype), ", but is ",
          ckl::name(wanted));
  return given;
}

Stream Call::find_stream() const {
  if (!stream_.is_none()) return stream_of(stream_);
  if (without_stream_.is_valid())
    fail_type("stream must be given, since ", type_of(without_stream_),
              " does not tell its current one (it lacks __dlpack_c_exchange_api__)");
  if (!api_ || device_ < 0) return nullptr;
  void* stream = nullptr;
  if (api_->current_stream(dlpack::DeviceType::cuda, device_, &stream) != 0) throw nb::python_error();
  return static_cast<Stream>(stream);
}

}  // namespace ckl::python
