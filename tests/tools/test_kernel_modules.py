"""The machinery of kernel modules (cmake/kernel_modules.cmake, compile_module.sh) on a small library and a made-up nvcc."""
import os
import pathlib
import subprocess
import tempfile
import unittest

CMAKE = pathlib.Path(__file__).resolve().parents[2] / "cmake"

# Copies the source, preceded by its headers, to the output and keeps a list of what it was called for.
NVCC = r"""#!/bin/sh
for word; do
  case $before in -MF) depfile=$word ;; -MT) target=$word ;; -o) output=$word ;; esac
  case $word in *.cu) source=$word ;; -E | -fatbin) action=$word ;; esac
  before=$word
done
here=$(dirname "$0")
header=$here/src/ops/scale/kernel.cuh
[ -z "$depfile" ] || echo "$target: $source $header" >"$depfile"
case $action in
  -E) [ -n "$output" ] && cat "$header" "$source" >"$output" || cat "$header" "$source" ;;
  -fatbin) basename "$source" >>"$here/compiled"; cat "$header" "$source" >"$output"; cat "$here/says" ;;
esac
"""

PROJECT = f"""cmake_minimum_required(VERSION 3.25)
project(modules LANGUAGES CXX)
set(CKL_NVCC "${{PROJECT_SOURCE_DIR}}/nvcc")
include("{CMAKE}/kernel_modules.cmake")
add_subdirectory(src)
"""

LIBRARY = """add_library(modules SHARED main.cpp)
target_include_directories(modules PRIVATE .)
ckl_add_operator_modules(modules scale)
"""

TYPES = """#pragma once
#include <cstddef>
namespace ckl::host {
struct ShippedConfig {
  const char* name;
  bool measured;
};
struct ModuleImage {
  const char *op, *name;
  const unsigned char *begin, *end;
  const ShippedConfig* entries;
  std::size_t entry_count;
};
extern const ModuleImage kModules[];
extern const std::size_t kModuleCount;
}
"""


class KernelModules(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("nvcc", NVCC)
        (self.root / "nvcc").chmod(0o755)
        self.write("says", "ptxas info: fine\n")
        self.write("CMakeLists.txt", PROJECT)
        self.write("src/CMakeLists.txt", LIBRARY)
        self.write("src/main.cpp", "")
        self.write("src/host/module.hpp", TYPES)
        self.write("src/ops/scale/kernel.cuh", "// the kernel\n")
        self.write("src/ops/scale/instances.txt", "# comment\nscale_a: x1 x2 # more\nscale_b: -DWIDE y1\nscale_a: x3?\n")

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run_cmake(self, *arguments, cache="none"):
        environment = {**os.environ, "CKL_MODULE_CACHE": str(self.root / cache)}
        done = subprocess.run(["cmake", *arguments], cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=environment)
        return done.returncode, " ".join(done.stdout.split())

    def build(self, folder="build", **options):
        """What nvcc compiled, and all output; fails the test if the build does."""
        (self.root / "compiled").unlink(missing_ok=True)
        status, output = self.run_cmake("-G", "Ninja", "-S", ".", "-B", folder)
        self.assertEqual(status, 0, output)
        status, output = self.run_cmake("--build", folder, **options)
        self.assertEqual(status, 0, output)
        compiled = self.root / "compiled"
        return sorted(compiled.read_text().split()) if compiled.exists() else []

    def test_what_is_generated(self):
        self.assertEqual(self.build(), ["scale_a.cu", "scale_b.cu"])
        modules = self.root / "build/src/modules"
        entries = '#include "ops/scale/kernel.cuh"\n\nCKL_SCALE_ENTRY({})\n'
        self.assertEqual((modules / "scale_a.cu").read_text(), entries.format("x1)\nCKL_SCALE_ENTRY(x2)\nCKL_SCALE_ENTRY(x3"))
        self.assertEqual((modules / "scale_b.cu").read_text(), "#define WIDE\n" + entries.format("y1"))
        self.assertEqual((modules / "entries.txt").read_text().splitlines(),
                         ["scale scale_a ckl_scale_x1", "scale scale_a ckl_scale_x2", "scale scale_a ckl_scale_x3",
                          "scale scale_b ckl_scale_y1"])
        table = (modules / "table.cpp").read_text()
        self.assertIn('scale_a_entries[] = {{"x1", true}, {"x2", true}, {"x3", false}, };', table)  # the last is not measured
        library = (self.root / "build/src/libmodules.so").read_bytes()
        self.assertIn((modules / "scale_a.fatbin").read_bytes(), library)
        self.assertIn((modules / "scale_b.fatbin").read_bytes(), library)

    def test_only_what_changed_is_rebuilt(self):
        self.build()
        self.assertEqual(self.build(), [])
        self.write("src/ops/scale/instances.txt", "scale_a: x1 x2 x3\nscale_b: -DWIDE y1 y2\n")
        self.assertEqual(self.build(), ["scale_b.cu"])
        self.write("src/ops/scale/kernel.cuh", "// another kernel\n")
        self.assertEqual(self.build(), ["scale_a.cu", "scale_b.cu"])
        self.assertIn(b"another kernel", (self.root / "build/src/libmodules.so").read_bytes())

    def test_the_cache(self):
        (self.root / "cache").mkdir()
        self.assertEqual(self.build("one", cache="cache"), ["scale_a.cu", "scale_b.cu"])
        self.assertEqual(self.build("two", cache="cache"), [])
        for name in ("scale_a", "scale_b"):
            one, two = (self.root / folder / f"src/modules/{name}.fatbin" for folder in ("one", "two"))
            self.assertEqual(one.read_bytes(), two.read_bytes())
        self.assertNotEqual((self.root / "two/src/modules/scale_a.fatbin").read_bytes(), two.read_bytes())
        # A header is a dependency also where the module came from the cache, and a pragma is part of what is compiled.
        self.write("src/ops/scale/kernel.cuh", "// the kernel\n#pragma unroll 4\n")
        self.assertEqual(self.build("two", cache="cache"), ["scale_a.cu", "scale_b.cu"])

    def test_serialized_wgmma_fails_the_build(self):
        self.run_cmake("-G", "Ninja", "-S", ".", "-B", "build")
        self.write("says", "ptxas info : (C7514) Potential Performance Loss: wgmma.mma_async instructions are serialized\n")
        for _ in range(2):  # the failed module must not be taken for built the second time
            status, output = self.run_cmake("--build", "build")
            self.assertNotEqual(status, 0)
            self.assertIn("ptxas serialized wgmma or ignored setmaxnreg in scale_", output)
        self.write("says", "")
        self.assertEqual(len(self.build()), 2)

    def test_bad_lists(self):
        for text, message in [
            ("scale_a x1\n", "expected `module_name: config ...`, got `scale_a x1`"),
            ("scale_a: x1 X-2\n", "`X-2` in module scale_a is neither a config (a-z, 0-9, _), maybe with a ?, nor -DMACRO"),
            ("scale_a: x?1\n", "`x?1` in module scale_a is neither"),
            ("scale_a: x1 x1?\n", "module scale_a lists a config twice"),
            ("scale_a: x1\nscale_a: x1\n", "module scale_a lists a config twice"),
            ("scale_a:\n", "module scale_a has no config"),
        ]:
            with self.subTest(text):
                self.write("src/ops/scale/instances.txt", text)
                status, output = self.run_cmake("-G", "Ninja", "-S", ".", "-B", "build")
                self.assertNotEqual(status, 0)
                self.assertIn(message, output)


if __name__ == "__main__":
    unittest.main()
