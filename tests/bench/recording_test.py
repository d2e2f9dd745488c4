#!/usr/bin/python3
"""The section `recording` of the benchmark: its arithmetic on runs that were made up, every expected number worked out by
hand; the memory of a tree of processes, and what a profiler's script says besides, on real ones."""

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import allocators  # noqa: E402
import launch  # noqa: E402
import profilers  # noqa: E402
import recording  # noqa: E402
import rounds  # noqa: E402
from work import Work  # noqa: E402

BUILD = ""
BARE = allocators.Allocator("bare", None, "peer", "")
MIB = 1024


def run(wall, cpu, mib):
    return {"wall": wall, "user": cpu, "system": 0.0, "maxrss_kib": 1, "tree_kib": mib * MIB, "minor_faults": 0,
            "major_faults": 0}


def work(name, kind, runs, failed=None):
    return {"name": name, "kind": kind, "runs": runs, "failed": failed or {}}


def compared(part, *works):
    record = {"rounds": 3, "workloads": list(works), "variants": [{"name": name, "version": "1"} for name in works[0]["runs"]]}
    recording.compare(record, recording.PAIRS[part])
    return record


class Arithmetic(unittest.TestCase):
    def complete(self):
        """heaptrack takes 8 and 2 times as long, all 2 and 1 times; of the third, heaptrack ran once only."""
        return compared(
            "complete",
            work("a", "program", {"glibc": [run(1, 1, 10)], "off": [run(1, 1, 10)], "all": [run(2, 3, 20)],
                                  "heaptrack": [run(8, 12, 200)]}),
            work("b", "program", {"glibc": [run(2, 2, 10)], "off": [run(1, 1, 10)], "all": [run(1, 3, 20)],
                                  "heaptrack": [run(4, 24, 40)]}),
            work("c", "program", {"glibc": [run(1, 1, 10)], "off": [run(1, 1, 10)], "all": [run(9, 9, 90)], "heaptrack": []},
                 {"heaptrack": "killed"}))

    def test_ratio_is_within_a_round(self):
        # The second round was slow for both: the ratio of the medians would be 1.5.
        record = compared("sampling", work("a", "program", {"off": [run(1, 1, 1), run(10, 10, 1), run(2, 2, 1)],
                                                            "sample": [run(1.1, 1, 1), run(12, 10, 1), run(3, 2, 1)]}))
        self.assertAlmostEqual(record["workloads"][0]["ratios"]["sample/off"]["wall"]["median"], 1.2)
        self.assertNotIn("off-again/off", record["workloads"][0]["ratios"])
        mean, least, most = record["means"]["sample/off"]["program"]["wall"]
        self.assertAlmostEqual((mean, least, most)[0], 1.2)
        self.assertAlmostEqual(least, 1.1)
        self.assertAlmostEqual(most, 1.5)

    def test_what_ran_once_is_compared_with_the_first_round(self):
        record = compared("complete", work("a", "program", {"glibc": [run(1, 1, 1), run(100, 100, 1)],
                                                            "heaptrack": [run(20, 20, 1)]}))
        self.assertAlmostEqual(record["workloads"][0]["ratios"]["heaptrack/glibc"]["wall"]["median"], 20)

    def test_verdict_is_of_workloads_that_both_finished(self):
        lines = "\n".join(recording.verdict({"complete": self.complete()}))
        self.assertIn("failed: c under heaptrack (complete): killed", lines)
        # all/off: 2 and 1, the mean 1.41; heaptrack/glibc: 8 and 2, the mean 4.
        self.assertIn("real programs, wall: all/off 1.41, heaptrack/glibc 4.00: 0.35 of its slowdown", lines)
        # 3 and 3; 12 and 12.
        self.assertIn("real programs, CPU: all/off 3.00, heaptrack/glibc 12.00: 0.25", lines)
        # 20/200 and 20/40: the mean 0.22
        self.assertIn("heaptrack's: 0.22 on the mean, at worst 0.50 (b)", lines)

    def test_worst_and_control(self):
        record = compared(
            "sampling",
            work("a", "allocation", {"off": [run(1, 1, 1)], "off-again": [run(1.25, 1, 1)], "sample": [run(1.5, 1, 1)]}),
            work("b", "allocation", {"off": [run(1, 1, 1)], "off-again": [run(1, 1, 1)], "sample": [run(1.25, 2, 1)]}))
        lines = "\n".join(recording.verdict({"sampling": record}))
        self.assertIn("allocation workload, wall: 1.500 (a), to be at most 1.06; off/off at its worst: 1.250 (a)", lines)
        self.assertIn("allocation workload, CPU: 2.000 (b)", lines)

    def test_shown(self):
        record = {"complete": self.complete()}
        shown = recording.blocks({"recording": record}, True)
        rows = next(block.rows for block in shown if "wall time" in block.title)
        self.assertEqual(rows[0][2:], ["all/off", "all/glibc", "sample/glibc", "heaptrack/glibc", "heapprofile/tcmalloc"])
        self.assertEqual(rows[1], ["a", "1.000", "2.00", "2.00", "-", "8.00", "-"])
        self.assertEqual(rows[3][5], "failed")
        memory = next(block.rows for block in shown if "Peak memory" in block.title)
        self.assertEqual(memory[1], ["a", "10.0", "10.0", "20.0", "200"])
        self.assertEqual(memory[3][4], "failed")


class Runs(unittest.TestCase):
    def setUp(self):
        self.room = tempfile.TemporaryDirectory(prefix="tidemark-bench-test.")

    def tearDown(self):
        self.room.cleanup()

    def launcher(self, tree_ms=None):
        return launch.Launcher(os.path.join(BUILD, "bench", "bench-run"), self.room.name, tree_ms)

    def test_memory_of_the_tree(self):
        """Three processes of 40 MiB each, of which one is a grandchild started by another thread."""
        child = "import sys,time; a = bytearray(40 << 20); time.sleep(0.6)"
        grand = ("import subprocess, sys, threading, time; a = bytearray(40 << 20); "
                 f"t = threading.Thread(target=subprocess.run, args=([sys.executable, '-c', {child!r}],)); "
                 "t.start(); t.join()")
        top = f"import subprocess, sys; a = bytearray(40 << 20); subprocess.run([sys.executable, '-c', {grand!r}])"
        took = self.launcher(5).run(BARE, [sys.executable, "-c", top], limit=20)
        self.assertGreater(took["tree_kib"], 120 * MIB)
        self.assertLess(took["tree_kib"], 220 * MIB)
        self.assertLess(took["maxrss_kib"], 80 * MIB)
        self.assertGreaterEqual(took["wall"], 0.6)
        without = self.launcher().run(BARE, [sys.executable, "-c", top], limit=20)
        self.assertEqual(without["tree_kib"], without["maxrss_kib"])

    def test_status_comes_through_the_watch(self):
        with self.assertRaisesRegex(launch.Failed, "exit status 3"):
            self.launcher(5).run(BARE, ["/bin/sh", "-c", "exit 3"], limit=20)
        with self.assertRaisesRegex(launch.Failed, "SIGKILL"):
            self.launcher(5).run(BARE, ["/bin/sh", "-c", "kill -9 $$"], limit=20)

    def test_wrapper_and_variables(self):
        """A script in the place of heaptrack, that says what heaptrack's does before and after."""
        script = os.path.join(self.room.name, "wrapper")
        with open(script, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\necho output; echo "starting application, this might take some time..."\n'
                       'out=$2; shift 2; touch "$out.zst"; "$@"\necho "Heaptrack finished! Now run x"; echo more\n')
        os.chmod(script, stat.S_IRWXU)
        wrapped = profilers.Heaptrack(self.room.name)
        wrapped.wrapper[0] = script
        wrapped.environment = {"FROM": "variant"}
        piece = Work("say", "program", ["/bin/sh", "-c", "echo of the program; echo $FROM >&2; [ $FROM = variant ]"],
                     environment={"FROM": "work"})
        found = rounds.Grid([piece], [wrapped])
        self.assertIsNone(found.once(self.launcher(), piece, wrapped, 20))
        self.assertEqual(found.digests["say"], launch.read_figures(b"of the program\n")[1])
        self.assertEqual(os.listdir(self.room.name), ["wrapper"])  # what it wrote is gone

    def test_slow_runs_once(self):
        quick, slow = (allocators.Allocator(name, None, "peer", "", environment={"NAP": nap})
                       for name, nap in (("quick", "0"), ("slow", "0.3")))
        found = rounds.Grid([Work("nap", "allocation", ["/bin/sh", "-c", "sleep $NAP"])], [quick, slow])
        found.measure(self.launcher(), "test", 3, 20, once_above=0.25)
        self.assertEqual([len(found.runs["nap"][name]) for name in ("quick", "slow")], [3, 1])

    def test_tidemark_keeps_the_other_settings(self):
        before = os.environ.get("TIDEMARK")
        os.environ["TIDEMARK"] = "retain=4M"
        try:
            self.assertEqual(profilers.tidemark("all", "x.so", "all").environment, {"TIDEMARK": "retain=4M,sites=all"})
        finally:
            if before is None:
                del os.environ["TIDEMARK"]
            else:
                os.environ["TIDEMARK"] = before

    def test_section_end_to_end(self):
        """Tiny runs, whichever profilers are installed."""
        out = os.path.join(self.room.name, "out")
        done = subprocess.run([sys.executable, os.path.join(os.path.dirname(recording.__file__), "bench.py"), "--build", BUILD,
                               "--out", out, "--recording", "--only", "=churn,=sqlite", "--scale", "0.01", "--rounds", "1"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1", TMPDIR=self.room.name), timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(out, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
        for part, pair in (("sampling", "sample/off"), ("complete", "all/off")):
            names = [one["name"] for one in results["recording"][part]["workloads"]]
            self.assertEqual(names, [name for name in ("churn", "sqlite") if name in names])
            self.assertIn("churn", names)
            for piece in results["recording"][part]["workloads"]:
                self.assertEqual(piece["failed"], {})
                self.assertGreater(piece["ratios"][pair]["cpu"]["median"], 0)
        self.assertIn("Peak memory in MiB", done.stdout)
        self.assertNotIn("times", results)
        self.assertEqual(sorted(os.listdir(self.room.name)), ["out"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parsed, rest = parser.parse_known_args()
    BUILD = os.path.abspath(parsed.build)
    unittest.main(argv=[sys.argv[0], *rest])
