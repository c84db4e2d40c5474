#pragma once

#include <nanobind/nanobind.h>

namespace ckl::python {

/// Add an operator's functions to the module.
void bind_cross_entropy(nanobind::module_& module);
void bind_elementwise(nanobind::module_& module);
void bind_gemm(nanobind::module_& module);
void bind_norm(nanobind::module_& module);
void bind_reduce(nanobind::module_& module);
void bind_softmax(nanobind::module_& module);

}  // namespace ckl::python
