#pragma once

#include "isa/binder.hpp"

// The parts of arithmetic.
namespace emu::isa {

enum class FloatOperation {
  add,
  subtract,
  multiply,
  fma,
  divide,
  reciprocal,
  root,
  minimum,
  maximum,
  absolute,
  negate
};

/// Floating point of all types (arithmetic_float.cpp).
bool bind_float_arithmetic(Binder& b, FloatOperation operation);
void register_float_arithmetic(Registry& registry);  // fma, rcp, sqrt, ex2, ..., copysign, testp
void register_comparison(Registry& registry);        // comparison.cpp: setp, set, selp, slct

}  // namespace emu::isa
