"""tidy with a clang-tidy of its own: which files it looks at, and what its exit code says."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Tidy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "build").mkdir()
        (self.folder / "build/compile_commands.json").write_text("[]")
        clang_tidy = self.folder / "path/clang-tidy"
        clang_tidy.parent.mkdir()
        clang_tidy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{self.folder}/seen\ncase "$*" in *bad*) exit 1 ;; esac\n')
        clang_tidy.chmod(0o755)
        for name in ("good.cpp", "bad one.cpp", "kernel.cuh"):
            (self.folder / name).write_text("")

    def tidy(self, *arguments, status=0):
        """What clang-tidy was called with, options and files apart, in no order; or what was printed, if it was not called."""
        seen = self.folder / "seen"
        seen.unlink(missing_ok=True)
        environment = dict(os.environ, PATH=f"{self.folder}/path:{os.environ['PATH']}")
        done = subprocess.run([ROOT / "tools/tidy", *arguments], cwd=self.folder, env=environment, capture_output=True, text=True)
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode != 0, status != 0, output)
        if not seen.exists():
            return output
        words = seen.read_text().splitlines()
        return {word for word in words if word.startswith("-")}, sorted(word for word in words if word.endswith(".cpp"))

    def test_everything(self):
        options, files = self.tidy("build")
        self.assertEqual(options, {"--quiet", "-p"})
        self.assertIn("src/host/rows.cpp", files)
        self.assertIn("reference/gemm.cpp", files)
        self.assertEqual(self.tidy()[1], files)

    def test_some_files(self):
        self.assertEqual(self.tidy("good.cpp")[1], ["good.cpp"])
        self.assertEqual(self.tidy("build", "good.cpp")[1], ["good.cpp"])
        self.assertEqual(self.tidy("build", "good.cpp", "bad one.cpp", status=1)[1], ["bad one.cpp", "good.cpp"])

    def test_no_such_file(self):
        self.assertIn("missing.cpp is no C++ source", self.tidy("build", "missing.cpp", status=1))
        self.assertIn("kernel.cuh is no C++ source", self.tidy("build", "good.cpp", "kernel.cuh", status=1))

    def test_no_build(self):
        self.assertIn("run `make build` first", self.tidy("elsewhere", status=1))

    def test_help(self):
        self.assertIn("tools/tidy [BUILD_FOLDER] [FILE.cpp ...]", self.tidy("--help"))


if __name__ == "__main__":
    unittest.main()
