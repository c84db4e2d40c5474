#pragma once

/// @file
/// Everything that the library offers.

#include "ckl/cross_entropy.hpp"
#include "ckl/cross_entropy_backward.hpp"
#include "ckl/device.hpp"
#include "ckl/elementwise.hpp"
#include "ckl/elementwise_module.hpp"
#include "ckl/error.hpp"
#include "ckl/gemm.hpp"
#include "ckl/gemm_module.hpp"
#include "ckl/module.hpp"
#include "ckl/norm.hpp"
#include "ckl/norm_backward.hpp"
#include "ckl/reduce.hpp"
#include "ckl/reduce_module.hpp"
#include "ckl/operand.hpp"
#include "ckl/softmax.hpp"
#include "ckl/softmax_backward.hpp"
#include "ckl/tensor.hpp"
#include "ckl/tuning.hpp"
#include "ckl/version.hpp"
#include "ckl/workspace.hpp"
