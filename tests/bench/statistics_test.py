#!/usr/bin/python3
"""The statistics of the benchmark: medians and spreads, geometric means, what is left out of them, targets, the estimate of
the time left. Every expected number was worked out by hand."""

import io
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import figures  # noqa: E402
import launch  # noqa: E402
import progress  # noqa: E402
import rounds  # noqa: E402
import summary  # noqa: E402
import syscalls  # noqa: E402

# Under "slow" the third workload failed.
TABLE = {"a": {"ours": 2.0, "fast": 1.0, "slow": 4.0}, "b": {"ours": 4.0, "fast": 8.0, "slow": 16.0},
         "c": {"ours": 100.0, "fast": 1.0}}


def run(wall, rss=1000):
    return {"wall": wall, "user": wall, "system": 0.5, "maxrss_kib": rss, "minor_faults": 3, "major_faults": 1}


class Figures(unittest.TestCase):
    def test_spread(self):
        self.assertEqual(figures.spread([5.0, 1.0, 2.0, 100.0, 3.0]),
                         {"median": 3.0, "mad": 2.0, "min": 1.0, "max": 100.0, "count": 5})
        self.assertEqual(figures.spread([7.0])["mad"], 0)

    def test_geometric_mean(self):
        self.assertAlmostEqual(figures.geometric_mean([1.0, 4.0, 16.0]), 4.0)
        self.assertIsNone(figures.geometric_mean([]))

    def test_failed_allocator_counts_in_no_mean(self):
        self.assertEqual(figures.complete(TABLE, ["ours", "fast", "slow"]), ["a", "b"])
        means = figures.means(TABLE, ["ours", "fast", "slow"], "fast")
        self.assertAlmostEqual(means["ours"], 1.0)  # 2 and 1/2; with c it would be 4.6
        self.assertAlmostEqual(means["slow"], 8 ** 0.5)
        self.assertAlmostEqual(figures.means(TABLE, ["ours", "fast"], "fast")["ours"], 100 ** (1 / 3))
        self.assertAlmostEqual(figures.means(TABLE, ["ours", "fast", "slow"], "fast", {"b", "c"})["ours"], 0.5)

    def test_nothing_finished(self):
        self.assertEqual(figures.means({"a": {"ours": 1.0}}, ["ours", "fast"], "fast"), {"ours": None, "fast": None})
        self.assertIsNone(figures.targets({"a": {"ours": 1.0}}, ["ours", "fast"], "ours", ["fast"]))

    def test_peers(self):
        median, best = figures.against_peers(TABLE["a"], "ours", ["fast", "slow", "absent"])
        self.assertAlmostEqual(median, 0.8)
        self.assertAlmostEqual(best, 2.0)
        self.assertIsNone(figures.against_peers({"fast": 1.0}, "ours", ["fast"]))

    def test_targets(self):
        target = figures.targets(TABLE, ["ours", "fast", "slow"], "ours", ["fast", "slow"])
        self.assertEqual((target["workloads"], target["best_peer"], target["worst_workload"]), (2, "fast", "a"))
        self.assertAlmostEqual(target["mean_to_best_peer"], 1.0)
        self.assertAlmostEqual(target["worst_to_median"], 0.8)


class Summary(unittest.TestCase):
    def setUp(self):
        work = {"name": "a", "kind": "program", "runs": {"tidemark": [run(2.0), run(6.0), run(4.0)], "glibc": [run(8.0)]},
                "failed": {}}
        broken = {"name": "b", "kind": "allocation", "runs": {"tidemark": [run(1.0)], "glibc": []},
                  "failed": {"glibc": "killed"}}
        self.record = {"rounds": 3, "workloads": [work, broken]}
        summary.spreads(self.record, summary.usual)

    def test_judge(self):
        allocators = [{"name": "tidemark", "kind": "tidemark"}, {"name": "glibc", "kind": "peer"}]
        verdict = summary.judge(self.record, allocators, "glibc")
        self.assertEqual(verdict["left_out"], ["b"])
        self.assertAlmostEqual(verdict["means"]["all"]["wall"]["tidemark"], 0.5)
        self.assertAlmostEqual(verdict["means"]["all"]["cpu"]["tidemark"], 4.5 / 8.5)
        self.assertIsNone(verdict["means"]["allocation workloads"]["wall"]["tidemark"])
        self.assertAlmostEqual(verdict["targets"]["rss"]["worst_to_median"], 1.0)

    def test_ratio(self):
        self.assertAlmostEqual(summary.ratio(self.record["workloads"][0], "tidemark", "wall", "glibc"), 0.5)
        self.assertIsNone(summary.ratio(self.record["workloads"][1], "tidemark", "wall", "glibc"))


class Reading(unittest.TestCase):
    def test_figures_are_no_part_of_the_digest(self):
        found, digest = launch.read_figures(b"figure seconds 0.5 s\nsum 7\n")
        self.assertEqual(found, {"seconds": 0.5})
        self.assertEqual(digest, launch.read_figures(b"figure seconds 0.9 s\nsum 7\n")[1])
        self.assertEqual(digest, launch.read_figures(b"sum 7\n")[1])
        self.assertNotEqual(digest, launch.read_figures(b"figure seconds 0.5 s\nsum 8\n")[1])

    def test_strace(self):
        text = ("% time     seconds  usecs/call     calls    errors syscall\n"
                "------ ----------- ----------- --------- --------- ----------------\n"
                " 90.00    0.000900           9       100           madvise\n"
                " 10.00    0.000100          50         2         1 openat\n"
                "------ ----------- ----------- --------- --------- ----------------\n"
                "100.00    0.001000           9       102         1 total\n")
        self.assertEqual(syscalls.parse(text), {"madvise": 100, "openat": 2})


class Order(unittest.TestCase):
    def test_each_allocator_is_first_once_and_all_run_each_round(self):
        found = list(rounds.orders(["a", "b", "c"], 6))
        self.assertEqual([order[0] for order in found[:3]], ["a", "b", "c"])
        self.assertTrue(all(sorted(order) == ["a", "b", "c"] for order in found))

    def test_estimate(self):
        bar = progress.Progress("x", ["a", "b", "a"], out=io.StringIO())
        self.assertIsNone(bar.estimate())
        bar.stepped("a", bar.step("a"))
        bar.known["a"] = 4.0
        self.assertAlmostEqual(bar.estimate(), 8.0)  # b is not known: as long as what is


if __name__ == "__main__":
    unittest.main()
