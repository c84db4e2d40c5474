"""Reads the machine code of every shipped instance: resources, features of the hardware, count and size. Needs no GPU.

  test_instances.py MODULES_FOLDER LIBRARY CUOBJDUMP YARDSTICK_LOG...
"""
import functools
import pathlib
import re
import subprocess
import sys
import unittest

from expectations import (ALL_CPU_SECONDS, BUSY, FEATURES, GLOBAL_ACCESS, LIBRARY_MIB, MODULE_CPU_SECONDS, RULES, SHIPPED, TRAP,
                          YARDSTICK_CPU_SECONDS)

MODULES, LIBRARY, CUOBJDUMP, *YARDSTICK_LOGS = (pathlib.Path(argument) for argument in sys.argv[1:])


@functools.cache
def shipped_entries():
    """[(op, module, symbol)] of everything that is in the library."""
    return [tuple(line.split()) for line in (MODULES / "entries.txt").read_text().splitlines()]


@functools.cache
def cuobjdump(option, module):
    if not CUOBJDUMP.is_file():
        sys.exit("cuobjdump was not found when the build was configured: run `make setup`, then configure again")
    return subprocess.run([CUOBJDUMP, option, MODULES / f"{module}.fatbin"], check=True, capture_output=True, text=True).stdout


def build_log_problems(log):
    """What is wrong in a module's build log: spills, a stack frame, wgmma serialized or setmaxnreg ignored."""
    problems = re.findall(r".*C75\d\d.*", log)
    for numbers in re.finditer(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log):
        if any(int(number) for number in numbers.groups()):
            problems.append(numbers.group())
    return problems


def cpu_seconds(log):
    """CPU time of the compiler, from the lines that compile_module.sh adds."""
    match = re.search(r"of the compiler:\n.*\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s", log)
    minutes, seconds, system_minutes, system_seconds = map(float, match.groups())
    return 60 * (minutes + system_minutes) + seconds + system_seconds


def slowness(yardstick_logs):
    """How many times a limit this machine may take: it is slower than a quiet core of the machine of expectations.py, or busy."""
    return BUSY * max(1, sum(map(cpu_seconds, yardstick_logs)) / YARDSTICK_CPU_SECONDS)


def registers(usage):
    """{symbol: registers a thread} from cuobjdump -res-usage."""
    return {symbol: int(count) for symbol, count in re.findall(r"Function (\w+):\s+REG:(\d+)", usage)}


def machine_code(sass):
    """{symbol: its code} from cuobjdump -sass."""
    parts = re.split(r"^\s*Function : (\w+)$", sass, flags=re.M)
    return {symbol: code for symbol, code in zip(parts[1::2], parts[2::2]) if "/*0000*/" in code}


def rule_problems(rule, code, register_count):
    """How an entry breaks a rule of expectations.py."""
    _, shows, shows_not, most_registers, most_waits = rule
    if re.search(TRAP, code):
        yield "has a trap"
    for feature in shows:
        if not re.search(FEATURES[feature], code):
            yield f"does not show {feature} ({FEATURES[feature]})"
    for feature in shows_not:
        if re.search(FEATURES[feature], code):
            yield f"shows {feature} ({FEATURES[feature]})"
    if "programmatic launch" in shows and re.search(GLOBAL_ACCESS, re.split(FEATURES["programmatic launch"], code)[0]):
        yield "touches global memory before it waits for the preceding grids"
    if register_count > most_registers:
        yield f"uses {register_count} registers a thread, more than {most_registers}"
    waits = len(re.findall(r"WARPGROUP\.DEPBAR", code))
    if waits > most_waits:
        yield f"waits for wgmma in {waits} places, more than {most_waits}"


class Checks(unittest.TestCase):
    """The checks themselves can fail."""

    def test_build_log(self):
        clean = "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        self.assertEqual(build_log_problems(clean), [])
        self.assertEqual(len(build_log_problems(clean + "    8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads")), 1)
        self.assertEqual(len(build_log_problems("    0 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads")), 1)
        self.assertEqual(len(build_log_problems("ptxas info : (C7514) Potential Performance Loss: wgmma.mma_async ...")), 1)
        self.assertEqual(len(build_log_problems("ptxas info : (C7508) 'setmaxnreg' ignored")), 1)

    def test_readers(self):
        self.assertEqual(cpu_seconds("... of the compiler:\n0m0.01s 0m0.01s\n1m2.500000s 0m1.50s\n"), 64)
        self.assertEqual(registers(" Function f:\n  REG:168 STACK:0 SHARED:1024\n Function g:\n  REG:32 STACK:0"), {"f": 168, "g": 32})
        second = "of the compiler:\n0m0s 0m0s\n0m1s 0m0s\n"
        self.assertEqual(slowness([second] * 2), BUSY)
        self.assertEqual(slowness([second] * 3 * YARDSTICK_CPU_SECONDS), 3 * BUSY)
        code = machine_code("\t\tFunction : f\n /*0000*/ HGMMA.64\n\t\tFunction : g\n /*0000*/ RET\n")
        self.assertEqual(sorted(code), ["f", "g"])
        self.assertIn("HGMMA", code["f"])

    def test_rules(self):
        rule = (".*", ["wgmma"], ["TMA load"], 100, 1)
        self.assertEqual(list(rule_problems(rule, "HGMMA.64x256 WARPGROUP.DEPBAR.LE", 100)), [])
        self.assertEqual(len(list(rule_problems(rule, "UTMALDG.3D WARPGROUP.DEPBAR WARPGROUP.DEPBAR", 101))), 4)
        self.assertEqual(len(list(rule_problems(rule, "HGMMA.64x256 BPT.TRAP 0x1", 100))), 1)
        ahead = (".*", ["programmatic launch"], [], 100, 0)
        self.assertEqual(list(rule_problems(ahead, "CCTL.E.PF2 [R2]\nACQBULK\nLDG.E R0, [R2]\nSTG.E [R2], R0", 100)), [])
        self.assertEqual(len(list(rule_problems(ahead, "LDG.E R0, [R2]\nACQBULK\nSTG.E [R2], R0", 100))), 1)
        self.assertEqual(len(list(rule_problems(ahead, "STG.E.128 [R2], R0\nACQBULK", 100))), 1)


class Instances(unittest.TestCase):
    def test_count(self):
        counts = {}
        for op, _, _ in shipped_entries():
            counts[op] = counts.get(op, 0) + 1
        self.assertEqual(counts, SHIPPED, "the shipped entries are not those of expectations.py")

    def test_library_size(self):
        size = LIBRARY.stat().st_size / 2**20
        self.assertLessEqual(size, LIBRARY_MIB, f"{LIBRARY.name} has {size:.1f} MiB")

    def test_build_logs(self):
        total = 0
        factor = slowness([log.read_text() for log in YARDSTICK_LOGS])
        for module in sorted({module for _, module, _ in shipped_entries()}):
            with self.subTest(module):
                log = (MODULES / f"{module}.log").read_text()
                self.assertEqual(build_log_problems(log), [])
                self.assertEqual(log.count("Compiling entry function"), sum(m == module for _, m, _ in shipped_entries()))
                self.assertLessEqual(cpu_seconds(log), factor * MODULE_CPU_SECONDS)
                total += cpu_seconds(log)
        self.assertLessEqual(total, factor * ALL_CPU_SECONDS)
        print(f"the modules took {total:.0f} CPU seconds, {BUSY * total / factor:.0f} by the yardstick")

    def test_machine_code(self):
        matched = set()
        for _, module, symbol in shipped_entries():
            with self.subTest(symbol):
                code = machine_code(cuobjdump("-sass", module)).get(symbol)
                count = registers(cuobjdump("-res-usage", module)).get(symbol)
                self.assertIsNotNone(code, f"is not in module {module}")
                rules = [rule for rule in RULES if re.search(rule[0], symbol)]
                self.assertTrue(rules, "no rule of expectations.py matches it")
                matched.update(rule[0] for rule in rules)
                problems = [problem for rule in rules for problem in rule_problems(rule, code, count)]
                self.assertEqual(problems, [])
        self.assertEqual({rule[0] for rule in RULES} - matched, set(), "these rules match no entry")
        self.assertEqual(set(FEATURES) - {feature for rule in RULES for feature in rule[1]}, set(), "no kernel has to show these")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
