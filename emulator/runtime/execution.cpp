#include <algorithm>

#include "machine/state.hpp"
#include "runtime/launch.hpp"
#include "runtime/options.hpp"

// Where the runtime meets the machine.
namespace emu {

namespace {

dim3 to_dim3(const std::array<ptx::Index, 3>& size) {
  if (size[0] == 0) return {0, 0, 0};
  return {size[0], std::max(size[1], 1u), std::max(size[2], 1u)};
}

int volume(dim3 size) { return static_cast<int>(size.x * size.y * size.z); }

machine::Dim3 to_machine(dim3 size) { return {size.x, size.y, size.z}; }

machine::Options machine_options() {
  const Options& from = options();
  machine::Options to;
  to.threads = from.threads;
  to.sm_count = from.sm_count;
  to.checks = from.checks;
  to.late_loads = from.late_loads;
  to.late_mma = from.late_mma;
  to.late_stores = from.late_stores;
  to.random_priorities = from.random_priorities;
  to.seed = from.seed;
  return to;
}

cudaError_t error_of(machine::FaultKind kind) {
  switch (kind) {
    case machine::FaultKind::illegal_address: return cudaErrorIllegalAddress;
    case machine::FaultKind::misaligned_address: return cudaErrorMisalignedAddress;
    case machine::FaultKind::illegal_instruction: return cudaErrorIllegalInstruction;
    case machine::FaultKind::deadlock: return cudaErrorLaunchTimeout;
    case machine::FaultKind::assertion: return cudaErrorAssert;
    case machine::FaultKind::trap:
    case machine::FaultKind::hazard: break;
  }
  return cudaErrorLaunchFailure;
}

/// Registers of a thread before setmaxnreg: with a minimum of blocks on an SM ptxas gives all that they leave.
std::uint32_t registers_at_start(CUkern_st& kernel) {
  const ptx::LaunchBounds& bounds = code_of(kernel).function->bounds;
  const int threads = volume(to_dim3(bounds.max_threads));
  if (bounds.max_registers || !bounds.min_ctas_per_sm || threads == 0)
    return static_cast<std::uint32_t>(facts_of(kernel).registers);
  const int all = limits::registers_per_sm / (threads * static_cast<int>(bounds.min_ctas_per_sm)) / 8 * 8;
  return static_cast<std::uint32_t>(std::min(all, limits::registers_per_thread / 8 * 8));
}

}  // namespace

KernelFacts facts_of(CUkern_st& kernel) {
  const machine::Program& program = code_of(kernel);
  const ptx::LaunchBounds& bounds = program.function->bounds;
  KernelFacts facts;
  facts.static_shared = program.shared.static_bytes;
  facts.local = program.function->local_bytes;
  facts.params = program.function->parameter_bytes;
  facts.required_block = to_dim3(bounds.required_threads);
  facts.required_cluster = to_dim3(bounds.required_cluster);
  const dim3 most = to_dim3(bounds.max_threads);
  if (most.x) facts.max_threads = std::min(volume(most), limits::threads_per_block);
  if (facts.required_block.x) facts.max_threads = volume(facts.required_block);
  // As many as ptxas could give at most, so that a block of the largest size fits.
  const int affordable = limits::registers_per_block / std::max(facts.max_threads, limits::warp_size) / 8 * 8;
  facts.registers = std::min({static_cast<int>(program.registers), affordable, limits::registers_per_thread});
  if (bounds.max_registers) facts.registers = std::min(facts.registers, static_cast<int>(bounds.max_registers));
  return facts;
}

std::vector<KernelParam> params_of(CUkern_st& kernel) {
  std::vector<KernelParam> params;
  for (const ptx::Parameter& parameter : code_of(kernel).function->parameters)
    params.push_back({parameter.offset, parameter.size});
  return params;
}

std::optional<GlobalVariable> find_variable(CUlib_st& library, const std::string& name) {
  load(library);
  for (const auto& module : library.modules)
    if (const auto variable = module->variable(name)) return GlobalVariable{variable->address, variable->bytes};
  return std::nullopt;
}

void run_launch(const KernelOperation& launch) {
  static std::uint64_t launches = 0;  // every call of the runtime holds its lock
  machine::Grid grid;
  grid.program = &code_of(*launch.kernel);
  grid.memory = &context().memory.global();
  grid.grid = to_machine(launch.grid);
  grid.block = to_machine(launch.block);
  grid.cluster = to_machine(effective_cluster(launch));
  grid.params = launch.params;
  grid.dynamic_shared = static_cast<std::uint32_t>(launch.dynamic_shared);
  grid.options = machine_options();
  grid.registers_per_thread = registers_at_start(*launch.kernel);
  grid.id = ++launches;
  machine::run(grid);
  for (const check::Report& report : grid.reports.reports()) status::say(report.text);
  if (const std::size_t more = grid.reports.left_out()) status::say(fmt::format("... and {} more reports", more));
  if (!grid.report.empty()) status::say(grid.report);
  if (!grid.report.empty())
    status::set_fault(error_of(grid.fault));
  else if (!grid.reports.empty())
    status::set_fault(error_of(machine::FaultKind::hazard));
}

}  // namespace emu
