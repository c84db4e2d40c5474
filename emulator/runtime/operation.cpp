#include "runtime/operation.hpp"

#include "runtime/graph.hpp"
#include "runtime/launch.hpp"
#include "runtime/stream.hpp"

namespace emu {

namespace {

template <class... F> struct Overloaded : F... { using F::operator()...; };

/// Host functions run without the lock: one may wait for a thread that calls the runtime.
void call_host(const HostOperation& operation) {
  struct Unlocked {
    Unlocked() { status::api_mutex().unlock(); }
    ~Unlocked() { status::api_mutex().lock(); }
  } unlocked;
  operation.function(operation.data);
}

}  // namespace

cudaGraphNodeType node_type(const Operation& operation) {
  return std::visit(Overloaded{[](const KernelOperation&) { return cudaGraphNodeTypeKernel; },
                               [](const CopyOperation&) { return cudaGraphNodeTypeMemcpy; },
                               [](const FillOperation&) { return cudaGraphNodeTypeMemset; },
                               [](const HostOperation&) { return cudaGraphNodeTypeHost; },
                               [](const ChildGraphOperation&) { return cudaGraphNodeTypeGraph; },
                               [](const EmptyOperation&) { return cudaGraphNodeTypeEmpty; },
                               [](const EventWaitOperation&) { return cudaGraphNodeTypeWaitEvent; },
                               [](const EventRecordOperation&) { return cudaGraphNodeTypeEventRecord; },
                               [](const AllocOperation&) { return cudaGraphNodeTypeMemAlloc; },
                               [](const FreeOperation&) { return cudaGraphNodeTypeMemFree; }},
                    operation);
}

void validate(const Operation& operation) {
  std::visit(
      Overloaded{[](const KernelOperation& launch) { validate_launch(launch); },
                 [](const CopyOperation& copy) { context().memory.validate(copy); },
                 [](const FillOperation& fill) { context().memory.validate(fill); },
                 [](const HostOperation& host) { require_value(host.function, "the host function must not be null"); },
                 [](const FreeOperation& free) {
                   const Allocation* allocation = context().memory.find_start(free.address);
                   require_value(allocation && allocation->kind == MemoryKind::graph, "{} was not allocated by a graph",
                                 free.address);
                 },
                 [](const auto&) {}},
      operation);
}

void execute(const Operation& operation) {
  // Behind a fault nothing runs any more.
  if (status::fault() != cudaSuccess) return;
  std::visit(Overloaded{[](const KernelOperation& launch) {
                          resolve_function(launch.kernel);  // a graph may outlive the library of its kernels
                          run_launch(launch);
                        },
                        [](const CopyOperation& copy) { context().memory.run(copy); },
                        [](const FillOperation& fill) { context().memory.run(fill); },
                        [](const HostOperation& host) { call_host(host); },
                        [](const ChildGraphOperation& child) { execute(*child.graph); },
                        [](const EventRecordOperation& record) { mark_recorded(context().events.get(record.event)); },
                        [](const EventWaitOperation& wait) { context().events.get(wait.event); },
                        // A freed block holds nothing that may be read, like a fresh one.
                        [](const AllocOperation& alloc) { context().memory.invalidate(alloc.address, alloc.bytes); },
                        [](const FreeOperation& free) {
                          if (const Allocation* allocation = context().memory.find_start(free.address))
                            context().memory.invalidate(free.address, allocation->bytes);
                        },
                        [](const EmptyOperation&) {}},
             operation);
}

}  // namespace emu
