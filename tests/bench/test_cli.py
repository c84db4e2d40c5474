#!/usr/bin/env python3
"""Runs the ckl command where no GPU is needed.   test_cli.py CKL DATA"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

CKL = DATA = EMULATOR = None


def run(*arguments, **options):
    return subprocess.run([CKL, *arguments], capture_output=True, text=True, timeout=120, **options)


class Help(unittest.TestCase):
    def test_every_verb_teaches(self):
        top = run("--help")
        self.assertEqual(top.returncode, 0)
        self.assertIn("Examples:", top.stdout)
        for verb in ["run", "bench", "report", "candidates", "compile", "tune", "profile", "sanitize", "emulate", "fuzz"]:
            self.assertIn(verb, top.stdout)
            page = run(verb, "--help")
            self.assertEqual(page.returncode, 0, verb)
            self.assertIn("Example", page.stdout, verb)

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^ckl \d+\.\d+\.\d+$")


class BadArguments(unittest.TestCase):
    def expect(self, arguments, *words):
        """Exit code 2, and one sentence that holds all words."""
        result = run(*arguments)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_each_names_argument_requirement_and_value(self):
        self.expect([], "subcommand")
        self.expect(["frobnicate"], "frobnicate")
        self.expect(["bench"], "op", "`ckl bench --help`")
        self.expect(["bench", "frob"], "op", "must be one of", "frob")
        self.expect(["run", "all"], "op", "one operator", "all")
        self.expect(["run", "gemm", "--problem", "4x5"], "--problem", "must be", "4x5")
        self.expect(["run", "gemm", "--problem", "1x1x1,2x2x2"], "--problem", "one problem")
        self.expect(["run", "gemm", "--dtype", "f64"], "--dtype", "bf16", "f64")
        self.expect(["run", "gemm", "--layout", "xx"], "--layout", "tn", "xx")
        self.expect(["run", "gemm", "--device", "-1"], "--device", "-1")
        self.expect(["run", "gemm", "--regime", "warm"], "--regime", "cold", "warm")
        self.expect(["bench", "gemm", "--suite", "nowhere"], "--suite", "nowhere")
        self.expect(["bench", "gemm", "--suite", "/tmp"], "--suite", "must be a file", "/tmp")
        self.expect(["bench", "gemm", "--device", "reference"], "--device", "reference")
        self.expect(["candidates", "gemm", "--device", "reference"], "--device", "for candidates", "reference")
        self.expect(["run", "reduce", "--device", "reference", "--axis", "x"], "--axis", "all, or numbers", "`x`")
        self.expect(["compile", "gemm", "x", "--jobs", "0"], "--jobs", "above 0", "`0`")
        self.expect(["bench", "gemm", "--suite", "foundation", "--problem", "1x1x1"], "--problem", "--suite")
        self.expect(["tune", "gemm", "--device", "emulator"], "--device", "CUDA index for tune", "emulator")
        self.expect(["tune", "gemm", "--device", "reference"], "--device", "reference")
        self.expect(["tune", "add"], "op", "tune", "add")
        self.expect(["tune", "gemm", "--config", "all"], "--config", "all")
        self.expect(["tune", "gemm", "--suite", "foundation", "--problem", "1x1x1"], "--problem", "--suite")
        self.expect(["profile", "gemm", "--device", "emulator"], "--device", "GPU", "emulator")
        self.expect(["sanitize", "gemm", "--tool", "frobcheck"], "--tool", "frobcheck")
        self.expect(["report", "nowhere.json"], "nowhere.json")
        self.expect(["report", "/tmp"], "/tmp", "cannot be read")
        self.expect(["report"], "files")


class Reference(unittest.TestCase):
    def test_computes_without_a_gpu(self):
        for op, problem in [("gemm", "60x50x40"), ("add", "33x70")]:
            result = run("run", op, "--device", "reference", "--problem", problem)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(problem, result.stdout)
            self.assertIn("double precision", result.stdout)


class Report(unittest.TestCase):
    sample = property(lambda self: str(DATA / "sample.json"))

    def test_tables(self):
        self.assertIn("geometric mean", run("report", self.sample).stdout)
        self.assertIn("| problem |", run("report", self.sample, "--markdown").stdout)
        self.assertIn("time_us_median", run("report", self.sample, "--csv").stdout)

    def test_page(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder, "page.html")
            self.assertEqual(run("report", self.sample, "--html", str(page)).returncode, 0)
            self.assertIn("<svg", page.read_text())
            self.assertEqual(os.listdir(folder), ["page.html"])

    def test_against_itself_nothing_changed(self):
        result = run("report", self.sample, "--against", self.sample)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("SLOWER", result.stdout)

    def test_a_regression_fails(self):
        slower = json.loads(pathlib.Path(self.sample).read_text())
        for row in slower["rows"]:
            for ratio in row.get("ratio", {}).values():
                for key in ratio:
                    ratio[key] *= 0.8
        with tempfile.TemporaryDirectory() as folder:
            new = pathlib.Path(folder, "new.json")
            new.write_text(json.dumps(slower))
            result = run("report", str(new), "--against", self.sample)
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn("SLOWER", result.stdout)

    def test_other_json_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder, "other.json")
            for text, word in [("{", "not JSON"), ("{}", "schema"), ('{"schema": 1}', "schema")]:
                other.write_text(text)
                result = run("report", str(other))
                self.assertEqual(result.returncode, 2)
                self.assertIn(word, result.stderr)


class Pipe(unittest.TestCase):
    def test_no_progress_bar(self):
        """Without a terminal neither stream holds a carriage return or an escape, whether there is a GPU or not."""
        result = run("bench", "add", "--problem", "1048576", "--quick")
        self.assertNotIn("\r", result.stdout + result.stderr)
        self.assertNotIn("\033", result.stdout + result.stderr)


class Fuzz(unittest.TestCase):
    def test_bad_arguments(self):
        for arguments, word in [(["conv"], "op:"), (["gemm", "--case", "m=x"], "--case"), (["gemm", "--device", "reference"], "--device"),
                                (["all", "--case", "m=3"], "--case: is a problem of one operator"),
                                (["gemm", "--device", "nine"], "--device"), (["gemm", "--seed", "-3"], "--seed"),
                                (["add", "--case", "rank=6"], "rank must be a number from 0 to 5"), (["gemm", "--count", "0"], "--count")]:
            result = run("fuzz", *arguments)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
            self.assertIn(word, result.stderr)

    def test_one_case(self):
        if not EMULATOR.exists():
            self.skipTest("no emulator")
        for case in ["simplest", "m=65,n=9,k=3,a_offset=1", "m=3,n=3,k=3,fault=a_is_null"]:
            result = run("fuzz", "gemm", "--device", "emulator", "--case", case)
            self.assertEqual((result.returncode, result.stdout), (0, f"gemm {case}: right\n"), result.stderr)


class Tune(unittest.TestCase):
    def test_without_a_gpu(self):
        """One sentence, no database."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tuning.json")
            os.environ["CKL_TUNING_DATABASE"] = str(path)
            try:
                result = run("tune", "gemm", "--problem", "64x64x64")
                under_emulator = run("emulate", "--", CKL, "tune", "gemm", "--problem", "64x64x64")
            finally:
                del os.environ["CKL_TUNING_DATABASE"]
            if result.returncode == 0:
                self.assertEqual(len(json.loads(path.read_text())["entries"]), 1)
                return
            self.assertEqual((result.returncode, len(result.stderr.strip().splitlines())), (1, 1), result.stderr)
            self.assertNotEqual(under_emulator.returncode, 0)
            self.assertEqual(len(under_emulator.stderr.strip().splitlines()), 1, under_emulator.stderr)
            self.assertFalse(path.exists())

    def test_a_malformed_database_breaks_nothing(self):
        if not (pathlib.Path(CKL).parent / "../emulator/libcudart.so.13").exists():
            self.skipTest("no emulator")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tuning.json")
            path.write_text("{ not JSON")
            os.environ.update(CKL_TUNING_DATABASE=str(path), CKL_LOG="plan")
            try:
                result = run("run", "gemm", "--device", "emulator", "--problem", "64x64x64", "--impl", "ckl")
            finally:
                del os.environ["CKL_TUNING_DATABASE"], os.environ["CKL_LOG"]
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stderr, r"ckl: the tuning database .* is ignored: .*JSON")
            self.assertRegex(result.stderr, r"ckl: gemm m=64 .*, by the model")

    def test_the_database_is_chosen_by(self):
        """Its entry comes first in the candidates, and the log says so; another version's does not, and the log says why."""
        if not (pathlib.Path(CKL).parent / "../emulator/libcudart.so.13").exists():
            self.skipTest("no emulator")
        problem = ["gemm", "--device", "emulator", "--problem", "64x64x64"]
        candidates = run("candidates", *problem).stdout.split()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tuning.json")
            os.environ.update(CKL_TUNING_DATABASE=str(path), CKL_LOG="plan")
            try:
                # The key and the scope, as the library writes them: by one who stores what it was told.
                program = pathlib.Path(CKL).parent / "device" / "store_tuning"
                stored = run("emulate", "--", str(program), "64", "64", "64", candidates[-1])
                self.assertEqual(stored.returncode, 0, stored.stderr)
                self.assertEqual(run("candidates", *problem).stdout.split()[0], candidates[-1])
                self.assertRegex(run("run", *problem, "--impl", "ckl").stderr, "by the tuning database")
                path.write_text(path.read_text().replace('"library": "', '"library": "9'))
                self.assertEqual(run("candidates", *problem).stdout.split(), candidates)
                self.assertRegex(run("run", *problem, "--impl", "ckl").stderr, "by the model; .*another version of the library")
            finally:
                del os.environ["CKL_TUNING_DATABASE"], os.environ["CKL_LOG"]

    def test_compiled_kernels(self):
        """What is compiled is a candidate, serves where it is asked for and only there, and is told from a broken file."""
        if not (pathlib.Path(CKL).parent / "../emulator/libcudart.so.13").exists():
            self.skipTest("no emulator")
        config = "bf16_tn_64x32x64_1x1_s2_ping"
        problem = ["gemm", "--device", "emulator", "--problem", "72x40x136"]
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(CKL_KERNELS=folder, CKL_LOG="plan")
            try:
                before = run("candidates", *problem).stdout.split()
                for wrong, word in [("nonsense", "named like"), (before[0], "shipped"), ("bf16_tn_64x32x64_1x1_s99_ping", "shared memory")]:
                    result = run("compile", "gemm", config, wrong)
                    self.assertEqual((result.returncode, len(result.stderr.strip().splitlines())), (2, 1), result.stderr)
                    self.assertIn(word, result.stderr)
                self.assertEqual(list(pathlib.Path(folder).iterdir()), [], "nothing is compiled where something is wrong")

                result = run("compile", "gemm", config)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertRegex(result.stdout, config + r": compiled in \d+ s, \d+ registers a thread, nothing spilled")
                self.assertEqual(run("candidates", *problem).stdout.split()[:len(before)], before)
                self.assertIn(config, run("candidates", *problem).stdout.split()[len(before):])
                self.assertIn(config, run("info").stdout)
                result = run("run", *problem, "--impl", "ckl", "--config", config)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertRegex(result.stderr, config + ", as asked")
                self.assertNotIn(config, run("run", *problem, "--impl", "ckl").stderr)

                next(pathlib.Path(folder).rglob("*.fatbin")).write_bytes(b"no kernel")
                result = run("run", *problem, "--impl", "ckl", "--config", config)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stdout, r"failed: cudaLibraryLoadFromFile\(\".*" + config)
            finally:
                del os.environ["CKL_KERNELS"], os.environ["CKL_LOG"]

    def test_compiling_without_a_toolkit(self):
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(CKL_KERNELS=folder, CKL_CUDA_DIR=folder)
            try:
                result = run("compile", "gemm", "bf16_tn_64x32x64_1x1_s2_ping")
            finally:
                del os.environ["CKL_KERNELS"], os.environ["CKL_CUDA_DIR"]
            self.assertEqual(result.returncode, 1)
            self.assertIn("CKL_CUDA_DIR must name a CUDA toolkit", result.stderr)
            self.assertEqual(list(pathlib.Path(folder).rglob("*.fatbin")), [])

    def test_call_without_a_plan(self):
        if not (pathlib.Path(CKL).parent / "../emulator/libcudart.so.13").exists():
            self.skipTest("no emulator")
        result = run("bench", "gemm", "--device", "emulator", "--problem", "72x64x64", "--beta", "0.5", "--impl", "ckl,ckl_call")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"ckl_call .*verified")

    def test_says_why_a_row_has_no_vendor(self):
        if not EMULATOR.exists():
            self.skipTest("no emulator")
        for op in ["norm", "norm_backward", "softmax", "softmax_backward"]:
            result = run("bench", op, "--device", "emulator", "--problem", "4x64")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stdout, r"ckl .*verified")
            self.assertRegex(result.stdout, r"cudnn_first .*not available under the emulator")
            self.assertNotIn("cudnn_best", result.stdout)  # it takes its time, and was not asked for
            result = run("bench", op, "--device", "emulator", "--problem", "4x64", "--impl", "cudnn_best")
            self.assertRegex(result.stdout, r"cudnn_best .*not available under the emulator")
            self.assertNotIn("cudnn_first", result.stdout)

    def test_memory_ablation(self):
        """Every kernel of it, in both orders of asynchronous work: of one SM's few blocks each goes round its ring."""
        if not EMULATOR.exists():
            self.skipTest("no emulator")
        for mode in ["early", "late"]:
            environment = {**os.environ, "CKL_EMU_MODE": mode}
            ring = run("bench", "memory_ablation", "--device", "emulator", "--layout", "copy,read", "--problem", "294912",
                       env={**environment, "CKL_EMU_SMS": "1"})
            rows = run("bench", "memory_ablation", "--device", "emulator", "--layout", "rows", "--problem", "65536", env=environment)
            for result, kernels in [(ring, 2 * 28), (rows, 4)]:
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout.count("verified"), kernels, result.stdout)

    def test_memory_ablation_chooses_by_name(self):
        for arguments, words in {("--problem", "100"): ["--problem", "multiple of 32768", "`100`"],
                                 ("--layout", "column"): ["--layout", "copy, read, rows", "`column`"]}.items():
            result = run("bench", "memory_ablation", *arguments)
            self.assertEqual(result.returncode, 2, result.stderr)
            for word in words:
                self.assertIn(word, result.stderr)
        if not EMULATOR.exists():
            self.skipTest("no emulator")
        one = run("bench", "memory_ablation", "--device", "emulator", "--layout", "copy,rows", "--impl", "bulk_v16_l4,cluster_2")
        self.assertEqual(one.stdout.count("verified"), 2, one.stdout)
        refused = run("bench", "memory_ablation", "--device", "emulator", "--config", "plain_v16_l4")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("chosen by --impl, got `plain_v16_l4`", refused.stderr)
        other = run("bench", "memory_ablation", "--device", "emulator", "--layout", "rows", "--impl", "plain_v16_l4")
        self.assertEqual(other.returncode, 2)
        self.assertIn("a kernel of layout rows, such as cluster_1, got `plain_v16_l4`", other.stderr)

    def test_cost_of_batch_invariance(self):
        if not (pathlib.Path(CKL).parent / "../emulator/libcudart.so.13").exists():
            self.skipTest("no emulator")
        result = run("bench", "gemm", "--device", "emulator", "--problem", "64x64x1024", "--impl", "ckl,ckl_batch_invariant")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"ckl_batch_invariant .*verified")


class Emulate(unittest.TestCase):
    def expect_refusal(self, code, program, *words):
        """The exit code, and one sentence that holds the program and all words."""
        result = run("emulate", "--", str(program))
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for word in [f"`{program}'", *words]:
            self.assertIn(word, result.stderr)

    def test_names_what_cannot_be_run(self):
        if not EMULATOR.exists():
            self.skipTest("no emulator")
        self.assertEqual(run("emulate").returncode, 2)
        for name in ["no-such-program", "", "/no/such/program", "if", "cd"]:  # also a shell's own words
            self.expect_refusal(127, name, "is not a program")
        with tempfile.TemporaryDirectory() as folder:
            self.expect_refusal(126, folder, "not an executable file")
            text = pathlib.Path(folder, "text")
            text.write_text("echo hello\n")
            self.expect_refusal(126, text, "not an executable file")
            text.write_text("#!/bin/sh\n# nv_fatbin\necho $LD_LIBRARY_PATH\n")
            text.chmod(0o755)
            script = run("emulate", "--", str(text))
            self.assertEqual((script.returncode, script.stderr), (0, ""))
            self.assertEqual(script.stdout.split(":")[0].strip(), str(EMULATOR.parent.resolve()))

    def test_refuses_a_static_runtime(self):
        """The file of kernels compiled with nvcc's default, -cudart static, as the linker leaves it: kernels and no libcudart.so."""
        compiler = shutil.which("c++") or shutil.which("g++")
        if not EMULATOR.exists() or not compiler:
            self.skipTest("no emulator or no compiler")
        with tempfile.TemporaryDirectory() as folder:
            source, program = pathlib.Path(folder, "static.cpp"), pathlib.Path(folder, "static")
            source.write_text('__attribute__((section(".nv_fatbin"), used)) char kernels[8];\nint main() {}\n')
            subprocess.run([compiler, str(source), "-o", str(program)], check=True)
            self.expect_refusal(126, program, "statically linked", "-cudart shared")

    def test_ladder(self):
        if not EMULATOR.exists():
            self.skipTest("no emulator")
        result = run("bench", "gemm", "--device", "emulator", "--problem", "256x256x128", "--impl", "ladder_2_wgmma,ladder_4_cluster")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"ladder_2_wgmma .*verified")
        self.assertRegex(result.stdout, r"ladder_4_cluster .*verified")
        layout = run("bench", "gemm", "--device", "emulator", "--problem", "256x256x128", "--layout", "nn", "--impl", "ladder_3_tma")
        self.assertIn("layout tn", layout.stdout)
        odd = run("bench", "gemm", "--device", "emulator", "--problem", "255x256x128", "--impl", "ladder_3_tma")
        self.assertIn("M must be a positive multiple of 128", odd.stdout)

    def test_passes_the_exit_code_on(self):
        result = run("emulate", "--", "sh", "-c", "exit 7")
        if EMULATOR.exists():
            self.assertEqual(result.returncode, 7)
        else:
            self.assertEqual(result.returncode, 2)
            self.assertIn("build the emulator", result.stderr)


if __name__ == "__main__":
    CKL, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
    EMULATOR = pathlib.Path(CKL).parent / "../emulator/libcudart.so.13"
    unittest.main(argv=sys.argv[:1])
