"""The main of tests that need a device: without one, exit status 77 and the reason say that they were skipped."""
import sys
import unittest

import ckl


def main():
    if not ckl.supported(0) and len(sys.argv) == 1:  # a test that is asked for by name is run
        print("SKIPPED: no Hopper GPU, and no emulator in the place of the CUDA runtime")
        sys.exit(77)
    unittest.main(module="__main__")
