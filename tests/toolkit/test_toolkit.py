"""Makes a CUDA toolkit from the PyPI wheels, as setup does on a machine without one, and builds a module and a program with it.
Nothing of another toolkit may be read or linked.

  test_toolkit.py BUILD_FOLDER CUTLASS_INCLUDE
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

BUILD, CUTLASS = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
TOOLKIT = BUILD / "deps" / "cuda"
SETUP = SOURCE / "tools" / "setup"

# What might lead to another toolkit.
CLEAN = {key: value for key, value in os.environ.items()
         if not key.startswith(("CUDA", "CKL", "NVCC", "LD_", "CPATH", "CPLUS", "LIBRARY_PATH"))}


def run(*command, **options):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **{"env": CLEAN, **options})


class Toolkit(unittest.TestCase):
    def must(self, *command, **options):
        done = run(*command, **options)
        self.assertEqual(done.returncode, 0, f"{' '.join(map(str, command))} failed:\n{done.stdout}")
        return done.stdout

    def test_build(self):
        with tempfile.TemporaryDirectory() as folder:
            build = pathlib.Path(folder)
            self.must("cmake", "-G", "Ninja", "-S", SOURCE / "tests/toolkit/project", "-B", build, f"-DCKL_SOURCE_DIR={SOURCE}",
                      f"-DCKL_CUDA_DIR={TOOLKIT}", f"-DCKL_CUTLASS_DIR={CUTLASS}")
            linked = self.must("cmake", "--build", build, "--verbose")
            self.must(build / "host")

            read = re.findall(r"(/\S+)", (build / "modules/scale.fatbin.d").read_text().split(" : ", 1)[1])
            self.assertGreater(len(read), 100)
            allowed = (str(TOOLKIT), str(CUTLASS), str(SOURCE), "/usr/include/", "/usr/lib/")
            self.assertEqual([file for file in map(os.path.realpath, read) if not file.startswith(allowed)], [])

            runtime = [line for line in linked.splitlines() if re.match(r"\S*/libcudart\S*$", line)]
            self.assertTrue(runtime, "the linker did not trace libcudart")
            for line in [*runtime, *re.findall(r"libcudart\S* => (\S+)", self.must("ldd", build / "host"))]:
                self.assertTrue(os.path.realpath(line).startswith(str(TOOLKIT)), f"linked from outside the toolkit: {line}")

    def configure(self, cuda):
        with tempfile.TemporaryDirectory() as folder:
            return run("cmake", "-G", "Ninja", "-S", SOURCE / "tests/toolkit/project", "-B", folder, f"-DCKL_SOURCE_DIR={SOURCE}",
                       f"-DCKL_CUDA_DIR={cuda}", f"-DCKL_CUTLASS_DIR={CUTLASS}", f"-DCKL_DEPS_DIR={folder}")

    def test_missing_toolkit(self):
        with tempfile.TemporaryDirectory() as empty:
            done = self.configure(empty)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("No CUDA toolkit found (12.8 or newer is required)", " ".join(done.stdout.split()))
            done = run(SETUP, empty, env={**CLEAN, "CKL_CUDA_DIR": empty, "CKL_CUTLASS_DIR": str(CUTLASS)})
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("12.8 or newer is required", done.stdout)

    def test_old_toolkit(self):
        with tempfile.TemporaryDirectory() as old:
            nvcc = pathlib.Path(old) / "bin/nvcc"
            nvcc.parent.mkdir()
            nvcc.write_text("#!/bin/sh\necho Cuda compilation tools, release 12.4, V12.4.131\n")
            nvcc.chmod(0o755)
            done = self.configure(old)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("is version 12.4, but 12.8 or newer is required", " ".join(done.stdout.split()))
            done = run(SETUP, old, env={**CLEAN, "CKL_CUDA_DIR": old, "CKL_CUTLASS_DIR": str(CUTLASS)})
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("is version 12.4, but 12.8 or newer is required", done.stdout)

    def test_setup_changes_nothing_when_all_is_there(self):
        before = sorted(path.name for path in (BUILD / "deps").iterdir())
        self.assertEqual(self.must(SETUP, "--cuda-from-wheels", BUILD), "")
        self.assertEqual(sorted(path.name for path in (BUILD / "deps").iterdir()), before)


if __name__ == "__main__":
    made = run(SETUP, "--cuda-from-wheels", BUILD)
    if made.returncode:
        print(made.stdout)
        if "PyPI did not give" in made.stdout:
            print("skipped: the wheels of the CUDA toolkit cannot be downloaded here")
            sys.exit(77)
        sys.exit(1)
    unittest.main(argv=sys.argv[:1])
