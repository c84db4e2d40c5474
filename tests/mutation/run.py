#!/usr/bin/env python3
"""Tests the tests: plants one mistake after another in a copy of the tree, and expects a test to fail for each.

  tests/mutation/run.py -DCKL_DEPS_DIR=$PWD/build/deps             host code; a few seconds each
  tests/mutation/run.py -DCKL_DEPS_DIR=$PWD/build/deps --device --emulator build/emulator
                                                    kernels, most of which are rebuilt each time; minutes each
  ... --only NAME [NAME ...]                        some of them
  ... --list                                        show them and do nothing
  tests/mutation/run.py --check                     whether all can still be planted; builds and runs nothing

Nothing of the working tree is changed. Exits with 1 if a mistake went unnoticed or can no longer be planted.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import mutations

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# The kernels that the mistakes are planted in: one of each kind, since all have to be rebuilt for each mistake.
INSTANCES = """\
gemm_coop: bf16_tn_128x256x64_2x1_s4_coopm
gemm_ping: bf16_tn_128x128x64_2x1_s6_ping
gemm_gather: bf16_tn_128x128x64_1x1_s4_coopm_gather
gemm_swap: bf16_tn_64x96x64_1x1_s8_ping_swap?
gemm_along_k: bf16_tn_64x64x64_1x1x8_s12_coopn?
gemm_turn: bf16_nt_64x96x64_1x1_s8_ping
"""


class Failure(Exception):
    pass


def call(command, **options):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def text_without(mutation, root):
    """The text of the file that the mistake is to be made in."""
    text = (root / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        raise Failure(f"{mutation.name}: {mutation.file} has `{mutation.old}` {text.count(mutation.old)} times, not once")
    return text


def check_all():
    wrong = 0
    for mutation in [*mutations.HOST, *mutations.DEVICE]:
        try:
            text_without(mutation, SOURCE)
        except (Failure, OSError) as failure:
            wrong += 1
            print(f"mutation: {failure}")
    sys.exit(bool(wrong))


class Copy:
    """A copy of the tree with a build folder of its own."""

    def __init__(self, folder, arguments):
        self.tree, self.build = folder / "tree", folder / "build"
        self.emulator, self.jobs = arguments.emulator, str(arguments.jobs)
        # Modules that come back when a mistake is undone are kept, but not among the user's.
        os.environ["CKL_MODULE_CACHE"] = str(folder / "cache")
        (folder / "cache").mkdir()
        # What git knows and what it does not ignore: no build folders.
        files = call(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=SOURCE).stdout
        for name in filter(None, files.split("\0")):
            if (SOURCE / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(SOURCE / name, self.tree / name)
        if arguments.device:
            (self.tree / "src/ops/gemm/instances.txt").write_text(INSTANCES)
        options = ["-DCKL_BUILD_BENCH=OFF", "-DCKL_BUILD_EXAMPLES=OFF", "-DCKL_BUILD_EMULATOR=OFF", "-DCMAKE_BUILD_TYPE=Release",
                   "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]
        options += [f"-D{definition}" for definition in arguments.define]
        configured = call(["cmake", "-G", "Ninja", "-S", self.tree, "-B", self.build, *options])
        if configured.returncode:
            raise Failure("the copy cannot be configured:\n" + configured.stdout)

    def failing(self, tests):
        """Builds and runs the programs; the first that fails, or None. Not building counts as failing: the compiler noticed."""
        for test in tests.split():
            program, _, filter = test.partition(":")
            built = call(["cmake", "--build", self.build, "-j", self.jobs, "--target", f"{program}_test"])
            if built.returncode:
                return f"{program}: does not build", built.stdout
            path = next(self.build.glob(f"bin/*/{program}_test"))
            environment = dict(os.environ, CKL_TEST_LIST="short")
            if self.emulator:
                environment["LD_LIBRARY_PATH"] = str(self.emulator.resolve())
            try:
                result = call([path, "--gtest_brief=1", f"--gtest_filter={filter or '*'}"], env=environment, timeout=600)
            except subprocess.TimeoutExpired:
                return f"{program}: does not end", ""
            if result.returncode == 77:
                raise Failure(f"{program} was skipped: {result.stdout}")
            if result.returncode:
                return program, result.stdout
        return None

    def plant(self, mutation):
        """Makes the mistake; returns what undoes it."""
        path = self.tree / mutation.file
        text = text_without(mutation, self.tree)
        path.write_text(text.replace(mutation.old, mutation.new))
        return lambda: path.write_text(text)


def caught(copy, mutation):
    begin = time.monotonic()
    undo = copy.plant(mutation)
    try:
        failure = copy.failing(mutation.tests)
    finally:
        undo()
    seconds = time.monotonic() - begin
    verdict = f"caught by {failure[0]}" if failure else f"NOT CAUGHT: {mutation.why}"
    print(f"{mutation.name:34} {seconds:6.1f} s  {verdict}", flush=True)
    return failure is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-D", dest="define", action="append", default=[], metavar="NAME=VALUE", help="for CMake, as in your build")
    parser.add_argument("--device", action="store_true", help="mistakes in kernels and in what launches them")
    parser.add_argument("--emulator", type=pathlib.Path, help="the folder with the emulator's libcudart; without it, a GPU is needed")
    parser.add_argument("--only", nargs="+", default=[], help="names of mutations")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true", help="only look whether each mistake's text is where it was")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.check:
        check_all()

    chosen = mutations.DEVICE if arguments.device else mutations.HOST
    unknown = set(arguments.only) - {mutation.name for mutation in chosen}
    if unknown:
        sys.exit(f"mutation: no such mutation: {', '.join(sorted(unknown))}")
    chosen = [mutation for mutation in chosen if not arguments.only or mutation.name in arguments.only]
    if arguments.list:
        for mutation in chosen:
            print(f"{mutation.name:34} {mutation.file}: {mutation.why}")
        return

    with tempfile.TemporaryDirectory(prefix="ckl-mutation-") as folder:
        try:
            copy = Copy(pathlib.Path(folder), arguments)
            # Unmutated, everything passes: else a failure would say nothing.
            for tests in sorted({mutation.tests for mutation in chosen}):
                failure = copy.failing(tests)
                if failure:
                    raise Failure(f"without any mistake planted, {failure[0]} fails:\n{failure[1]}")
            missed = [mutation.name for mutation in chosen if not caught(copy, mutation)]
        except Failure as failure:
            sys.exit(f"mutation: {failure}")
    print(f"{len(chosen) - len(missed)} of {len(chosen)} mistakes were caught")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
