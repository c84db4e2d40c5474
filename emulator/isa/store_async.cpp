#include <bit>
#include <cstring>

#include "async/copy.hpp"
#include "isa/copies.hpp"
#include "isa/dispatch.hpp"

// PTX ISA 9.7.9.12 and 9.7.13.8: st.async and red.async, to the shared memory of a CTA of the cluster. They signal an mbarrier
// there. Through the generic proxy; a reduction is a relaxed atomic.
namespace emu::isa {

namespace {

using machine::SharedLocation;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

constexpr U32 is_store = ~0u;  // flags, else: a ReduceOperation, and a ReduceType from bit 8 on

U64 address_of(const Context& c, const Source& source, U32 bytes, int lane) {
  return bytes == 8 ? read<U64>(c.source(source), lane) : read<U32>(c.source(source), lane);
}

template <class T> Next store_async(Context& c, const Decoded& in) {
  const U32 bytes = static_cast<U32>(sizeof(T)) * in.vector;
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const SharedLocation to = locate(c, address_of(c, in.s[0], in.address_bytes, lane), bytes);
    const SharedLocation barrier = locate(c, address_of(c, in.s[1], in.address_bytes, lane), 8);
    if (barrier.cta != to.cta)
      machine::fail(machine::FaultKind::illegal_address,
                    "the mbarrier is in CTA {} of the cluster, the target in CTA {}", barrier.cta->rank, to.cta->rank);
    std::byte* target = bytes_at(to, bytes).data();
    std::array<T, 4> values;
    for (U32 i = 0; i < in.vector; ++i) values[i] = read<T>(c.source(c.program->lists[in.list_first + i]), lane);
    check::Time phase = 0;
    if (c.checker)
      phase = c.checker->store_async(site_of(c, in), machine::shared_address_of(to), bytes,
                                     machine::shared_address_of(barrier), in.flags != is_store);
    land(c, in, barrier, phase, bytes, [target, values, bytes, flags = in.flags] {
      if (flags == is_store)
        std::memcpy(target, values.data(), bytes);
      else
        async::reduce(static_cast<async::ReduceOperation>(flags & 0xff), static_cast<async::ReduceType>(flags >> 8),
                      target, reinterpret_cast<const std::byte*>(values.data()), bytes);
    });
  }
  return Next::next;
}

std::optional<async::ReduceType> reduce_type(Type type) {
  using async::ReduceType;
  switch (type) {
    case Type::u32: return ReduceType::u32;
    case Type::s32: return ReduceType::s32;
    case Type::u64: return ReduceType::u64;
    case Type::b32: return ReduceType::b32;
    default: return std::nullopt;
  }
}

/// [a], b, [mbarrier].
bool bind_store_async(Binder& b, bool reduces) {
  if (!b.has("shared::cluster")) return false;
  b.out.flags = is_store;
  if (reduces) {
    b.has("relaxed");
    const int operation = b.which({"add", "min", "max", "inc", "dec", "and", "or", "xor"});
    const auto type = reduce_type(b.type());
    if (operation < 0 || !type) return false;
    b.out.flags = static_cast<U32>(operation) | static_cast<U32>(*type) << 8;
  }
  const ptx::Operand& value = b.operand(1);
  const std::size_t count = b.has("v2") ? 2 : b.has("v4") ? 4 : 1;
  if ((value.kind == ptx::OperandKind::vector ? value.count : 1) != count || (reduces && count > 1)) return false;
  const ptx::Operand& address = b.operand(0);
  const int bytes = address.has_register_base() && ptx::bits_of(b.function.registers[address.index].type) == 64 ? 8 : 4;
  b.plain_address(0, address, bytes);
  b.plain_address(1, b.operand(2), bytes);
  b.out.address_bytes = static_cast<std::uint8_t>(bytes);
  b.out.vector = static_cast<std::uint8_t>(count);
  b.begin_list();
  b.list_sources(value, b.type());
  switch (ptx::bits_of(b.type())) {
    case 32: return b.handle(store_async<U32>);
    case 64: return b.handle(store_async<U64>);
    default: return false;
  }
}

}  // namespace

bool bind_st_async(Binder& b) { return bind_store_async(b, false); }
bool bind_red_async(Binder& b) { return bind_store_async(b, true); }

}  // namespace emu::isa
