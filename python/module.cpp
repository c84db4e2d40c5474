// The module ckl._ckl: the library's one-line calls for tensors of any framework that speaks DLPack.

#include <nanobind/nanobind.h>

#include "bindings.hpp"
#include "ckl/device.hpp"
#include "ckl/error.hpp"
#include "ckl/version.hpp"
#include "ckl/workspace.hpp"

namespace nb = nanobind;

namespace {

constexpr const char* error_doc =
    "What the library throws. The message names the argument, the requirement and the actual value; nothing was "
    "launched or written.\n\n"
    "code: \"invalid_argument\", \"unsupported\", \"out_of_memory\" or \"cuda\".";

void bind_error(nb::module_& module) {
  PyObject* type = PyErr_NewExceptionWithDoc("ckl.Error", error_doc, PyExc_RuntimeError, nullptr);
  if (!type) throw nb::python_error();
  module.attr("Error") = nb::steal(type);
  nb::register_exception_translator(
      [](const std::exception_ptr& exception, void* error_type) {
        try {
          std::rethrow_exception(exception);
        } catch (const ckl::Error& error) {
          const nb::handle raised(static_cast<PyObject*>(error_type));
          nb::object instance = raised(error.what());
          instance.attr("code") = ckl::name(error.code());
          PyErr_SetObject(raised.ptr(), instance.ptr());
        }
      },
      type);
}

}  // namespace

NB_MODULE(_ckl, module) {
  module.attr("__version__") = ckl::version();
  bind_error(module);
  module.def("supported", &ckl::supported, nb::arg("device") = 0,
             "Whether the library's kernels run on this CUDA device: compute capability 9.0. Never raises.");
  module.def(
      "release_workspaces", &ckl::release_workspaces, nb::arg("device") = -1, nb::call_guard<nb::gil_scoped_release>(),
      "Gives back the device memory that calls have kept as their workspaces on this CUDA device (-1: the current "
      "one); later calls take new memory. What they have launched there has ended (torch.cuda.synchronize()), and "
      "no other thread makes one meanwhile.");
  ckl::python::bind_elementwise(module);
  ckl::python::bind_gemm(module);
  ckl::python::bind_reduce(module);
  ckl::python::bind_softmax(module);
  ckl::python::bind_norm(module);
  ckl::python::bind_cross_entropy(module);
}
