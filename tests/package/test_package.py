"""Installs the build into a folder and builds a project against it with find_package(CuTeKernelLib).

  test_package.py BUILD_FOLDER LIBRARY CUDA_TOOLKIT CUTLASS_INCLUDE
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, LIBRARY, CUDA, CUTLASS = map(pathlib.Path, sys.argv[1:5])
CONSUMER = pathlib.Path(__file__).parent / "consumer"
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.prefix = pathlib.Path(cls.folder.name) / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)

    def installed(self):
        return {path.relative_to(self.prefix).as_posix() for path in self.prefix.rglob("*") if not path.is_dir()}

    def test_consumer(self):
        build = pathlib.Path(self.folder.name) / "consumer"
        # A consumer needs no CUDA toolkit of its own: the public headers include none of it.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA", "CKL", "CPATH", "CPLUS"))}
        run("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}", env=environment)
        run("cmake", "--build", build, env=environment)
        self.assertRegex(run(build / "consumer", env=environment), r"^\d+\.\d+\.\d+: .*-1")

    def run_project(self, name):
        """Builds an example as a project of its own, by ckl_add_module; gives what its program says, which compares with double precision."""
        build = pathlib.Path(self.folder.name) / name
        source = pathlib.Path(self.folder.name) / f"{name}_source"  # outside of the library's tree
        shutil.copytree(EXAMPLES / name, source)
        run("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCKL_CUDA_DIR={CUDA}",
            f"-DCKL_CUTLASS_DIR={CUTLASS}")
        run("cmake", "--build", build)
        emulator = BUILD / "emulator"
        if not (emulator / "libcudart.so.13").exists():
            self.skipTest("compiled, but the emulator to run it is not built")
        return run(build / name, env=dict(os.environ, LD_LIBRARY_PATH=str(emulator)))

    def test_epilogue_of_ones_own(self):
        self.assertEqual(self.run_project("softcap").count("scores are right"), 6)

    def test_monoid_of_ones_own(self):
        said = self.run_project("outliers")
        self.assertGreaterEqual(said.count("the means are right"), 12)
        for config in ("warp_vec", "block_vec", "columns_vec", "warp_any", "block_any", "columns_any"):
            self.assertIn(f"custom_bf16_{config}", said)

    def test_function_of_ones_own(self):
        said = self.run_project("momentum")
        self.assertGreaterEqual(said.count("the steps are right"), 5)
        for config in ("v4_flat", "v4_rows", "v1_strided"):
            self.assertIn(f"n4_f32_{config}", said)

    def test_headers(self):
        files = self.installed()
        source = pathlib.Path(__file__).parents[2]
        for header in (source / "include").rglob("*.hpp"):
            self.assertIn(f"include/{header.relative_to(source / 'include').as_posix()}", files)
        for folder in ("device", "ops"):  # for modules of the user's own
            for header in [*(source / "src" / folder).rglob("*.cuh"), *(source / "src" / folder).rglob("*.hpp")]:
                self.assertIn(f"include/ckl/kernels/{header.relative_to(source / 'src').as_posix()}", files)

    def test_compiling_a_kernel(self):
        """The installed program compiles with the installed headers, where the sources are gone: nvcc is one that tells what it is given."""
        if not (BUILD / "bin/ckl").exists():
            self.skipTest("no ckl")
        toolkit = pathlib.Path(self.folder.name) / "toolkit"
        (toolkit / "bin").mkdir(parents=True)
        (toolkit / "bin/nvcc").write_text(f'#!/bin/sh\necho "$@" >>{toolkit}/said\nexit 1\n')
        (toolkit / "bin/nvcc").chmod(0o755)
        done = subprocess.run([self.prefix / "bin/ckl", "compile", "gemm", "bf16_tn_64x32x64_1x1_s2_ping"], capture_output=True, text=True,
                              env=dict(os.environ, CKL_KERNELS=str(toolkit), CKL_CUDA_DIR=str(toolkit), CKL_CUTLASS_DIR=str(CUTLASS),
                                       CKL_SOURCE_DIR="/nowhere"))
        self.assertEqual(done.returncode, 1, done.stderr)
        folders = [pathlib.Path(folder).resolve() for folder in re.findall(r"-I(\S+)", (toolkit / "said").read_text())]
        prefix = self.prefix.resolve()
        self.assertEqual(set(folders), {prefix / "include/ckl/kernels", prefix / "include", CUTLASS.resolve()})

    def test_emulator(self):
        if not (BUILD / "emulator/libcudart.so.13").exists() or not (BUILD / "bin/ckl").exists():
            self.skipTest("no emulator or no ckl")
        ckl = self.prefix / "bin/ckl"
        self.assertIn("ckl            right", run(ckl, "run", "add", "--device", "emulator", "--problem", "33x70"))
        folder = run(ckl, "emulate", "--", "printenv", "LD_LIBRARY_PATH").strip().split(":")[0]
        self.assertEqual(folder, str((self.prefix / "lib/ckl/emulator").resolve()))

    def test_python(self):
        if not list((BUILD / "python/ckl").glob("_ckl*.so")):
            self.skipTest("no Python module")
        python, = re.findall(r"^CKL_PYTHON_EXECUTABLE:INTERNAL=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
        site, = self.prefix.glob("lib/python*/site-packages")
        environment = {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": ""}
        self.assertTrue(run(python, "-c", "import ckl; print(ckl.__file__)", env=environment).startswith(str(site)))
        self.assertTrue({"__init__.py", "_types.py", "py.typed", "_ckl.pyi"} <= {path.name for path in (site / "ckl").iterdir()})

    def test_no_path_of_the_build(self):
        for name in self.installed():
            if name.endswith((".cmake", ".hpp", ".cuh")):
                self.assertNotIn(str(BUILD), (self.prefix / name).read_text(), name)

    def test_exported_symbols(self):
        if LIBRARY.suffix == ".a":
            self.skipTest("a static library hides nothing")
        names = run("nm", "--dynamic", "--defined-only", "--demangle", LIBRARY)
        # Type information of the standard library's templates is always shared.
        allowed = r"\w+ (\w (typeinfo (name )?for |vtable for )?ckl::|V (typeinfo (name )?|vtable )for std::|u std::)"
        foreign = [line for line in names.splitlines() if not re.match(allowed, line)]
        self.assertGreater(len(names.splitlines()), 10)
        self.assertEqual(foreign, [], "libckl exports more than its API")

    def test_dependencies(self):
        if LIBRARY.suffix == ".a":
            self.skipTest("a static library has no dependencies")
        needed = re.findall(r"NEEDED.*\[(.+?)\]", run("readelf", "--dynamic", LIBRARY))
        allowed = r"(libcudart|libstdc\+\+|libm|libgcc_s|libc|ld-linux-x86-64)\.so"
        self.assertEqual([name for name in needed if not re.match(allowed, name)], [])
        self.assertTrue([name for name in needed if name.startswith("libcudart.so")], "the CUDA runtime is linked as a shared library")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
