"""The README's example is the program that the tests build and run, letter by letter, and its links lead somewhere."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


class Readme(unittest.TestCase):
    def test_example(self):
        quoted = re.search(r"```cpp\n(.*?)```", README, re.S).group(1)
        self.assertEqual(quoted, (ROOT / "examples/first_gemm.cpp").read_text())

    def test_links(self):
        for target in re.findall(r"\]\(([^)#]+)\)", README):
            if "://" not in target:
                self.assertTrue((ROOT / target).exists(), target)


if __name__ == "__main__":
    unittest.main()
