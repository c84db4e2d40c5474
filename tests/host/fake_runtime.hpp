#pragma once

/// @file
/// A CUDA runtime that does nothing, in no time, and counts its calls: what a host test of the launch path links before the real
/// one, so that it sees the library's own work alone.

#include <map>
#include <string>

namespace ckl::test {

/// Calls since the last clear(), by the function's name; those of the driver's entry points too.
std::map<std::string, int>& fake_calls();

/// Whether calls are counted; counting takes time.
extern bool counting_fake_calls;

/// How many devices there are: H100s, as they say.
extern int fake_devices;

}  // namespace ckl::test
