#!/usr/bin/env python3
"""`ckl fuzz` finds bugs that are planted in ckl::add, and shrinks them.   test_fuzz_planted.py CKL PLANTED_ADD"""
import os
import shlex
import subprocess
import sys
import unittest

CKL, PLANTED = sys.argv[1:3]


def fuzz(*arguments, bug, **variables):
    preload = {"LD_PRELOAD": PLANTED, "CKL_PLANTED_BUG": bug} if bug else {}
    return subprocess.run([CKL, "fuzz", "add", "--device", "emulator", *arguments], capture_output=True, text=True, timeout=280,
                          env=dict(os.environ, **preload, **variables))


class Planted(unittest.TestCase):
    def test_a_wrong_edge_is_shrunk_to_it(self):
        for seed in ["1", "2"]:
            result = fuzz("--seed", seed, bug="tail", CKL_EMU_MODE="late", CKL_EMU_SEED="5")
            self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
            found = result.stdout.strip().splitlines()[-1].strip()  # the same from every seed, and with what it was found under
            self.assertEqual(found, "CKL_EMU_MODE=late CKL_EMU_SEED=5 ckl fuzz add --device emulator --case s4=65")
            self.assertIn("1 of 65 elements are wrong", result.stdout)

        case = shlex.split(found)[-2:]
        again = fuzz(*case, bug="tail")
        self.assertEqual(again.returncode, 1, again.stderr)
        self.assertIn("1 of 65 elements are wrong", again.stdout)
        self.assertEqual(fuzz(*case, bug=None).stdout, "add s4=65: right\n")

    def test_what_needs_a_history_is_not_called_simple(self):
        result = fuzz(bug="third")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("alone it is right", result.stdout)
        words = shlex.split(result.stdout.strip().splitlines()[-1])
        self.assertEqual(words[:6], ["ckl", "fuzz", "add", "--device", "emulator", "--seed"])
        self.assertEqual(fuzz(*words[5:], bug="third").returncode, 1)
        fewer = [*words[5:-1], str(int(words[-1]) - 1)]
        self.assertEqual(fuzz(*fewer, bug="third").returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
