"""run_tests on a made-up project: it counts rightly, closes with one line and exits as ctest does."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUN_TESTS = pathlib.Path(__file__).resolve().parents[2] / "tools/run_tests"


class RunTests(unittest.TestCase):
    def run_project(self, *tests):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "CTestTestfile.cmake").write_text("\n".join(tests))
            done = subprocess.run([sys.executable, RUN_TESTS, folder], capture_output=True, text=True)
            return done.returncode, done.stdout.splitlines()

    def test_all_pass(self):
        status, lines = self.run_project("add_test(a true)", "add_test(b true)")
        self.assertEqual((status, lines[-1]), (0, "2 passed, 0 failed"))

    def test_a_failure(self):
        status, lines = self.run_project("add_test(a true)", "add_test(b false)")
        self.assertNotEqual(status, 0)
        self.assertEqual(lines[-2:], ["failed: b", "1 passed, 1 failed"])

    def test_a_skipped_one(self):
        skipped = 'add_test(b sh -c "exit 77")\nset_tests_properties(b PROPERTIES SKIP_RETURN_CODE 77)'
        status, lines = self.run_project("add_test(a true)", skipped)
        self.assertEqual((status, lines[-2:]), (0, ["skipped: b", "1 passed, 0 failed, 1 skipped"]))

    def test_what_cannot_be_started_has_failed(self):
        status, lines = self.run_project("add_test(a true)", "add_test(b no-such-program)")
        self.assertNotEqual(status, 0)
        self.assertEqual(lines[-1], "1 passed, 1 failed")

    def test_no_test(self):
        status, _ = self.run_project()
        self.assertNotEqual(status, 0)


if __name__ == "__main__":
    unittest.main()
