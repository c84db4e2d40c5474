#!/usr/bin/env python3
"""The library's device tests, short list, in every mode of the emulator: all pass, and each result has the same bits in all modes.

  test_modes.py EMULATOR_FOLDER TEST_PROGRAM ...
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

EMULATOR, PROGRAMS = sys.argv[1], [pathlib.Path(program) for program in sys.argv[2:]]
# Loads, wgmma and stores, each early or late, and schedules drawn by seed.
MODES = [("early", 0), ("late", 0), ("late-loads", 0), ("late-mma", 0), ("late-stores", 0), ("random", 1), ("late,random", 2)]


class Modes(unittest.TestCase):
    def digests(self, program, mode, seed):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "digests"
            environment = dict(os.environ, CKL_TEST_LIST="short", CKL_TEST_DIGESTS=str(file), CKL_EMU_MODE=mode,
                               CKL_EMU_SEED=str(seed), CKL_EMU_SMS="16", LD_LIBRARY_PATH=EMULATOR)
            run = subprocess.run([program, "--gtest_brief=1"], env=environment, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, f"{program.name}, {mode}, seed {seed}:\n{run.stdout}{run.stderr}")
            return file.read_text()

    def test_all(self):
        for program in PROGRAMS:
            results = {(mode, seed): self.digests(program, mode, seed) for mode, seed in MODES}
            early = results[MODES[0]]
            self.assertGreater(early.count("\n"), 10, f"{program.name} records too little")
            for (mode, seed), digests in results.items():
                differing = [line for line in set(early.splitlines()) ^ set(digests.splitlines())]
                self.assertEqual(differing, [], f"{program.name}: {mode}, seed {seed} gives other bits than early")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
