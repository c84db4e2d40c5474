#pragma once

/// @file
/// Reductions that must be refused: by reduce_problem() on the host, and by reduce() on the device, which must leave its output
/// untouched.

#include <cmath>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "bad_gemm.hpp"
#include "ckl/reduce.hpp"

namespace ckl::test {

struct BadReduce {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;
  std::function<void(ReduceArguments&)> spoil;
};

inline void PrintTo(const BadReduce& bad, std::ostream* out) { *out << bad.name; }

/// The sums of the rows of x (40, 48), f32: nothing is wrong with it. x and y have 4096 elements.
inline ReduceArguments good_reduce(void* x, void* y) {
  return {ReduceOp::sum, Tensor::contiguous(x, DType::f32, {40, 48}), Tensor::contiguous(y, DType::f32, {40}), {1}};
}

inline std::vector<BadReduce> bad_reduces() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  return {
      {"x_null", invalid, {"x ", "null"}, [](auto& r) { r.x.data = nullptr; }},
      {"y_null", invalid, {"y ", "null"}, [](auto& r) { r.y.data = nullptr; }},
      {"x_rank_too_large", invalid, {"x.rank", "5", "6"}, [](auto& r) { r.x.rank = 6; }},
      {"x_size_negative", invalid, {"x.sizes[0]", "-1"}, [](auto& r) { r.x.sizes[0] = -1; }},
      {"y_rank", invalid, {"y.rank", "1", "2", "0"}, [](auto& r) { r.y.rank = 0; }},
      {"y_size", invalid, {"y.sizes[0]", "40", "41"}, [](auto& r) { r.y.sizes[0] = 41; }},
      {"y_keeps_a_wrong_size",
       invalid,
       {"y.sizes[1]", "1", "48"},
       [](auto& r) {
         r.y = Tensor::contiguous(r.y.data, DType::f32, {40, 48});
       }},
      {"axis_too_large", invalid, {"axes[0]", "-2 to 1", "2"}, [](auto& r) { r.axes = {2}; }},
      {"axis_too_small",
       invalid,
       {"axes[1]", "-2 to 1", "-3"},
       [](auto& r) {
         r.axes = {1, -3};
       }},
      {"axis_twice",
       invalid,
       {"axes[1]", "twice", "-1"},
       [](auto& r) {
         r.axes = {1, -1};
       }},
      {"correction_negative", invalid, {"correction", "0 or more", "-1"}, [](auto& r) { r.correction = -1; }},
      {"correction_nan", invalid, {"correction", "finite", "nan"}, [](auto& r) { r.correction = std::nan(""); }},
      {"no_op", invalid, {"op ", "99"}, [](auto& r) { r.op = ReduceOp(99); }},
      {"max_of_none", invalid, {"x ", "elements", "max", "0"}, [](auto& r) { r.op = ReduceOp::max, r.x.sizes[1] = 0; }},
      {"x_b8", unsupported, {"x.dtype", "b8"}, [](auto& r) { r.x.dtype = DType::b8; }},
      {"mean_of_integers",
       unsupported,
       {"x.dtype", "mean", "i32"},
       [](auto& r) { r.op = ReduceOp::mean, r.x.dtype = r.y.dtype = DType::i32; }},
      {"y_integer", unsupported, {"y.dtype", "f32", "i32"}, [](auto& r) { r.y.dtype = DType::i32; }},
      {"y_float", unsupported, {"y.dtype", "i64 or i32", "f32"}, [](auto& r) { r.x.dtype = DType::i32; }},
      {"argmax_f32", unsupported, {"y.dtype", "i64 or i32", "argmax", "f32"}, [](auto& r) { r.op = ReduceOp::argmax; }},
      {"any_f32", unsupported, {"y.dtype", "b8", "any", "f32"}, [](auto& r) { r.op = ReduceOp::any; }},
      {"y_overlaps_itself", invalid, {"y ", "overlap"}, [](auto& r) { r.y.strides[0] = 0; }},
      {"y_in_x", invalid, {"y ", "overlap x"}, [](auto& r) { r.y.data = moved(r.x.data, 64); }},
      {"y_is_x", invalid, {"y ", "overlap x"}, [](auto& r) { r.y.data = r.x.data; }},
      {"x_between_elements", invalid, {"x ", "multiple", "4"}, [](auto& r) { r.x.data = moved(r.x.data, 2); }},
      {"y_between_elements", invalid, {"y ", "multiple", "4"}, [](auto& r) { r.y.data = moved(r.y.data, 1); }},
  };
}

}  // namespace ckl::test
