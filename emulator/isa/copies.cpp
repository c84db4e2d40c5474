#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <optional>

#include "async/copy.hpp"
#include "isa/checks.hpp"
#include "isa/copies.hpp"
#include "isa/dispatch.hpp"
#include "isa/memory.hpp"
#include "isa/synchronize.hpp"

// PTX ISA 9.7.9.25: asynchronous copies. Early, they take effect when they are issued; late, a load lands when nothing else
// can go on, and a store reads and writes when its thread waits for it.
namespace emu::isa {

namespace {

using async::Coordinates;
using machine::BulkStore;
using machine::Cluster;
using machine::Cta;
using machine::FaultKind;
using machine::SharedLocation;
using ptx::Operand;
using ptx::OperandKind;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

/// The list of such an instruction: its operands in the order of this enumeration, none where it has none.
enum Part : U32 { target, source, size, barrier, multicast, coordinates };

enum Flags : U32 {
  to_shared = 1,
  is_reduction = 2,
  from_shared = 8,
  rank_shift = 4,
  operation_shift = 8,
  type_shift = 12,
  has_multicast = 1 << 16
};

/// An operand that is an address: a register with an offset that is added when the instruction is executed.
struct Address {
  const Decoded& in;
  Context& c;
  U64 operator()(Part part, int lane) const {
    const Source& from = c.program->lists[in.list_first + part];
    return in.flags >> 20 & 1u << part ? read<U64>(c.source(from), lane) : read<U32>(c.source(from), lane);
  }
  U32 word(U32 part, int lane) const { return read<U32>(c.source(c.program->lists[in.list_first + part]), lane); }
};

/// Does what a store reads and writes, now or when its thread waits for it. `footprint` is what it reads of the CTA's memory.
template <class Read, class Write> void store(Context& c, const Decoded& in, int lane, U32 cta,
                                              const async::Footprint& footprint, Read&& read_source,
                                              Write&& write_target) {
  BulkStore bulk;
  bulk.lane = static_cast<U32>(lane);
  bulk.group = c.warp->bulk_groups[static_cast<std::size_t>(lane)];
  if (c.checker) bulk.epoch = c.checker->bulk_store(site_of(c, in), static_cast<U32>(lane), cta, footprint);
  bulk.read = std::forward<Read>(read_source);
  bulk.write = std::forward<Write>(write_target);
  if (!c.grid->options.late_stores) bulk.finish();
  c.warp->bulk_stores.push_back(std::move(bulk));
}

/// A footprint to fill, kept by the thread.
async::Footprint& fresh_footprint() {
  thread_local async::Footprint footprint;
  footprint.clear();
  return footprint;
}

// ---- Tensor copies ----

/// The tensor map at a generic address; kept, since the same one is used again and again.
const TensorMap& tensor_map_at(Context& c, int lane, U64 address) {
  const std::byte* blob =
      machine::place_of(c, Window::generic, lane, address, tensor_map_bytes, tensor_map_alignment).pointer;
  machine::TensorMapCache& cache = c.cluster->tensor_maps;
  if (const TensorMap* known = cache.find(blob)) return *known;
  TensorMap map;
  std::string reason;
  if (!decode(blob, map, &reason))
    machine::fail(FaultKind::illegal_instruction, "what lies at {:#x} is no tensor map: {}", address, reason);
  return cache.keep(blob, map);
}

void check(const std::optional<std::string>& violation) {
  if (violation) machine::fail(FaultKind::illegal_instruction, "{}", *violation);
}

Coordinates coordinates_of(const Address& address, const Decoded& in, int lane) {
  Coordinates at{};
  const U32 rank = in.flags >> rank_shift & 7;
  for (U32 i = 0; i < rank; ++i) at[i] = static_cast<std::int32_t>(address.word(coordinates + i, lane));
  return at;
}

/// cp.async.bulk.tensor from global to shared memory, of one CTA or of several.
void load_tensor(Context& c, const Decoded& in, int lane) {
  const Address address{in, c};
  const TensorMap& map = tensor_map_at(c, lane, address(source, lane));
  const Coordinates at = coordinates_of(address, in, lane);
  const SharedLocation to = locate(c, address(target, lane), 16), bar = locate(c, address(barrier, lane), 8);
  const U32 bytes = async::box_bytes(map);
  const auto one = [&](Cta& cta, Cta& barrier_cta) {
    check(async::find_violation(map, in.flags >> rank_shift & 7, to.offset, static_cast<U32>(cta.shared.size())));
    const SharedLocation signal{&barrier_cta, bar.offset};
    Cluster* cluster = c.cluster;
    const check::Site site = site_of(c, in);
    Cta* target_cta = &cta;
    const U32 offset = to.offset;
    check::Time phase = 0;
    if (c.checker) {
      async::Footprint& footprint = fresh_footprint();
      async::tensor_load_footprint(map, offset, footprint);
      phase = c.checker->copy_to_shared(site_of(c, in), cta.rank, footprint, machine::shared_address_of(signal));
    }
    land(c, in, signal, phase, bytes, [=] {
      machine::AsyncGlobal global(*cluster, site);
      async::tensor_load(map, at, target_cta->shared, offset, global);
    });
  };
  if (!(in.flags & has_multicast)) return one(*to.cta, *bar.cta);
  const U32 mask = address.word(multicast, lane) & 0xffff;
  if (mask >> c.cluster->ctas.size())
    machine::fail(FaultKind::illegal_instruction, "the multicast mask {:#06x} names CTAs beyond the cluster's {}", mask,
                  c.cluster->ctas.size());
  for (U32 rest = mask; rest; rest &= rest - 1) {
    Cta& cta = c.cluster->ctas[static_cast<std::size_t>(std::countr_zero(rest))];
    if (cta.live_warps == 0)
      machine::fail(FaultKind::hazard, "a multicast goes to CTA {} of the cluster, which has exited", cta.rank);
    one(cta, cta);
  }
}

/// cp.async.bulk.tensor and cp.reduce.async.bulk.tensor from shared to global memory.
void store_tensor(Context& c, const Decoded& in, int lane) {
  const Address address{in, c};
  const TensorMap map = tensor_map_at(c, lane, address(target, lane));
  const Coordinates at = coordinates_of(address, in, lane);
  const SharedLocation from = locate(c, address(source, lane), 16);
  const auto operation = static_cast<async::ReduceOperation>(in.flags >> operation_shift & 15);
  const bool reduces = in.flags & is_reduction;
  check(async::find_violation(map, in.flags >> rank_shift & 7, from.offset, static_cast<U32>(from.cta->shared.size())));
  if (reduces) check(async::find_reduction_violation(map, operation));
  auto box = std::make_shared<std::vector<std::byte>>(async::box_bytes(map));
  Cluster* cluster = c.cluster;
  const check::Site site = site_of(c, in);
  async::Footprint& footprint = fresh_footprint();
  if (c.checker) async::tensor_store_footprint(map, at, from.offset, footprint);
  store(
      c, in, lane, from.cta->rank, footprint,
      [=] { async::tensor_gather(map, from.cta->shared, from.offset, box->data()); },
      [=] {
        machine::AsyncGlobal global(*cluster, site);
        if (reduces)
          async::tensor_reduce(map, at, box->data(), operation, global);
        else
          async::tensor_scatter(map, at, box->data(), global);
      });
}

// ---- Bulk copies ----

void copy_bulk(Context& c, const Decoded& in, int lane) {
  const Address address{in, c};
  const U64 from = address(source, lane), to = address(target, lane), bytes = address.word(size, lane);
  check(async::find_bulk_violation(from, to, bytes));
  const bool reduces = in.flags & is_reduction;
  const auto operation = static_cast<async::ReduceOperation>(in.flags >> operation_shift & 15);
  const auto type = static_cast<async::ReduceType>(in.flags >> type_shift & 15);
  Cluster* cluster = c.cluster;
  const check::Site site = site_of(c, in);
  if (!(in.flags & to_shared)) {  // shared to global memory
    const SharedLocation place = locate(c, from, 16);
    const std::span<std::byte> shared = bytes_at(place, bytes);
    async::Footprint& footprint = fresh_footprint();
    async::append_range(footprint, place.offset, static_cast<U32>(bytes));
    auto data = std::make_shared<std::vector<std::byte>>(bytes);
    if (reduces) check(async::find_bulk_reduction_violation(operation, type, true));
    store(
        c, in, lane, place.cta->rank, footprint, [=] { std::memcpy(data->data(), shared.data(), bytes); },
        [=] {
          machine::AsyncGlobal global(*cluster, site);
          if (reduces)
            async::bulk_reduce(*data, to, operation, type, global);
          else
            async::bulk_store(*data, to, global);
        });
    return;
  }
  const SharedLocation place = locate(c, to, 16), bar = locate(c, address(barrier, lane), 8);
  const auto into = [&](Cta& cta, Cta& barrier_cta) {
    const std::span<std::byte> shared = bytes_at({&cta, place.offset}, bytes);
    const SharedLocation signal{&barrier_cta, bar.offset};
    check::Time phase = 0;
    if (c.checker) {
      async::Footprint& footprint = fresh_footprint();
      async::append_range(footprint, place.offset, static_cast<U32>(bytes));
      phase = c.checker->copy_to_shared(site_of(c, in), cta.rank, footprint, machine::shared_address_of(signal));
    }
    if (!(in.flags & from_shared))
      return land(c, in, signal, phase, static_cast<U32>(bytes), [=] {
        machine::AsyncGlobal global(*cluster, site);
        async::bulk_load(from, shared, global);
      });
    // From the memory of a CTA to that of another.
    const SharedLocation source_place = locate(c, from, 16);
    const std::span<std::byte> source_bytes = bytes_at(source_place, bytes);
    if (c.checker) {
      async::Footprint& footprint = fresh_footprint();
      async::append_range(footprint, source_place.offset, static_cast<U32>(bytes));
      c.checker->copy_from_shared(site_of(c, in), source_place.cta->rank, footprint,
                                  machine::shared_address_of(signal));
    }
    land(c, in, signal, phase, static_cast<U32>(bytes), [=] {
      if (reduces)
        async::reduce(operation, type, shared.data(), source_bytes.data(), bytes);
      else
        std::memmove(shared.data(), source_bytes.data(), bytes);
    });
  };
  if (!(in.flags & has_multicast)) return into(*place.cta, *bar.cta);
  for (U32 rest = address.word(multicast, lane) & 0xffff; rest; rest &= rest - 1) {
    const auto rank = static_cast<std::size_t>(std::countr_zero(rest));
    if (rank >= c.cluster->ctas.size())
      machine::fail(FaultKind::illegal_instruction, "the multicast mask names CTA {}", rank);
    into(c.cluster->ctas[rank], c.cluster->ctas[rank]);
  }
}

template <void (*each)(Context&, const Decoded&, int)> Next for_each_lane(Context& c, const Decoded& in) {
  for (U32 rest = c.mask; rest; rest &= rest - 1) each(c, in, std::countr_zero(rest));
  return Next::next;
}

// ---- Groups of stores ----

Next commit(Context& c, const Decoded&) {
  for (U32 rest = c.mask; rest; rest &= rest - 1)
    ++c.warp->bulk_groups[static_cast<std::size_t>(std::countr_zero(rest))];
  return Next::next;
}

/// Waits until at most `immediate` of the thread's groups are pending; `flags`: until they have been read.
Next wait_group(Context& c, const Decoded& in) {
  auto& stores = c.warp->bulk_stores;
  const auto is_waited_for = [&](const BulkStore& store) {
    const U32 committed = c.warp->bulk_groups[store.lane];
    const auto left = static_cast<U32>(std::min<std::int64_t>(in.immediate, committed));
    return c.mask >> store.lane & 1 && store.group < committed - left;
  };
  for (BulkStore& store : stores) {
    if (!is_waited_for(store)) continue;
    store.finish_reading();
    if (!in.flags) store.finish();
    if (c.checker) c.checker->completed(site_of(c, in), store.epoch);
  }
  std::erase_if(stores, [&](const BulkStore& store) { return is_waited_for(store) && !store.write; });
  return Next::next;
}

// ---- Decoding ----

/// Appends an address without its brackets.
void list_address(Binder& b, const Operand& operand, Part part) {
  if (operand.kind != OperandKind::address) b.refuse("an address is expected");
  const bool wide = operand.has_register_base() ? ptx::bits_of(b.function.registers[operand.index].type) == 64 : true;
  if (operand.has_register_base()) {
    if (operand.value != 0) b.refuse("an offset in the address of a copy is not modelled");
    Operand base = operand;
    base.kind = OperandKind::reg;
    base.first = base.count = 0;
    b.list_sources(base, wide ? Type::b64 : Type::b32);
  } else {
    Operand base = operand;
    base.kind = operand.symbol == ptx::SymbolKind::none ? OperandKind::integer : OperandKind::symbol;
    base.first = base.count = 0;
    b.list_sources(base, Type::b64);
  }
  if (wide) b.out.flags |= 1u << (20 + part);
}

void list_nothing(Binder& b) {
  Operand none;
  none.kind = OperandKind::sink;
  b.list_sources(none, Type::b32);
}

std::optional<U32> reduction_in(const Binder& b) {
  const int operation = b.which({"add", "min", "max", "inc", "dec", "and", "or", "xor"});
  if (operation < 0) return std::nullopt;
  return static_cast<U32>(operation);
}

std::optional<async::ReduceType> reduce_type(Type type) {
  using async::ReduceType;
  switch (type) {
    case Type::u32: return ReduceType::u32;
    case Type::s32: return ReduceType::s32;
    case Type::u64: return ReduceType::u64;
    case Type::s64: return ReduceType::s64;
    case Type::f16: return ReduceType::f16;
    case Type::bf16: return ReduceType::bf16;
    case Type::f32: return ReduceType::f32;
    case Type::f64: return ReduceType::f64;
    case Type::b32: return ReduceType::b32;
    case Type::b64: return ReduceType::b64;
    default: return std::nullopt;
  }
}

/// The spaces of the opcode are the target's, then the source's.
struct Spaces {
  std::string_view target, source;
};
Spaces spaces_of(const Binder& b) {
  const auto is_space = [](std::string_view part) { return part == "global" || part.starts_with("shared"); };
  Spaces spaces;
  spaces.target = b.find_part(is_space);
  spaces.source =
      b.find_part([&](std::string_view part) { return is_space(part) && part.data() > spaces.target.data(); });
  return spaces;
}

/// cp.async.bulk.tensor.Nd and cp.reduce.async.bulk.tensor.Nd.
bool bind_tensor_copy(Binder& b, bool reduces) {
  const int rank = b.which({"1d", "2d", "3d", "4d", "5d"}) + 1;
  if (rank == 0 || b.which({"im2col", "im2col::w", "tile::gather4"}) >= 0) return false;
  const bool to_global = spaces_of(b).target == "global";
  const Operand& map = b.operand(to_global ? 0 : 1);
  const auto inside = b.elements(map);
  if (inside.size() != 1 || inside[0].kind != OperandKind::vector || inside[0].count != static_cast<U32>(rank))
    return false;
  b.out.flags = static_cast<U32>(rank) << rank_shift | (to_global ? 0u : to_shared);
  if (reduces) {
    const auto operation = reduction_in(b);
    if (!operation || !to_global) return false;
    b.out.flags |= is_reduction | *operation << operation_shift;
  }
  b.begin_list();
  list_address(b, b.operand(0), target);
  list_address(b, b.operand(1), source);
  list_nothing(b);
  if (to_global) {
    list_nothing(b);
    list_nothing(b);
  } else {
    list_address(b, b.operand(2), barrier);
    if (b.has("multicast::cluster")) {
      b.out.flags |= has_multicast;
      b.list_sources(b.operand(3), Type::b16);
    } else {
      list_nothing(b);
    }
  }
  b.list_sources(inside[0], Type::s32);
  return b.handle(to_global ? for_each_lane<store_tensor> : for_each_lane<load_tensor>);
}

bool bind_bulk_copy(Binder& b, bool reduces) {
  const Spaces spaces = spaces_of(b);
  const bool to_global = spaces.target == "global";
  if (!to_global) b.out.flags |= to_shared;
  if (!to_global && spaces.source != "global") b.out.flags |= from_shared;
  if (b.has("cp_mask")) return false;
  if (reduces) {
    const auto operation = reduction_in(b);
    const auto type = reduce_type(b.type());
    if (!operation || !type) return false;
    b.out.flags |= is_reduction | *operation << operation_shift | static_cast<U32>(*type) << type_shift;
  }
  b.begin_list();
  list_address(b, b.operand(0), target);
  list_address(b, b.operand(1), source);
  b.list_sources(b.operand(2), Type::u32);
  if (to_global) {
    list_nothing(b);
  } else {
    list_address(b, b.operand(3), barrier);
    if (b.has("multicast::cluster")) {
      b.out.flags |= has_multicast;
      b.list_sources(b.operand(4), Type::b16);
    }
  }
  return b.handle(for_each_lane<copy_bulk>);
}

Next nothing(Context&, const Decoded&) { return Next::next; }

bool bind_cp(Binder& b) {
  const bool reduces = b.has("reduce");
  if (!b.has("async")) return false;
  if (!b.has("bulk")) return !reduces && bind_small_copy(b);
  if (b.has("commit_group")) return b.handle(commit);
  if (b.has("wait_group")) {
    b.out.immediate = b.immediate_of(0);
    b.out.flags = b.has("read");
    return b.handle(wait_group);
  }
  if (b.has("prefetch")) {  // a hint
    b.has("global");
    b.has("tensor");
    b.which({"1d", "2d", "3d", "4d", "5d"});
    return b.handle(nothing);
  }
  return b.has("tensor") ? bind_tensor_copy(b, reduces) : bind_bulk_copy(b, reduces);
}

}  // namespace

void register_copies(Registry& registry) { registry.add("cp", bind_cp); }

}  // namespace emu::isa
