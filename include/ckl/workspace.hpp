#pragma once

#include "ckl/export.hpp"

namespace ckl {

/// Gives back the device memory that one-line calls have kept as their workspaces on `device` (-1: the current one): of its streams, be they
/// there or not, up to 16 MB each, and of the graphs that were captured and cannot run any more. Calls that come afterwards take new memory.
/// It costs nothing to leave this alone; it is for programs that make and destroy many streams, or that want all memory for something else.
/// What such calls have launched on the device has ended, and no other thread makes one meanwhile: memory is freed without a look at that.
/// Not to be called while a stream captures.
///
/// The library does not survive `cudaDeviceReset`, which takes this memory, the loaded kernels and what is known of the device away: a process
/// that has called it makes no further call for that device, this one included.
/// @throws Error (invalid_argument) if `device` < -1 or there is no such device; (cuda) if there is no driver.
CKL_API void release_workspaces(int device = -1);

}  // namespace ckl
