"""bench/peers/document.py: what it makes of suites and samples, which `ckl report` must be able to show. Without PyTorch and without a GPU.

  test_peers.py CKL
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CKL = sys.argv.pop(1)
PEERS = pathlib.Path(__file__).resolve().parents[2] / "bench/peers"
sys.path.insert(0, str(PEERS))
import document  # noqa: E402


class Peers(unittest.TestCase):
    def test_problems(self):
        suite = {"name": "s", "rows": [{"op": "gelu", "dtype": ["bf16", "f32"], "problem": [1048576, 4]},
                                       {"op": "reduce", "axis": [0, "all"], "dtype": "f32", "problem": ["64x32"]},
                                       {"op": "scale", "dtype": "bf16", "dtype-out": "e4m3", "problem": "8x4", "layout": "transposed"}]}
        self.assertEqual([str(problem) for problem in document.problems(suite)],
                         ["gelu 1048576 bf16 contiguous", "gelu 4 bf16 contiguous", "gelu 1048576 f32 contiguous", "gelu 4 f32 contiguous",
                          "reduce 64x32 axis 0 f32 sum", "reduce 64x32 axis all f32 sum", "scale 8x4 bf16>e4m3 transposed"])
        self.assertEqual([problem.place().get("axis") for problem in document.problems(suite)][4:6], [0, "all"])

    def test_statistics(self):
        """As bench/timer/statistics.cpp has them."""
        self.assertEqual(document.quantile([4, 1, 3, 2], 0.5), 2.5)
        self.assertEqual(document.spread([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), {"median": 6, "p10": 2, "p90": 10})
        self.assertEqual(document.rounds([1, 3, 5, 5]), [2, 5])

    def test_report(self):
        problem = document.Problem("softmax", (32, 64), "bf16", "bf16", "plain", "1")
        measured = [document.Measured("ckl", "", 0.5, [10, 10, 20, 20], 5.0), document.Measured("pytorch", "eager", 0.5, [20, 20, 40, 40], 9.0),
                    document.Measured("torch_compile", "", 1.5, note="wrong: 1.5 times what the error may be")]
        rows = list(document.rows_of(problem, "peers", 8192, measured))
        self.assertEqual(rows[0]["ratio"], {"pytorch": {"median": 2, "p10": 2, "p90": 2}})
        self.assertEqual([row["verified"] for row in rows], [True, True, False])
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "peers.json"
            document.write(file, {"gpu": "NVIDIA H200", "date": "2026-01-01"}, rows)
            text = subprocess.run([CKL, "report", file, "--markdown"], check=True, capture_output=True, text=True).stdout
        self.assertIn("| pytorch, us | pytorch time / ours [p10, p90] | torch_compile, us |", text)
        self.assertIn("| 32x64x1 | bf16 plain | 15.00 |", text)
        self.assertIn("| 30.00 | 2.000 [2.000, 2.000] | wrong: 1.5 times what the error may be |", text)
        self.assertIn("softmax cold against pytorch: geometric mean 2.000", text)

    def test_scripts_are_python(self):
        for script in PEERS.glob("*.py"):
            compile(script.read_text(), script, "exec")


if __name__ == "__main__":
    unittest.main()
