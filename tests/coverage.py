#!/usr/bin/env python3
"""Prints which lines of the library's host side the tests run.

  cmake -S . -B build-coverage -DCKL_COVERAGE=ON && cmake --build build-coverage
  tests/coverage.py build-coverage [--minimum PERCENT] [--missed]

Runs the host tests, and the device tests on the GPU or under the emulator if one is there, and asks gcov. The sources are
compiled twice, into the host tests and into libckl.so; a line counts if either was run.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent


def run_tests(build):
    """The tests' own verdict does not matter here; what they ran does."""
    for counters in build.rglob("*.gcda"):
        counters.unlink()
    subprocess.run(["ctest", "--test-dir", build, "-L", "host|device|emulator"], check=False, stdout=subprocess.DEVNULL)


def line_counts(build):
    """{source file: {line: how often it ran}} of src/host and src/ops."""
    counts = collections.defaultdict(collections.Counter)
    objects = [path for target in ("src/CMakeFiles/ckl.dir", "tests/host/CMakeFiles/ckl_host.dir")
               for path in (build / target).rglob("*.gcno")]
    if not objects:
        sys.exit(f"coverage: {build} was not configured with -DCKL_COVERAGE=ON, or not built")
    for notes in objects:
        # Without a .gcda file beside it, nothing of the object ran; gcov then counts every line as not run.
        report = subprocess.run(["gcov", "--json-format", "--stdout", notes], capture_output=True, text=True, check=True)
        for document in report.stdout.splitlines():
            for file in json.loads(document)["files"]:
                path = (notes.parent / file["file"]).resolve()
                if not any(path.is_relative_to(SOURCE / folder) for folder in ("src/host", "src/ops")):
                    continue
                for line in file["lines"]:
                    counts[path.relative_to(SOURCE)][line["line_number"]] += line["count"]
    return counts


def ranges(lines):
    """[1, 2, 3, 7] as "1-3 7"."""
    groups = []
    for line in sorted(lines):
        if groups and groups[-1][1] == line - 1:
            groups[-1][1] = line
        else:
            groups.append([line, line])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in groups)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="the build folder")
    parser.add_argument("--minimum", type=float, default=0, help="fail below this percentage of all lines")
    parser.add_argument("--missed", action="store_true", help="list the lines that no test ran")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    run_tests(build)
    counts = line_counts(build)

    total = run = 0
    for path, lines in sorted(counts.items()):
        missed = [line for line, count in lines.items() if count == 0]
        print(f"{100 * (1 - len(missed) / len(lines)):5.1f} %  {len(lines):4} lines  {path}")
        if arguments.missed and missed:
            print(f"          not run: {ranges(missed)}")
        total += len(lines)
        run += len(lines) - len(missed)
    percent = 100 * run / total
    print(f"{percent:5.1f} %  {total:4} lines in all")
    if percent < arguments.minimum:
        sys.exit(f"coverage: {percent:.1f} % is less than {arguments.minimum} %")


if __name__ == "__main__":
    main()
