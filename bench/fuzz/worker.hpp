#pragma once

#include <functional>
#include <string>

namespace ckl::bench {

/// Runs `work` in a child process, since a fault leaves a GPU's process useless, and a deadlock has to be ended. `work` gets a
/// function that sends lines; each of them calls `receive` here, which may return false to end the child. Returns an empty string
/// if the child has ended by itself with status 0, else what became of it: it crashed, or it sent nothing for `seconds`.
/// The calling process must not have used CUDA. `quiet`: what the child prints on stderr is dropped.
std::string run_in_child(double seconds, bool quiet,
                         const std::function<void(const std::function<void(const std::string&)>& send)>& work,
                         const std::function<bool(const std::string& line)>& receive);

}  // namespace ckl::bench
