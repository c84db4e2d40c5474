#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "ckl/version.hpp"
#include "ops/parse.hpp"

namespace {

constexpr const char* examples = R"(Examples:
  ckl info                                            what is here: GPU, driver, library
  ckl run gemm --problem 4096x2112x7168               one problem, verified, timed, compared with the vendor
  ckl bench gemm --suite foundation --json out.json   a suite, as a table and as JSON
  ckl bench all --suite foundation --regime both
  ckl bench gemm --problem 4096x4096x4096,8192x8192x8192 --dtype bf16,f16 --layout tn,nn
  ckl report out.json --markdown                      tables made of measurements
  ckl report new.json --against old.json              a verdict for each row; exit code 1 on a regression
  ckl tune gemm --problem 4096x2112x7168              the fastest config here, found and remembered
  ckl compile gemm bf16_tn_256x192x64_2x1_s3_coopm    a kernel that is not shipped, as one more candidate
  ckl profile gemm --problem 8192x8192x8192           what bounds a kernel, by Nsight Compute
  ckl fuzz gemm --count 10000                         random problems, well formed and not, against the oracle
  ckl run gemm --device emulator                      the same kernels on the CPU, without a GPU
  ckl <verb> --help                                   all options of a verb

A problem of a GEMM is MxNxK; layouts are cuBLAS's letters: tn = A row-major and B column-major.
Exit code: 0 all is right; 1 a result is wrong, missing or slower; 2 an argument is wrong.)";

/// What is wrong with the verb, which CLI11 would only miss; empty if nothing is.
std::string complaint_about_verb(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  std::string verbs;
  for (const CLI::App* verb : app.get_subcommands({})) {
    if (verb->get_name() == argv[1]) return "";
    verbs += (verbs.empty() ? "" : ", ") + verb->get_name();
  }
  return "verb: must be one of " + verbs + ", got `" + argv[1] + "`";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ckl::bench;
  CLI::App app("ckl measures CuTeKernelLib's operators, verified, against the vendor's libraries.", "ckl");
  app.footer(examples);
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("ckl ") + ckl::version());

  int exit_code = 0;
  for (const auto add : {add_info, add_run, add_bench, add_report, add_candidates, add_compile, add_tune, add_profile,
                         add_sanitize, add_emulate, add_fuzz})
    add(app, exit_code);

  if (const std::string complaint = complaint_about_verb(app, argc, argv); !complaint.empty()) {
    std::fprintf(stderr, "ckl: %s\n", complaint.c_str());
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help or --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    const std::vector<CLI::App*> verbs = app.get_subcommands();  // the one that was given
    const std::string verb = verbs.empty() ? "" : verbs.front()->get_name() + " ";
    std::fprintf(stderr, "ckl: %s; see `ckl %s--help`\n", error.what(), verb.c_str());
    return 2;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "ckl: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ckl: %s\n", error.what());
    return 1;
  }
  return exit_code;
}
