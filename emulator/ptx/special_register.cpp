#include "ptx/special_register.hpp"

#include <array>
#include <unordered_map>

namespace emu::ptx {
namespace {

struct Row {
  SpecialRegister special;
  std::string_view name;
  Type type = Type::u32;
};

using S = SpecialRegister;
constexpr std::array rows{
    Row{S::tid_x, "%tid.x"},
    Row{S::tid_y, "%tid.y"},
    Row{S::tid_z, "%tid.z"},
    Row{S::ntid_x, "%ntid.x"},
    Row{S::ntid_y, "%ntid.y"},
    Row{S::ntid_z, "%ntid.z"},
    Row{S::ctaid_x, "%ctaid.x"},
    Row{S::ctaid_y, "%ctaid.y"},
    Row{S::ctaid_z, "%ctaid.z"},
    Row{S::nctaid_x, "%nctaid.x"},
    Row{S::nctaid_y, "%nctaid.y"},
    Row{S::nctaid_z, "%nctaid.z"},
    Row{S::clusterid_x, "%clusterid.x"},
    Row{S::clusterid_y, "%clusterid.y"},
    Row{S::clusterid_z, "%clusterid.z"},
    Row{S::nclusterid_x, "%nclusterid.x"},
    Row{S::nclusterid_y, "%nclusterid.y"},
    Row{S::nclusterid_z, "%nclusterid.z"},
    Row{S::cluster_ctaid_x, "%cluster_ctaid.x"},
    Row{S::cluster_ctaid_y, "%cluster_ctaid.y"},
    Row{S::cluster_ctaid_z, "%cluster_ctaid.z"},
    Row{S::cluster_nctaid_x, "%cluster_nctaid.x"},
    Row{S::cluster_nctaid_y, "%cluster_nctaid.y"},
    Row{S::cluster_nctaid_z, "%cluster_nctaid.z"},
    Row{S::cluster_ctarank, "%cluster_ctarank"},
    Row{S::cluster_nctarank, "%cluster_nctarank"},
    Row{S::is_explicit_cluster, "%is_explicit_cluster", Type::pred},
    Row{S::laneid, "%laneid"},
    Row{S::warpid, "%warpid"},
    Row{S::nwarpid, "%nwarpid"},
    Row{S::smid, "%smid"},
    Row{S::nsmid, "%nsmid"},
    Row{S::gridid, "%gridid", Type::u64},
    Row{S::lanemask_eq, "%lanemask_eq"},
    Row{S::lanemask_le, "%lanemask_le"},
    Row{S::lanemask_lt, "%lanemask_lt"},
    Row{S::lanemask_ge, "%lanemask_ge"},
    Row{S::lanemask_gt, "%lanemask_gt"},
    Row{S::clock, "%clock"},
    Row{S::clock_hi, "%clock_hi"},
    Row{S::clock64, "%clock64", Type::u64},
    Row{S::globaltimer, "%globaltimer", Type::u64},
    Row{S::globaltimer_lo, "%globaltimer_lo"},
    Row{S::globaltimer_hi, "%globaltimer_hi"},
    Row{S::total_smem_size, "%total_smem_size"},
    Row{S::aggr_smem_size, "%aggr_smem_size"},
    Row{S::dynamic_smem_size, "%dynamic_smem_size"},
    Row{S::reserved_smem_offset_begin, "%reserved_smem_offset_begin"},
    Row{S::reserved_smem_offset_end, "%reserved_smem_offset_end"},
    Row{S::reserved_smem_offset_cap, "%reserved_smem_offset_cap"},
    Row{S::current_graph_exec, "%current_graph_exec", Type::u64},
    Row{S::warp_size, "WARP_SZ"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].special != static_cast<S>(i)) return false;
  return rows.size() == static_cast<std::size_t>(S::count);
}
static_assert(in_order(), "one row a register, in the order of the enumeration");

}  // namespace

SpecialRegister special_register_of(std::string_view name) {
  static const auto by_name = [] {
    std::unordered_map<std::string_view, S> map;
    for (const Row& row : rows) map.emplace(row.name, row.special);
    return map;
  }();
  const auto at = by_name.find(name);
  return at == by_name.end() ? S::count : at->second;
}

std::string_view name_of(SpecialRegister special) {
  return special < S::count ? rows[static_cast<std::size_t>(special)].name : std::string_view{};
}

Type type_of(SpecialRegister special) {
  return special < S::count ? rows[static_cast<std::size_t>(special)].type : Type::none;
}

}  // namespace emu::ptx
