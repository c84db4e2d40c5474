#include "cli/verbs.hpp"
namespace ckl::bench { void add_sanitize(CLI::App&, int&) {} }
