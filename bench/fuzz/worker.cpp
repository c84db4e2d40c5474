#include "fuzz/worker.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace ckl::bench {
namespace {

/// In the child: does the work and ends the process without any clean-up, which would touch the GPU's driver.
[[noreturn]] void be_child(int pipe, bool quiet,
                           const std::function<void(const std::function<void(const std::string&)>&)>& work) {
  if (quiet) {
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
  }
  const auto send = [pipe](std::string line) {
    std::replace(line.begin(), line.end(), '\n', ' ');
    line += '\n';
    for (std::size_t sent = 0; sent < line.size();) {
      const ssize_t count = write(pipe, line.data() + sent, line.size() - sent);
      if (count <= 0) _exit(1);
      sent += std::size_t(count);
    }
  };
  try {
    work(send);
  } catch (const std::exception& error) {
    send(error.what());
  }
  _exit(0);
}

std::string fate_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    return fmt::format("the process was ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return WEXITSTATUS(status) == 0 ? "" : fmt::format("the process ended with status {}", WEXITSTATUS(status));
}

void end(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace

std::string run_in_child(double seconds, bool quiet,
                         const std::function<void(const std::function<void(const std::string&)>& send)>& work,
                         const std::function<bool(const std::string& line)>& receive) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe could be made");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no process could be started");
  if (child == 0) {
    close(ends[0]);
    be_child(ends[1], quiet, work);
  }
  close(ends[1]);
  std::string text, fate;
  bool going = true;
  while (going) {
    pollfd poller{ends[0], POLLIN, 0};
    const int ready = poll(&poller, 1, int(seconds * 1000));
    char piece[4096];
    const ssize_t count = ready > 0 ? read(ends[0], piece, sizeof(piece)) : 0;
    if (ready == 0) {
      fate = fmt::format("nothing has happened for {} s", seconds);
      end(child);
      break;
    }
    if (count <= 0) {
      fate = fate_of(child);
      break;
    }
    text.append(piece, std::size_t(count));
    for (std::size_t at; going && (at = text.find('\n')) != std::string::npos; text.erase(0, at + 1))
      going = receive(text.substr(0, at));
    if (!going) end(child);
  }
  close(ends[0]);
  return fate;
}

}  // namespace ckl::bench
