#include "fuzz/operand_fields.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace ckl::bench {
namespace {

const std::vector<std::string> order_words = {"c", "reversed", "rotated"};

Dimensions strides_of(const FuzzCase& one, const std::string& x, const Dimensions& sizes) {
  std::vector<std::size_t> order(sizes.size());  // outermost first
  std::iota(order.begin(), order.end(), 0);
  if (one.word(x + "_order") == "reversed") std::reverse(order.begin(), order.end());
  if (one.word(x + "_order") == "rotated" && !order.empty()) std::rotate(order.begin(), order.begin() + 1, order.end());
  Dimensions strides(sizes.size());
  std::int64_t step = 1 + one[x + "_gap"];
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = step;
    step *= sizes[order[i]] + (i + 1 == order.size() ? one[x + "_pad"] : 0);
  }
  for (std::size_t i = 0; i < strides.size(); ++i)
    if (one[x + "_backward"] >> i & 1) strides[i] = -strides[i];
  return strides;
}

}  // namespace

void draw_shape(FuzzCase& one, reference::Draw& draw, bool small, std::int64_t least) {
  const std::int64_t rank = std::max(least, draw.below(max_rank + 1));
  one.add("rank", rank, 1, max_rank);
  const std::int64_t longest = draw.below(max_rank);
  for (int i = 0; i < max_rank; ++i) {
    const std::int64_t most = i == longest ? (small ? 2000 : 100000) : rank > 3 ? 4 : 12;
    one.add(fmt::format("s{}", i), draw.one_in(20) ? 0 : 1 + draw.below(most), 1);
  }
}

void draw_operand(FuzzCase& one, reference::Draw& draw, const std::string& x, bool is_input) {
  const std::int64_t all = (1 << max_rank) - 1;  // bit i: dimension i
  if (is_input) one.add(x + "_broadcast", draw.one_in(2) ? 0 : draw.below(all + 1), 0, all);
  if (is_input) one.add(x + "_lacks", draw.one_in(6) ? draw.below(max_rank + 1) : 0, 0, max_rank);
  one.add(x + "_backward", draw.one_in(6) ? draw.below(all + 1) : 0, 0, all);
  one.add(x + "_order", draw.one_in(2) ? 0 : draw.below(3), order_words);
  one.add(x + "_pad", draw.of<std::int64_t>({0, 0, 0, 8, 1, draw.below(20)}), 0);
  one.add(x + "_gap", draw.one_in(8) ? 1 + draw.below(2) : 0, 0);
  one.add(x + "_offset", draw.of<std::int64_t>({0, 0, 8, 4, 1, draw.below(16)}), 0);
}

Dimensions sizes_of(const FuzzCase& one) {
  Dimensions sizes;
  for (std::int64_t i = max_rank - one["rank"]; i < max_rank; ++i) sizes.push_back(one[fmt::format("s{}", i)]);
  return sizes;
}

Dimensions input_sizes(const FuzzCase& one, const std::string& x) {
  Dimensions sizes = sizes_of(one);
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (one[x + "_broadcast"] >> i & 1) sizes[i] = 1;
  sizes.erase(sizes.begin(), sizes.begin() + std::min<std::int64_t>(one[x + "_lacks"], std::int64_t(sizes.size())));
  return sizes;
}

GuardedTensor make_operand(const FuzzCase& one, const std::string& x, DType dtype, const Dimensions& sizes) {
  return {dtype, sizes, strides_of(one, x, sizes), one[x + "_offset"]};
}

void keep_operands_plain(FuzzCase& one) {
  for (std::size_t i = 0; i < one.fields().size(); ++i) {
    const Field& field = one.fields()[i];
    if (field.name == "rank") one.set(i, 2);
    if (field.name == "s3" || field.name == "s4") one.set(i, std::max<std::int64_t>(field.value, 2));
    for (const char* way : {"_broadcast", "_lacks", "_backward", "_gap", "_pad"})
      if (field.name.ends_with(way)) one.set(i, 0);
  }
}

std::string complaint_about(const std::string& name, const GuardedTensor& x) {
  const std::string complaint = x.difference();
  return complaint.empty() ? "" : fmt::format("of {}, {}", name, complaint);
}

}  // namespace ckl::bench
