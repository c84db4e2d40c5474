#pragma once

/// @file
/// A CUDA runtime that does nothing, in no time, and counts its calls: what a host test of the launch path links before the real
/// one, so that it sees the library's own work alone.

#include <map>
#include <set>
#include <string>

namespace ckl::test {

/// Calls since the last clear(), by the function's name; those of the driver's entry points too.
std::map<std::string, int>& fake_calls();

/// The streams that these calls took memory from, filled it in, and gave it back to.
std::set<const void*>& fake_streams();

/// Whether calls are counted; counting takes time.
extern bool counting_fake_calls;

/// How many devices there are: H100s, as they say.
extern int fake_devices;

/// The number of the capture that every stream is part of; 0: none captures. All are of one graph.
extern unsigned long long fake_capture;

/// The name of a function that fails from now on, of those that make and hold a graph's objects; empty: none does.
extern std::string fake_failure;

/// Ends the graphs, and with them the objects of the program's that they have held.
void end_fake_graphs();

}  // namespace ckl::test
