"""gpu_check on made-up programs: what has passed is kept, what has failed is done again, and the exit status tells."""
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import unittest

GPU_CHECK = pathlib.Path(__file__).resolve().parents[2] / "tools/gpu_check"


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.program("path/nvidia-smi", "echo '9.0, NVIDIA H100'")
        self.program("path/compute-sanitizer", 'echo "sanitized with $2"')
        self.program("build/bin/ckl", f'echo "$@" >>{self.root}/calls; echo "ckl $1 done"')
        self.program("build/bin/device/add_test", "echo all tests passed")

    def program(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def check(self, *arguments):
        environment = {**os.environ, "PATH": f"{self.root}/path:/usr/bin:/bin", "CKL_PREBUILT": "1",
                       "CKL_CUDA_DIR": "", "CUDA_HOME": ""}
        done = subprocess.run([sys.executable, GPU_CHECK, self.root / "build", *arguments], capture_output=True, text=True,
                              env=environment)
        return done.returncode, done.stdout + done.stderr

    def test_goes_on_where_it_stopped(self):
        status, output = self.check("--only", "run")
        self.assertEqual(status, 0, output)
        status, output = self.check()
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"test add_test +passed .* all tests passed")
        self.assertRegex(output, r"run gemm +passed")
        self.assertRegex(output, r"fuzz all +passed")
        calls = (self.root / "calls").read_text().splitlines()
        self.assertEqual(calls.count("run gemm"), 1)
        self.check("--again", "--only", "run")
        self.assertEqual((self.root / "calls").read_text().splitlines().count("run gemm"), 2)

    def test_a_changed_program_is_checked_again(self):
        self.check()
        self.program("build/bin/device/add_test", "echo one test failed; exit 1")
        status, output = self.check()
        self.assertEqual(status, 1)
        self.assertRegex(output, r"test add_test +failed .* one test failed")
        self.program("build/bin/device/add_test", "exit 77")
        status, output = self.check("--only", "test add")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"test add_test +skipped")

    def test_no_time_left(self):
        status, output = self.check("--seconds", "-1")
        self.assertEqual(status, 1)
        self.assertIn("call again to go on", output)
        self.assertFalse((self.root / "calls").exists())

    def test_no_gpu(self):
        self.program("path/nvidia-smi", "echo '8.0, NVIDIA A100'")
        status, output = self.check()
        self.assertEqual(status, 1)
        self.assertIn("a GPU of compute capability 9.0 is needed, this machine has: 8.0, NVIDIA A100", output)
        self.program("path/nvidia-smi", "exit 9")
        self.assertIn("finds no GPU", self.check()[1])

    def test_python_module(self):
        module = self.root / f"build/python/ckl/_ckl{sysconfig.get_config_var('EXT_SUFFIX')}"
        self.assertNotIn("python test_module", self.check("--list")[1])
        module.parent.mkdir(parents=True)
        module.touch()
        self.assertIn("python test_module", self.check("--list")[1])

    def test_a_missing_program(self):
        (self.root / "build/bin/ckl").unlink()
        status, output = self.check("--only", "info")
        self.assertEqual(status, 1)
        self.assertRegex(output, r"info +failed .*cannot be run")

    def test_pack(self):
        self.program("build/bin/ckl-compile-kernel", "true")
        for name in ("bin/ckl", "bin/device/add_test"):  # programs that load libraries
            (self.root / "build" / name).write_bytes(pathlib.Path("/bin/sh").read_bytes())
        (self.root / "build/bin/suites").mkdir()
        (self.root / "build/bin/suites/first.yaml").write_text("rows: []\n")
        status, output = self.check("--pack", str(self.root / "pack"))
        self.assertEqual(status, 0, output)
        packed = {path.relative_to(self.root / "pack").as_posix() for path in (self.root / "pack").rglob("*") if path.is_file()}
        self.assertEqual(packed, {"bin/ckl", "bin/ckl-compile-kernel", "bin/device/add_test", "bin/suites/first.yaml"})
        (self.root / "build/bin/ckl").unlink()
        status, output = self.check("--pack", str(self.root / "other"))
        self.assertEqual(status, 1)
        self.assertIn("build first", output)

    def test_sanitizers_are_told_how_many_barriers_there_are(self):
        self.program("path/compute-sanitizer", 'echo "$@"')
        for tool, told in {"memcheck": False, "racecheck": True, "synccheck": True, "initcheck": False}.items():
            self.assertEqual(self.check("--only", tool)[0], 0)
            log = (self.root / f"build/gpu-check/{tool}-add_test.log").read_text()
            self.assertEqual("--num-cuda-barriers" in log, told, log)

    def test_only_takes_a_pattern(self):
        names = self.check("--list", "--only", "^(mem|sync)check add")[1].split("\n")
        self.assertEqual(names[:-1], ["memcheck add_test", "synccheck add_test"])
        status, output = self.check("--only", "(")
        self.assertEqual(status, 2)
        self.assertIn("must be a regular expression, got `(`", output)

    def waiting_tests(self):
        """Two tests, each of which passes if the other runs beside it."""
        (self.root / "build/bin/device/add_test").unlink()
        for name, other in {"one": "two", "two": "one"}.items():
            self.program(f"build/bin/device/{name}_test", f"""
touch {self.root}/{name}
for i in 1 2 3 4 5 6 7 8 9 10; do [ -e {self.root}/{other} ] && exit 0; sleep 0.3; done
echo alone; exit 1""")

    def test_jobs_run_together(self):
        self.waiting_tests()
        status, output = self.check("--only", "^test", "--jobs", "2")
        self.assertEqual(status, 0, output)
        lines = [line.split()[1] for line in output.splitlines() if "passed" in line]
        self.assertEqual(lines, ["one_test", "two_test"])  # shown in their order, whoever ends first

    def test_one_at_a_time_by_default(self):
        self.waiting_tests()
        status, output = self.check("--only", "^test")
        self.assertRegex(output, r"test one_test +failed .* alone")

    def test_measurements_are_alone(self):
        (self.root / "build/bin/suites").mkdir()
        for suite in ("first", "second"):
            (self.root / f"build/bin/suites/{suite}.yaml").write_text("rows: []\n")
        busy = f"mkdir {self.root}/busy || {{ echo not alone; exit 1; }}; sleep 0.3; rmdir {self.root}/busy"
        self.program("build/bin/ckl", f'[ "$1" = bench ] || exit 0; {busy}')
        self.program("build/bin/device/add_test", f"mkdir -p {self.root}/busy/add; sleep 0.3; rm -r {self.root}/busy")
        status, output = self.check("--only", "^(test|bench)", "--jobs", "4")
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"bench second +passed")

    def test_jobs_is_a_number(self):
        for wrong in ("0", "-1", "many"):
            status, output = self.check("--jobs", wrong)
            self.assertEqual(status, 2)
            self.assertIn("--jobs", output)
        self.assertIn("must be a number from 1 on, got `0`", self.check("--jobs", "0")[1])

    def test_an_interruption_ends_all(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(how):
                self.interrupt(how)

    def interrupt(self, how):
        names = ("one", "two", "three")
        for name in names:
            (self.root / name).unlink(missing_ok=True)
            self.program(f"build/bin/device/{name}_test", f"echo $$ > {self.root}/{name}; exec sleep 60")
        environment = {**os.environ, "PATH": f"{self.root}/path:/usr/bin:/bin", "CKL_PREBUILT": "1"}
        check = subprocess.Popen([sys.executable, GPU_CHECK, self.root / "build", "--only", "^test (one|two|three)", "--jobs", "2"],
                                 env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started = lambda: [int(text) for name in names if (self.root / name).exists() and (text := (self.root / name).read_text())]
        deadline = time.monotonic() + 20
        while len(started()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        check.send_signal(how)
        output = check.communicate(timeout=20)[0]
        self.assertNotEqual(check.returncode, 0)
        self.assertEqual(len(started()), 2, output)  # the third was not begun
        for process in started():  # and the others have ended
            self.assertRaises(ProcessLookupError, os.kill, process, 0)
        self.assertEqual(list((self.root / "build/gpu-check").glob("*.json")), [])  # nothing is held to be known

    def test_no_such_step(self):
        status, output = self.check("--only", "nonsense")
        self.assertEqual(status, 1)
        self.assertIn("no step is named", output)


if __name__ == "__main__":
    unittest.main()
