"""What README and docs quote is what the sources say, and their links lead somewhere.

The README's example is the program that the tests build and run, letter by letter. In docs/, a code block after a line
`<!-- from PATH -->` is quoted from that file: its lines stand there one after another, at any common indentation; a line
`// ...` stands for lines that were left out.
"""
import pathlib
import re
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUOTE = re.compile(r"<!-- from (\S+) -->\n```\w*\n(.*?)```", re.S)


def is_quoted(quote, source):
    """Whether the parts of `quote` stand in `source`, in this order."""
    at, lines = 0, source.splitlines()
    for part in re.split(r"^\s*// \.\.\.\n", quote, flags=re.M):
        wanted = textwrap.dedent(part).strip("\n").splitlines()
        here = [i for i in range(at, len(lines) - len(wanted) + 1)
                if textwrap.dedent("\n".join(lines[i:i + len(wanted)])).splitlines() == wanted]
        if not here:
            return False
        at = here[0] + len(wanted)
    return True


class Docs(unittest.TestCase):
    def test_example(self):
        quoted = re.search(r"```cpp\n(.*?)```", README, re.S).group(1)
        self.assertEqual(quoted, (ROOT / "examples/first_gemm.cpp").read_text())

    def test_links(self):
        for page in PAGES:
            prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)  # in code, ](x) is a lambda
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
                if "://" not in target:
                    self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_quotes(self):
        quotes = [(page.name, *match) for page in PAGES for match in QUOTE.findall(page.read_text())]
        self.assertTrue(quotes)
        for page, path, quote in quotes:
            with self.subTest(page=page, path=path):
                self.assertTrue(is_quoted(quote, (ROOT / path).read_text()), f"{page} quotes what {path} does not say:\n{quote}")

    def test_a_changed_line_is_found(self):
        source = "void f() {\n  one();\n  two();\n  three();\n}\n"
        self.assertTrue(is_quoted("one();\n// ...\nthree();\n", source))
        self.assertFalse(is_quoted("one();\nthree();\n", source))
        self.assertFalse(is_quoted("three();\n// ...\none();\n", source))
        self.assertFalse(is_quoted("one();\ntwo ();\n", source))


if __name__ == "__main__":
    unittest.main()
