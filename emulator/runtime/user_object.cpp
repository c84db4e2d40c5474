// Objects of the program that graphs keep alive.

#include <climits>
#include <utility>

#include "runtime/graph.hpp"

using namespace emu;

namespace {

/// The program's function is called with the last one, under the API's lock: it must not call CUDA.
void release(CUuserObject_st& object, unsigned count) {
  require_value(object.references >= count, "{} references are to be released, but there are {}", count,
                object.references);
  object.references -= count;
  if (object.references > 0) return;
  const auto last = context().user_objects.remove(&object);
  last->destroy(last->pointer);
}

CUuserObject_st& get_object(cudaUserObject_t object, unsigned count) {
  require_value(count > 0, "the number of references must not be 0");
  return context().user_objects.get(object);
}

}  // namespace

UserReferences::~UserReferences() {
  for (const auto& [object, count] : counts_) release(*object, count);
}

void UserReferences::replace(const UserReferences& others) {
  const auto before = std::exchange(counts_, {});
  add(others);
  for (const auto& [object, count] : before) release(*object, count);
}

void UserReferences::add(const UserReferences& others) {
  for (const auto& [object, count] : others.counts_) {
    object->references += count;
    take(*object, count);
  }
}

void UserReferences::remove(CUuserObject_st& object, unsigned count) {
  const auto at = counts_.find(&object);
  require_value(at != counts_.end() && at->second >= count, "the graph has fewer references than {}", count);
  at->second -= count;
  if (at->second == 0) counts_.erase(at);
  release(object, count);
}

CKL_EMU_API cudaError_t cudaUserObjectCreate(cudaUserObject_t* object, void* pointer, cudaHostFn_t destroy,
                                             unsigned references, unsigned flags) {
  return api("cudaUserObjectCreate", [&] {
    require_value(object && destroy, "object_out and destroy must not be null");
    require_value(references > 0 && references <= INT_MAX, "initialRefcount must be 1 or more, but is {}", references);
    require_value(flags == cudaUserObjectNoDestructorSync, "flags must be cudaUserObjectNoDestructorSync");
    *object =
        context().user_objects.add(std::make_unique<CUuserObject_st>(CUuserObject_st{pointer, destroy, references}));
  });
}

CKL_EMU_API cudaError_t cudaUserObjectRetain(cudaUserObject_t object, unsigned count) {
  return api("cudaUserObjectRetain", [&] { get_object(object, count).references += count; });
}

CKL_EMU_API cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned count) {
  return api(
      "cudaUserObjectRelease", [&] { release(get_object(object, count), count); }, ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned count,
                                                  unsigned flags) {
  return api("cudaGraphRetainUserObject", [&] {
    CUgraph_st& owner = get_graph(graph);
    CUuserObject_st& retained = get_object(object, count);
    require_value(!(flags & ~unsigned(cudaGraphUserObjectMove)), "flags must be 0 or cudaGraphUserObjectMove");
    if (flags & cudaGraphUserObjectMove)
      require_value(retained.references >= count, "{} references are to be moved, but there are {}", count,
                    retained.references);
    else
      retained.references += count;
    owner.user_references.take(retained, count);
  });
}

CKL_EMU_API cudaError_t cudaGraphReleaseUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned count) {
  return api(
      "cudaGraphReleaseUserObject", [&] { get_graph(graph).user_references.remove(get_object(object, count), count); },
      ApiKind::harmless);
}
