#!/usr/bin/env python3
"""The reports that docs/emulator.md shows are what the emulator prints today.

  test_report_in_docs.py EMULATOR_FOLDER PLANTED_BUGS

A block after `<!-- printed by planted_bugs ARGUMENTS -->` is the program's output, without the folders of its sources.
"""
import os
import pathlib
import re
import subprocess
import sys
import unittest

EMULATOR, PROGRAM = sys.argv[1:3]
PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs/emulator.md").read_text()


class Reports(unittest.TestCase):
    def test_all(self):
        shown = re.findall(r"<!-- printed by planted_bugs (.*?) -->\n```\n(.*?)```", PAGE, re.S)
        self.assertTrue(shown)
        for arguments, text in shown:
            run = subprocess.run([PROGRAM, *arguments.split()], capture_output=True, text=True,
                                 env=dict(os.environ, LD_LIBRARY_PATH=EMULATOR, CKL_EMU_THREADS="1"))  # one block is the first to report
            printed = re.sub(r"\S*/planted_bugs/", "", run.stderr)
            self.assertEqual(printed.strip(), text.strip())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
