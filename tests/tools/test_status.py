"""The tables that tools/status makes for the performance guide, of made-up measurements."""
import importlib.machinery
import importlib.util
import pathlib
import unittest

STATUS = pathlib.Path(__file__).resolve().parents[2] / "tools/status"
loader = importlib.machinery.SourceFileLoader("status", str(STATUS))
status = importlib.util.module_from_spec(importlib.util.spec_from_loader("status", loader))
loader.exec_module(status)


def row(layout, impl, percent, **changes):
    return {"suite": "memory_ablation", "layout": layout, "impl": impl, "regime": "cold", "verified": True, "ceiling_pct": percent, **changes}


class MemoryAblation(unittest.TestCase):
    def tables(self, *rows):
        return status.ablation_tables({"environment": {"gpu": "A GPU", "commit": "abc"}, "rows": list(rows)})

    def test_columns_are_what_is_under_way(self):
        lines = self.tables(row("read", "plain_v4_l1", 20.4), row("copy", "bulk_v16_l8", 97.6), row("copy", "plain_v16_l2", 80),
                            row("copy", "plain_v8_l4", 79), row("copy", "memcpy", 100), row("rows", "cluster_8", 88), row("rows", "cluster_1", 95), row("rows", "memcpy", 100))
        self.assertEqual(lines[2], "| percent of a copy, or of a read, with so much under way an SM | 4 KB | 32 KB | 128 KB |")
        self.assertEqual(lines[4:8], ["| copy: plain loads, 8 bytes a thread |  | 79 |  |", "| copy: plain loads, 16 bytes a thread |  | 80 |  |",
                                      "| copy: bulk copies |  |  | 98 |", "| read: plain loads, 4 bytes a thread | 20 |  |  |"])
        self.assertEqual(lines[9:], ["| rows that blocks share, 16 KB each | 1 block | 8 blocks |", "|---|---:|---:|", "| percent of a copy | 95 | 88 |"])

    def test_what_is_wrong_or_warm_does_not_count(self):
        lines = self.tables(row("copy", "plain_v4_l1", 50, verified=False), row("copy", "plain_v4_l2", 50, regime="sustained"),
                            row("copy", "plain_v4_l4", None), row("copy", "plain_v4_l8", 60))
        self.assertIn("| copy: plain loads, 4 bytes a thread | 60 |", lines)

    def test_the_guide_says_what_will_stand_there(self):
        if not any(file.stem == status.ABLATION for file in status.result_files()):
            self.assertIn("Not measured yet", status.performance_guide())


if __name__ == "__main__":
    unittest.main()
