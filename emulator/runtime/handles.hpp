#pragma once

#include <memory>
#include <unordered_map>

#include "runtime/status.hpp"

namespace emu {

/// The living objects of one kind whose addresses programs hold. A handle is looked up before it is used, so that one
/// that was destroyed, or never was one, is an error instead of a crash.
template <class T> class HandleTable {
 public:
  explicit HandleTable(const char* kind) : kind_(kind) {}

  T* add(std::unique_ptr<T> object) {
    T* handle = object.get();
    objects_.emplace(handle, std::move(object));
    return handle;
  }
  T* find(const void* handle) const {
    auto at = objects_.find(handle);
    return at == objects_.end() ? nullptr : at->second.get();
  }
  T& get(const void* handle) const {
    T* object = find(handle);
    require(object, cudaErrorInvalidResourceHandle, "{} is not a living {}", handle, kind_);
    return *object;
  }
  /// Ends the life of `handle` and hands the object to the caller.
  std::unique_ptr<T> remove(const void* handle) {
    get(handle);
    auto node = objects_.extract(handle);
    return std::move(node.mapped());
  }
  std::size_t size() const { return objects_.size(); }
  void clear() { objects_.clear(); }

 private:
  const char* kind_;
  std::unordered_map<const void*, std::unique_ptr<T>> objects_;
};

}  // namespace emu
