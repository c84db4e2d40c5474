#!/usr/bin/env python3
"""Every form of isa_forms.txt is in the PTX that the tests of single instructions execute, and every name that the emulator binds
is in isa_forms.txt.

  test_isa_forms.py FORMS BINDINGS TEST_PROGRAM ...

BINDINGS are the emulator's sources that register names. Each program writes its PTX to the file that ISA_TEST_PTX names.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

FORMS, BINDINGS, PROGRAMS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]


def expand(form):
    """All alternatives of {a,b}; they do not nest."""
    match = re.search(r"\{([^}]*)\}", form)
    if not match:
        return [form]
    return [each for choice in match[1].split(",") for each in expand(form[:match.start()] + choice + form[match.end():])]


def forms():
    lines = (line.strip() for line in FORMS.read_text().splitlines())
    return {form for line in lines if line and not line.startswith(("#", "elsewhere ")) for form in expand(line)}


def elsewhere():
    return {name for line in FORMS.read_text().splitlines() if line.startswith("elsewhere ") for name in line.split()[1:]}


def opcodes_in(ptx):
    """The opcodes of the statements. Parts that have no effect on which instruction it is may be written in several orders."""
    ptx = re.sub(r"//[^\n]*", "", ptx)
    statements = re.split(r"[;{}\n]", ptx)
    opcode = re.compile(r"\s*(?:[\w$%]+:\s*)?(?:@!?%?\w+\s+)?([a-z][\w.:]*)")
    return {match[1] for statement in statements if (match := opcode.match(statement))}


def canonical(opcode):
    name, *parts = opcode.split(".")
    return name, tuple(sorted(parts))


class Forms(unittest.TestCase):
    def test_each_form_is_executed(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "all.ptx"
            for program in PROGRAMS:
                subprocess.run([program, "--gtest_brief=1"], env=dict(os.environ, ISA_TEST_PTX=str(file)), check=True,
                               stdout=subprocess.DEVNULL)
            executed = {canonical(opcode) for opcode in opcodes_in(file.read_text())}
        missing = sorted(form for form in forms() if canonical(form) not in executed)
        self.assertFalse(missing, f"{len(missing)} forms that no test executes:\n" + "\n".join(missing))

    def test_each_bound_name_is_listed(self):
        bound = set()
        for source in BINDINGS.glob("*.cpp"):
            for names in re.findall(r"registry\.add\(\s*(\{[^}]*\}|\"\w+\")", source.read_text()):
                bound |= set(re.findall(r"\"(\w+)\"", names))
        self.assertGreater(len(bound), 90)
        self.assertEqual(sorted(bound - {form.split(".")[0] for form in forms()} - elsewhere()), [], "bound, but not in isa_forms.txt")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
