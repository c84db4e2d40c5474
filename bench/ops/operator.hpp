#pragma once

/// @file
/// What the bench asks of an operator. Adding one is a file in ops/ that implements Operator and Workload, a line in
/// registry.cpp, and the providers (ours, the vendors') that serve it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.hpp"
#include "ops/case.hpp"
#include "timer/cuda.hpp"
#include "timer/protocol.hpp"

namespace ckl::bench {

/// The GPU and what belongs to it, for the whole run of the command.
struct Session {
  explicit Session(int device) : gpu(open_gpu(device)), kernels(gpu) {}

  Gpu gpu;
  Kernels kernels;
  /// Whether the implementation called `name` takes part.
  bool wants(const std::string& name) const {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  }

  /// Whether it takes part because it was asked for by name.
  bool asks_for(const std::string& name) const { return !only.empty() && wants(name); }

  bool timing = true;             ///< False: implementations run once, verified, without any measurement.
  std::string config;             ///< Forced on the library's implementation; empty: it chooses.
  std::vector<std::string> only;  ///< Names of the implementations that take part; empty: all.
};

/// One way to compute a workload.
struct Implementation {
  std::string name;    ///< "ckl", "cublaslt_top1", ...
  std::string config;  ///< What it chose.
  Launch launch;
  bool ours = false;
  std::optional<double> first_call_ms =
      {};  ///< Its plan, the load of its kernels and the first launch, until all is done.
};

/// An implementation that cannot take part, and why.
struct Absent {
  std::string name;
  std::string reason;
};

/// The least work that the problem needs.
struct Work {
  double flops = 0;  ///< 0 where bytes are what counts.
  double bytes = 0;  ///< Each input read once, each output written once.
};

/// What the comparison of one output with the oracle gave.
struct Verdict {
  bool right = false;
  double error = 0;  ///< In the operator's own metric.
  double bound = 0;  ///< What the documented accuracy allows `error` to be.
  std::string what;  ///< Says what is wrong, if anything is.
};

/// What a workload's ceiling is called in its rows, and what it does.
struct CeilingName {
  const char* name = "memcpy";
  const char* what = "cudaMemcpyAsync, device to device, as many bytes";
};

/// A case in device memory: operands, `sets` times over, and everybody who computes it.
class Workload {
 public:
  virtual ~Workload() = default;

  virtual Work work() const = 0;

  /// Poisons the output, runs `implementation` on one set of operands and compares the output with the oracle.
  virtual Verdict verify(const Implementation& implementation) = 0;

  /// The fastest anybody can move these bytes: a copy of as many, or a read where next to nothing is written. Empty where arithmetic is
  /// the ceiling.
  virtual Launch ceiling() { return {}; }
  virtual CeilingName ceiling_name() const { return {}; }

  std::size_t sets = 1;  ///< Of operands; together at least four times the L2.
  std::vector<Implementation> implementations;
  std::vector<Absent> absent;
};

/// Lets a provider add its implementations, called `names`. If it fails, that becomes the note of its rows, and the
/// others are measured all the same. Not even asked if none of its implementations is wanted.
void attempt(Workload& workload, const Session& session, const std::vector<std::string>& names,
             const std::function<void()>& provide);

/// The index of the fastest of `able`, several ways to compute the workload; the first where nothing is timed.
std::size_t fastest_of(const std::vector<Implementation>& able, const Workload& workload, const Session& session);

/// An operator as the bench sees it.
class Operator {
 public:
  virtual ~Operator() = default;

  virtual std::string name() const = 0;
  virtual std::string family() const = 0;   ///< The public header that declares it, e.g. "elementwise".
  virtual std::string summary() const = 0;  ///< One line for the help.

  /// The values of every key that the user left open. `small`: for a device that is slow.
  virtual Choices defaults(bool small) const = 0;

  /// The case that `settings` describe. Throws UsageError that names the key, the requirement and the value.
  virtual Case parse(const Settings& settings) const = 0;

  virtual std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const = 0;

  /// Computes the case with reference/ alone, on the CPU, and returns a few lines about the result.
  virtual std::vector<std::string> run_reference(const Case& one) const = 0;

  /// The configs of the library that can serve the case, the chosen one first.
  virtual std::vector<std::string> candidates(const Case& one, const Session& session) const = 0;

  /// Whether its configs can be measured and the best remembered.
  virtual bool can_be_tuned() const { return false; }

  /// Remembers, in the user's tuning database, that `config` is the fastest for the case. Only where can_be_tuned().
  virtual void store_tuning(const Case& /*one*/, const Session& /*session*/, const std::string& /*config*/,
                            double /*time_us*/) const {}

  /// A case that shows the highest rate of arithmetic for operands of this type, or none.
  virtual std::unique_ptr<Case> peak_case(const std::string& /*dtype*/) const { return nullptr; }
};

/// All operators.
const std::vector<const Operator*>& operators();

/// Those that `name` names: an operator, a family or "all". Throws UsageError if there are none.
std::vector<const Operator*> find_operators(const std::string& name);

/// The one that `name` names. Throws UsageError otherwise.
const Operator& find_operator(const std::string& name);

/// How many sets of `bytes` make at least four times the L2. Throws where that cannot be timed with sense.
std::size_t rotation_sets(const Session& session, double bytes);

/// How many kernel instances the library holds for each family of operators.
std::vector<std::pair<std::string, int>> compiled_instances();

/// A few lines about a result that was computed on the CPU, which has no kernel to be compared with.
std::vector<std::string> describe_reference(DType dtype, const std::vector<double>& d);

}  // namespace ckl::bench
