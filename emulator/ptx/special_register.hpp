#pragma once

#include <cstdint>
#include <string_view>

#include "ptx/types.hpp"

namespace emu::ptx {

/// PTX ISA 10: special registers, and the constant WARP_SZ.
enum class SpecialRegister : std::uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  clusterid_x,
  clusterid_y,
  clusterid_z,
  nclusterid_x,
  nclusterid_y,
  nclusterid_z,
  cluster_ctaid_x,
  cluster_ctaid_y,
  cluster_ctaid_z,
  cluster_nctaid_x,
  cluster_nctaid_y,
  cluster_nctaid_z,
  cluster_ctarank,
  cluster_nctarank,
  is_explicit_cluster,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  lanemask_eq,
  lanemask_le,
  lanemask_lt,
  lanemask_ge,
  lanemask_gt,
  clock,
  clock_hi,
  clock64,
  globaltimer,
  globaltimer_lo,
  globaltimer_hi,
  total_smem_size,
  aggr_smem_size,
  dynamic_smem_size,
  reserved_smem_offset_begin,
  reserved_smem_offset_end,
  reserved_smem_offset_cap,
  current_graph_exec,
  warp_size,  // WARP_SZ
  count
};

/// The special register that `name` ("%tid.x", "WARP_SZ") spells; SpecialRegister::count if none does.
SpecialRegister special_register_of(std::string_view name);
std::string_view name_of(SpecialRegister special);
/// u32, u64 or pred.
Type type_of(SpecialRegister special);

}  // namespace emu::ptx
