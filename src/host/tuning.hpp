#pragma once

// The tuning database: which config was measured to be the fastest for a problem, on which GPU, in which version of the library.

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ckl::host {

/// What a measurement holds for: on another GPU model, or in another version of the library, another config may be the fastest.
struct TuningScope {
  std::string gpu;      ///< Name of the GPU model.
  std::string library;  ///< ckl::version().

  friend bool operator==(const TuningScope&, const TuningScope&) = default;
};

/// One entry: `config` was the fastest for `problem`. It holds for as long as the config is shipped; what has been added to the menu
/// since has not been tried.
struct Tuning {
  std::string op, problem;  ///< The operator, and its own key of the problem.
  TuningScope scope;
  std::string menu;  ///< menu_hash() when it was measured.
  std::string config;
  double time_us = 0;
  std::string measured;  ///< Date, YYYY-MM-DD.

  friend bool operator==(const Tuning&, const Tuning&) = default;
};

/// A set of entries, one for each operator, problem and scope. A value: choosing by it is a pure function.
class TuningDatabase {
 public:
  /// Reads `json`, {"schema": 1, "entries": [{...}]}. @throws Error (invalid_argument) that says what is wrong with it.
  static TuningDatabase parse(std::string_view json);
  std::string to_json() const;

  /// Adds an entry, in the place of the one of the same operator, problem and scope.
  void put(const Tuning& tuning);
  void merge(const TuningDatabase& newer);

  /// The entry, or null and why those that there are for this problem do not hold: empty if there are none.
  struct Answer {
    const Tuning* tuning;
    std::string why_not;
  };
  Answer find(std::string_view op, const std::string& problem, const TuningScope& scope) const;

  std::size_t size() const;

 private:
  std::map<std::string, std::vector<Tuning>> by_problem_;  // by operator and problem
};

/// The scope of this library on the GPU model `gpu`.
TuningScope tuning_scope(const std::string& gpu);

/// A hash of the names of the shipped configs of operator `op`, in any order.
std::string menu_hash(const std::string& op);

/// The date, YYYY-MM-DD, in UTC.
std::string today();

/// What the library chooses by: the entries that it is shipped with and, before those, the user's, read once. A user's file that
/// cannot be read counts for nothing; CKL_LOG=plan says why.
const TuningDatabase& tuning_database();

/// The database in `path`; empty if there is no such file. @throws Error (invalid_argument) if it is malformed.
TuningDatabase read_tuning_file(const std::string& path);

/// Puts `tuning` into the file at `path`, which is made if it is not there. Others may read and write it at the same time: they see
/// the file as it was, or with the entry, and lose nothing. @throws Error (invalid_argument) if it is malformed or cannot be written.
void store_tuning(const std::string& path, const Tuning& tuning);

/// Throws what store_tuning() would throw of the file, and leaves it as it is. Makes its folder.
void check_tuning_file(const std::string& path);

/// The entries that this build was shipped with (src/tuning.json).
extern const char* const kShippedTuning;

}  // namespace ckl::host
