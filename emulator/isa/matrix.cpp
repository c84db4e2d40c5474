#include <algorithm>
#include <bit>
#include <fmt/format.h>

#include "async/matrix_fragments.hpp"
#include "async/wgmma.hpp"
#include "isa/checks.hpp"
#include "isa/dispatch.hpp"
#include "isa/memory.hpp"
#include "isa/synchronize.hpp"

// PTX ISA 9.7.14 and 9.7.15: ldmatrix, stmatrix, movmatrix, wgmma.
namespace emu::isa {

namespace {

using async::WgmmaKind;
using machine::Cta;
using machine::FaultKind;
using machine::Wait;
using machine::Warp;
using machine::Warpgroup;
using ptx::OperandKind;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

// ---- ldmatrix, stmatrix ----

enum MatrixFlags : U32 { transposed = 1 };

/// The rows of the matrices; `writes` is for the checker.
async::MatrixRows rows_at(Context& c, const Decoded& in, bool writes) {
  const std::byte* base = c.source(in.s[0]);
  const U32 mask = async::address_lanes(in.list_size);
  async::MatrixRows rows{};
  U32 offsets[lanes];
  Cta* cta = c.cta;
  for_lanes(mask, [&](int lane) {
    const U64 address =
        (in.address_bytes == 8 ? read<U64>(base, lane) : read<U32>(base, lane)) + static_cast<U64>(in.immediate);
    const auto at = machine::locate_shared(*c.cta, machine::shared_address(Window::generic, address), 16, 16);
    rows[static_cast<std::size_t>(lane)] = at.cta->shared.data() + at.offset;
    offsets[lane] = at.offset;
    cta = at.cta;
  });
  if (c.checker && writes) c.checker->write_lanes(site_of(c, in), cta->rank, mask, offsets, 16);
  if (c.checker && !writes) c.checker->read_lanes(site_of(c, in), cta->rank, mask, offsets, 16);
  return rows;
}

Next load_matrix(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  async::ConstMatrixRows rows;
  std::ranges::copy(rows_at(c, in, false), rows.begin());
  U32* registers[4];
  for (U32 i = 0; i < in.list_size; ++i)
    registers[i] = reinterpret_cast<U32*>(c.target(c.program->lists[in.list_first + i].offset));
  async::load_matrices(rows, in.list_size, in.flags & transposed, {registers, in.list_size});
  return Next::next;
}

Next store_matrix(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  const async::MatrixRows rows = rows_at(c, in, true);
  const U32* registers[4];
  for (U32 i = 0; i < in.list_size; ++i)
    registers[i] = reinterpret_cast<const U32*>(c.source(c.program->lists[in.list_first + i]));
  async::store_matrices(rows, in.list_size, in.flags & transposed, {registers, in.list_size});
  return Next::next;
}

bool bind_matrix(Binder& b, bool loads) {
  if (!b.has("m8n8") || b.type() != Type::b16) return false;
  const int count = b.which({"x1", "x2", "x4"});
  if (count < 0) return false;
  b.begin_list();
  const ptx::Operand& registers = b.operand(loads ? 0 : 1);
  if (loads)
    b.list_results(registers);
  else
    b.list_sources(registers, Type::b32);
  if (window_of(b) != Window::generic && window_of(b) != Window::shared_cta) return false;
  b.address(0, loads ? 1 : 0);
  b.out.flags = b.has("trans") ? transposed : 0u;
  if (b.out.list_size != 1u << count) return false;
  return b.handle(loads ? load_matrix : store_matrix);
}

/// movmatrix: the transposed matrix; lane l holds elements 2 * (l % 4) and the next of row l / 4.
Next move_matrix(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  if (c.mask != full_mask) machine::fail(FaultKind::hazard, "movmatrix needs all 32 lanes of the warp");
  std::uint16_t elements[8][8];
  const std::byte* a = c.source(in.s[0]);
  for (int lane = 0; lane < lanes; ++lane)
    for (int i = 0; i < 2; ++i)
      elements[lane / 4][2 * (lane % 4) + i] = static_cast<std::uint16_t>(read<U32>(a, lane) >> 16 * i);
  for (int lane = 0; lane < lanes; ++lane) {
    const int row = lane / 4, column = 2 * (lane % 4);
    write<U32>(c.target(in.d), lane, elements[column][row] | U32{elements[column + 1][row]} << 16);
  }
  return Next::next;
}

bool bind_move_matrix(Binder& b) {
  if (!b.has("m8n8") || !b.has("trans") || b.type() != Type::b16) return false;
  b.result(0);
  b.source(0, 1, Type::b32);
  return b.handle(move_matrix);
}

// ---- wgmma ----

Warpgroup& warpgroup_of(Context& c) { return c.cta->warpgroups[c.warp->number / 4]; }

Next issue(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  if (c.mask != full_mask || c.cta->warps.size() < (c.warp->number / 4 + 1) * 4) [[unlikely]]
    machine::fail(FaultKind::illegal_instruction, "wgmma needs four warps of 32 threads");
  const machine::WgmmaSite& site = c.program->wgmmas[in.target];
  async::WgmmaStep step;
  if (site.kind.a_in_registers)
    step.a_offsets = site.a;
  else
    step.a = first_value<U64>(c, in.s[0]);
  step.b = first_value<U64>(c, in.s[1]);
  step.scale_d = c.predicate(in.s[2]) & 1;
  // Operands are the same in all four warps: the first one's count, and are checked.
  if (c.warp->number % 4 == 0)
    if (const auto violation = async::find_violation(site.kind, step, static_cast<U32>(c.cta->shared.size())))
      machine::fail(FaultKind::illegal_instruction, "{}", *violation);
  Warp& warp = *c.warp;
  warp.uncommitted.sites.push_back(&site);
  warp.uncommitted.steps.push_back(step);
  if (c.checker) {
    c.checker->wgmma_issue(site_of(c, in), warpgroup_of(c).group(warp.wgmma_groups).issue);
    if (const auto written = warp.unfenced.find(site.accumulator_slots, site.a_slots, in.where);
        written && (warp.in_flight.empty() || *written != in.where))
      c.checker->report(check::Hazard::missing_wgmma_fence, site_of(c, in), *written, [&] {
        return *written == in.where
                   ? std::string("executes a wgmma with no wgmma.fence before it")
                   : fmt::format("executes a wgmma whose registers were written at {}, with no wgmma.fence between",
                                 c.program->place(*written));
      });
    warp.in_flight.issue(warp.wgmma_groups, site.accumulator_slots, site.a_slots, in.where);
  }
  return Next::next;
}

/// All four warps have committed the group: what it reads is known to the checker from here on.
void check_group(Context& c, const Decoded& in, Warpgroup& warpgroup, const Warpgroup::Group& group, U64 number) {
  machine::for_runs(group.wgmmas, [&](const machine::WgmmaSite& site, std::span<const async::WgmmaStep> steps) {
    const check::Site where{site_of(c, in).warp, site.where};
    warpgroup.epochs[number % warpgroup.epochs.size()] =
        c.checker->wgmma(where, c.cta->rank, c.warp->number / 4, group.issue, async::footprint(site.kind, steps));
  });
}

/// Whether two warps have issued the same wgmmas: instructions, descriptors, and whether D is read.
bool are_same(const machine::PendingWgmmas& a, const machine::PendingWgmmas& b) {
  return a.sites == b.sites &&
         std::ranges::equal(a.steps, b.steps, [](const async::WgmmaStep& x, const async::WgmmaStep& y) {
           return x.a == y.a && x.b == y.b && x.scale_d == y.scale_d;
         });
}

Next commit(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  Warp& warp = *c.warp;
  Warpgroup& warpgroup = warpgroup_of(c);
  Warpgroup::Group& group = warpgroup.group(warp.wgmma_groups);
  if (group.warps == 0) group.wgmmas = warp.uncommitted;
  if (!are_same(group.wgmmas, warp.uncommitted)) {
    const std::string text = "commits other wgmmas, or with other operands, than the warps of its warpgroup before it";
    if (!c.checker) machine::fail(FaultKind::hazard, "{}", text);
    c.checker->report(check::Hazard::wgmma_mismatch, site_of(c, in), in.where, [&] { return text; });
  }
  ++group.warps;
  ++warp.wgmma_groups;
  warp.uncommitted.clear();
  if (group.warps < 4) return Next::next;
  if (c.checker) check_group(c, in, warpgroup, group, warp.wgmma_groups - 1);
  // Late: only as far as a warp waits for it already.
  U64 upto = warp.wgmma_groups;
  if (c.grid->options.late_mma) {
    upto = 0;
    for (std::size_t i = warp.number / 4 * 4, end = i + 4; i < end; ++i)
      for (const machine::Group& other : c.cta->warps[i].groups)
        if (other.wait == Wait::wgmma) upto = std::max(upto, other.value);
  }
  machine::run_wgmmas(*c.cta, warpgroup, upto);
  return Next::next;
}

/// The warp knows that its groups below `upto` are complete.
void retire(Context& c, const Decoded& in, const Warpgroup& warpgroup, U64 upto) {
  Warp& warp = *c.warp;
  warp.in_flight.retire(upto);
  c.checker->completed(site_of(c, in), warpgroup.epochs[(upto - 1) % warpgroup.epochs.size()]);
}

Next wait_group(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  const U64 committed = c.warp->wgmma_groups, pending = static_cast<U64>(in.immediate);
  if (committed <= pending) return Next::next;
  Warpgroup& warpgroup = warpgroup_of(c);
  machine::run_wgmmas(*c.cta, warpgroup, committed - pending);
  if (warpgroup.completed >= committed - pending) {
    if (c.checker) retire(c, in, warpgroup, committed - pending);
    return Next::next;
  }
  return wait_for(c, Wait::wgmma, 0, committed - pending);
}

Next fence(Context& c, const Decoded&) {
  if (!gather_warp(c)) return Next::block;
  c.warp->unfenced.fence();
  return Next::next;
}

std::optional<async::OperandType> operand_type(Type type) {
  using async::OperandType;
  switch (type) {
    case Type::f16: return OperandType::f16;
    case Type::bf16: return OperandType::bf16;
    case Type::tf32: return OperandType::tf32;
    case Type::e4m3: return OperandType::e4m3;
    case Type::e5m2: return OperandType::e5m2;
    case Type::s8: return OperandType::s8;
    case Type::u8: return OperandType::u8;
    default: return std::nullopt;
  }
}

/// m64nNkK: N.
std::uint16_t shape_n(const Binder& b) {
  const std::string_view shape = b.find_part([](std::string_view part) { return part.starts_with("m64n"); });
  std::uint16_t n = 0;
  for (std::size_t i = 4; i < shape.size() && shape[i] >= '0' && shape[i] <= '9'; ++i)
    n = static_cast<std::uint16_t>(n * 10 + (shape[i] - '0'));
  return n;
}

/// wgmma.mma_async d, a, b, scale-d, imm-scale-a, imm-scale-b, imm-trans-a, imm-trans-b.
bool bind_mma(Binder& b) {
  if (b.types().size() != 3 || b.has("sp")) return false;
  const Type d = b.types()[0];
  const auto a_type = operand_type(b.types()[1]), b_type = operand_type(b.types()[2]);
  if (!a_type || !b_type) return false;
  WgmmaKind kind;
  kind.a = *a_type;
  kind.b = *b_type;
  kind.d = d == Type::f16   ? async::AccumulatorType::f16
           : d == Type::s32 ? async::AccumulatorType::s32
                            : async::AccumulatorType::f32;
  kind.n = shape_n(b);
  kind.a_in_registers = b.operand(1).kind == OperandKind::vector;
  std::size_t operand = 3;
  b.begin_list();
  b.list_accumulators(b.operand(0));
  if (kind.a_in_registers)
    b.list_sources(b.operand(1), Type::b32);
  else
    b.source(0, 1, Type::b64);
  b.source(1, 2, Type::b64);
  b.source(2, operand++, Type::pred);
  const auto next = [&] { return operand < b.operand_count() ? b.immediate_of(operand++) : std::int64_t{0}; };
  if (kind.d != async::AccumulatorType::s32) {
    kind.negate_a = next() == -1;
    kind.negate_b = next() == -1;
    // Only what comes from shared memory has a transposition.
    if (!kind.a_in_registers) kind.a_mn_major = next() == 1;
    kind.b_mn_major = next() == 1;
  }
  if (operand != b.operand_count() && !(operand > b.operand_count())) return false;
  if (const auto violation = async::find_violation(kind)) b.refuse(*violation);
  if (b.out.list_size != kind.accumulator_registers() + (kind.a_in_registers ? WgmmaKind::a_registers : 0))
    b.refuse("the accumulators do not fit the shape");
  b.out.target = b.wgmma(kind);
  return b.handle(issue);
}

bool bind_wgmma(Binder& b) {
  if (b.has("mma_async")) return bind_mma(b);
  if (b.has("fence")) return b.handle(fence);
  if (b.has("commit_group")) return b.handle(commit);
  if (b.has("wait_group")) {
    b.out.immediate = b.immediate_of(0);
    return b.handle(wait_group);
  }
  return false;
}

}  // namespace

void register_matrix(Registry& registry) {
  registry.add("ldmatrix", [](Binder& b) { return bind_matrix(b, true); });
  registry.add("stmatrix", [](Binder& b) { return bind_matrix(b, false); });
  registry.add("movmatrix", bind_move_matrix);
  registry.add("wgmma", bind_wgmma);
}

}  // namespace emu::isa
