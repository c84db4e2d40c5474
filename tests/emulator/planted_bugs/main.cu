// planted_bugs: runs every kernel of the corpus in a process of its own, in every mode of the emulator. A planted bug must be
// reported in one of them at least, with the hazard and all places that its source marks; a correct kernel must run in silence.
//   planted_bugs [PREFIX]        all, or those whose family.bug starts with PREFIX
//   planted_bugs --run NAME      one of them, in this process
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <cuda_runtime.h>
#include <unistd.h>

#include "bugs.hpp"

namespace {

std::vector<Bug> all_bugs() {
  std::vector<Bug> all;
  for (auto list : {generic_bugs(), copy_bugs(), wgmma_bugs(), machine_bugs()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

std::string name_of(const Bug& bug) { return bug.family + "." + bug.name; }

int run_here(const std::string& name) {
  for (const Bug& bug : all_bugs()) {
    if (name_of(bug) != name) continue;
    Buffers buffers{};
    std::vector<uint32_t> numbers(1 << 14);
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = 0x3f803f80 + static_cast<uint32_t>(i % 8);
    if (cudaMalloc(&buffers.in, 1 << 16) != cudaSuccess || cudaMalloc(&buffers.out, 1 << 16) != cudaSuccess) return 3;
    if (cudaMemcpy(buffers.in, numbers.data(), 1 << 16, cudaMemcpyHostToDevice) != cudaSuccess) return 3;
    if (cudaMemset(buffers.out, 0, 1 << 16) != cudaSuccess) return 3;
    bug.launch(buffers);
    return cudaGetLastError() == cudaSuccess && cudaDeviceSynchronize() == cudaSuccess ? 0 : 1;
  }
  return 2;
}

/// "copy_bugs.cu:41" for each line of the file that has the comment @name, at its end or on the line before.
std::vector<std::string> places_of(const Bug& bug) {
  std::vector<std::string> places;
  std::ifstream file(bug.file);
  const std::string base = bug.file.substr(bug.file.rfind('/') + 1), mark = "@" + bug.name;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const size_t comment = line.find("// @");
    if (comment == std::string::npos || (line + " ").find(mark + " ", comment) == std::string::npos) continue;
    const bool is_alone = line.find_first_not_of(' ') == comment;
    places.push_back(base + ":" + std::to_string(is_alone ? number + 1 : number));
  }
  return places;
}

struct Outcome {
  int status;
  std::string output;
};

Outcome run_apart(const std::string& self, const std::string& name) {
  std::fflush(nullptr);
  FILE* pipe = popen(("'" + self + "' --run " + name + " 2>&1").c_str(), "r");
  if (!pipe) return {-1, "popen failed"};
  Outcome outcome{};
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) outcome.output.append(buffer.data(), n);
  outcome.status = pclose(pipe);
  return outcome;
}

/// Whether `place` is in `text`, not as the start of a longer line number.
bool names_place(const std::string& text, const std::string& place) {
  for (size_t at = text.find(place); at != std::string::npos; at = text.find(place, at + 1)) {
    const size_t end = at + place.size();
    if (end == text.size() || text[end] < '0' || text[end] > '9') return true;
  }
  return false;
}

/// What is wrong with the outcome of a run; nothing if it is as it should be.
std::string complaint_about(const Bug& bug, const Outcome& outcome) {
  if (bug.name == "none") return outcome.status != 0 || !outcome.output.empty() ? "is correct, but" : "";
  std::string complaint;
  if (outcome.status == 0) complaint = "was not noticed;";
  if (outcome.output.find(bug.hazard) == std::string::npos) complaint += " the report lacks '" + bug.hazard + "';";
  const auto places = places_of(bug);
  if (places.empty()) complaint += " its source has no mark;";
  for (const std::string& place : places)
    if (!names_place(outcome.output, place)) complaint += " the report lacks " + place + ";";
  return complaint;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--run") return run_here(argv[2]);
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 2;
  const std::string prefix = argc > 1 ? argv[1] : "";
  int wrong = 0, found = 0;
  for (const Bug& bug : all_bugs()) {
    const std::string name = name_of(bug);
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    // A correct kernel is silent in all modes; a bug is reported with all its places in at least one.
    std::string complaint, output, in_modes;
    for (const char* mode : {"early", "late", "late-loads", "late-mma", "late-stores", "random"}) {
      setenv("CKL_EMU_MODE", mode, 1);
      const Outcome outcome = run_apart(self, name);
      const std::string text = complaint_about(bug, outcome);
      if (text.empty()) in_modes += std::string(" ") + mode;
      if (text.empty() == (bug.name == "none")) continue;
      complaint = text;
      output = outcome.output;
    }
    const bool is_right = bug.name == "none" ? complaint.empty() : !in_modes.empty();
    found += is_right && bug.name != "none";
    wrong += !is_right;
    std::printf("%s %-32s%s\n", is_right ? "ok   " : "WRONG", name.c_str(), in_modes.c_str());
    if (!is_right) {
      const Outcome outcome = run_apart(self, name);
      std::printf("  %s it printed:\n%s\n", complaint_about(bug, outcome).c_str(),
                  (output.empty() ? outcome.output : output).c_str());
    } else if (std::getenv("CKL_EMU_SHOW")) {
      std::printf("%s\n", output.c_str());
    }
  }
  std::printf("%d planted bugs found, %d wrong\n", found, wrong);
  return wrong ? 1 : 0;
}
