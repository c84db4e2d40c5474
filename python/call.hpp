#pragma once

// What every function of the module does around the library's one-line call: tensors in, stream and device, tensors out.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nanobind/nanobind.h>

#include "ckl/device.hpp"
#include "ckl/error.hpp"
#include "ckl/tensor.hpp"
#include "dlpack.hpp"

namespace ckl::python {

namespace nb = nanobind;

/// Extents of a tensor, outermost first.
using Sizes = std::vector<std::int64_t>;

inline Sizes sizes_of(const Tensor& x) { return {x.sizes.begin(), x.sizes.begin() + x.rank}; }

/// The one of `values` that the library calls `text`; `argument` is what a message calls it.
/// @throws Error (invalid_argument), listing the names that there are.
template <class Enum> Enum named(const char* argument, std::string_view text, std::initializer_list<Enum> values) {
  std::string names;
  for (Enum value : values) {
    if (text == name(value)) return value;
    names += (names.empty() ? "" : ", ") + std::string(name(value));
  }
  throw Error(ErrorCode::invalid_argument,
              std::string(argument) + " must be one of " + names + ", but is \"" + std::string(text) + "\"");
}

/// One call: the tensors that it borrows, where they lie, and the stream that it runs on.
class Call {
 public:
  /// @param stream  None: the current stream of the tensors' framework; else a handle as an integer, or a framework's stream
  ///                (what has `__cuda_stream__`, PyTorch's `cuda_stream` or CuPy's `ptr`).
  explicit Call(nb::handle stream) : stream_(stream) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// A tensor that is read.
  Tensor input(const char* name, nb::handle object) { return view(name, object, false); }
  /// The same; Tensor() of None.
  Tensor optional_input(const char* name, nb::handle object) {
    return object.is_none() ? Tensor() : input(name, object);
  }
  /// A tensor that is written.
  Tensor output(const char* name, nb::handle object) { return view(name, object, true); }
  /// The same; Tensor() of None.
  Tensor optional_output(const char* name, nb::handle object) {
    return object.is_none() ? Tensor() : output(name, object);
  }
  /// The same; None is replaced by a new tensor, of the first input's framework and device.
  Tensor output_or_new(const char* name, nb::object& object, DType dtype, Sizes sizes);
  /// The same; the new tensor is of the dtype that the caller names, or of `otherwise` if that is None.
  /// @throws Error (invalid_argument) for a given output of another dtype than the one that is named.
  Tensor output_or_new(const char* name, nb::object& object, nb::handle dtype, DType otherwise, Sizes sizes);

  /// Calls launch(stream) with the tensors' device as the current one, and without the interpreter's lock.
  template <class Launch> void run(const Launch& launch) const {
    const Stream stream = find_stream();
    const nb::gil_scoped_release unlocked;
    const OnDevice on_device(device_);
    launch(stream);
  }

 private:
  /// Makes a device the current one (-1: leaves it as it is), and the former one again in the end.
  class OnDevice {
   public:
    explicit OnDevice(int device);
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;
    ~OnDevice();

   private:
    int former_ = -1;
  };

  Tensor view(const char* name, nb::handle object, bool written);
  dlpack::Tensor borrow(const char* name, nb::handle object, bool written);
  dlpack::Tensor borrow_by_api(const dlpack::ExchangeApi& api, const char* name, nb::handle object, bool written);
  dlpack::Tensor borrow_by_capsule(const char* name, nb::handle object, bool written);
  void locate(const char* name, const dlpack::Tensor& tensor);
  Stream find_stream() const;

  nb::handle stream_;
  nb::handle first_;  // the first tensor, and where it lies
  dlpack::Device first_device_{};
  const dlpack::ExchangeApi* api_ = nullptr;  // of the first tensor that has one
  nb::handle without_stream_;                 // a tensor on a device whose framework does not tell its stream
  int device_ = -1;               // CUDA's index; -1: the tensors are host memory, and the current device will do
  std::vector<nb::object> kept_;  // what must live until the call has returned
};

}  // namespace ckl::python
