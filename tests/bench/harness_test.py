#!/usr/bin/python3
"""The benchmark's harness, end to end on tiny runs: what it measures and writes, and that it sees a program whose output
differs, one that crashes and one that hangs. Takes a few seconds."""

import argparse
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench")
sys.path.insert(0, BENCH)
import allocators  # noqa: E402
import launch  # noqa: E402
import rounds  # noqa: E402
from work import Work  # noqa: E402

BUILD = ""


def bench(out, *arguments):
    return subprocess.Popen([sys.executable, os.path.join(BENCH, "bench.py"), "--build", BUILD, "--out", out, *arguments],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1", TMPDIR=os.path.dirname(out)))


class Harness(unittest.TestCase):
    def setUp(self):
        self.room = tempfile.TemporaryDirectory(prefix="tidemark-bench-test.")
        self.out = os.path.join(self.room.name, "out")

    def tearDown(self):
        self.room.cleanup()

    def both(self):
        library = os.path.join(BUILD, "preload", "libtidemark.so")
        return [allocators.Allocator("tidemark", library, "tidemark", ""), allocators.Allocator("glibc", None, "peer", "")]

    def grid(self, *works, limit=20, jobs=1):
        found = rounds.Grid(list(works), self.both())
        launcher = launch.Launcher(os.path.join(BUILD, "bench", "bench-run"), self.room.name)
        found.measure(launcher, "test", 2, limit, jobs=jobs)
        return found

    def test_end_to_end(self):
        process = bench(self.out, "--sections", "trivial,times,scale", "--only", "=churn,=sqlite", "--scale", "0.01",
                        "--quick", "--rounds", "2", "--allocators", "tidemark,glibc", "--reference", "glibc")
        said, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(sorted(os.listdir(self.out)), ["chart.svg", "index.html", "results.json", "scale.svg", "table.txt"])
        with open(os.path.join(self.out, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
        self.assertEqual(results["times"]["rounds"], 2)
        churn = results["times"]["workloads"][0]
        self.assertEqual((churn["name"], churn["failed"]), ("churn", {}))
        for name in ("tidemark", "glibc"):
            self.assertEqual(len(churn["runs"][name]), 2)
            self.assertGreater(churn["figures"][name]["wall"]["median"], 0)
            self.assertGreater(churn["runs"][name][0]["figures"]["operations"], 0)
            self.assertTrue(500 * 1024 < results["trivial"]["workloads"][0]["figures"][name]["rss"]["median"] < 16 << 20)
        self.assertGreater(results["times"]["targets"]["wall"]["mean_to_best_peer"], 0)
        self.assertIn("mean of all", said)
        for name in ("chart.svg", "scale.svg"):
            root = xml.etree.ElementTree.parse(os.path.join(self.out, name)).getroot()
            self.assertTrue(root.tag.endswith("svg"))
            self.assertGreater(len(list(root.iter())), 30)
        with open(os.path.join(self.out, "index.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertEqual(page.count("<svg"), 2)
        self.assertNotIn("<script", page)
        self.assertEqual(glob.glob(os.path.join(self.room.name, "tidemark-bench.*")), [])

    def test_output_that_differs(self):
        found = self.grid(Work("liar", "program", ["/bin/sh", "-c", "echo ${LD_PRELOAD:+preloaded}"]),
                          Work("honest", "program", ["/bin/sh", "-c", "echo 7"]))
        self.assertIn("output differs", found.failed["liar"]["tidemark"])
        self.assertEqual(found.runs["liar"]["tidemark"], [])
        self.assertEqual(len(found.runs["liar"]["glibc"]), 2)
        self.assertEqual(found.failed["honest"], {})

    def test_crash_and_status(self):
        found = self.grid(Work("crash", "allocation", ["/bin/sh", "-c", "[ -z $LD_PRELOAD ] || kill -SEGV $$"]),
                          Work("status", "allocation", ["/bin/sh", "-c", "echo what went wrong >&2; exit ${LD_PRELOAD:+3}"]),
                          jobs=2)
        self.assertIn("SIGSEGV", found.failed["crash"]["tidemark"])
        self.assertEqual(len(found.runs["crash"]["glibc"]), 2)
        self.assertIn("exit status 3: what went wrong", found.failed["status"]["tidemark"])

    def test_hang(self):
        started = time.monotonic()
        found = self.grid(Work("hang", "allocation", ["/bin/sh", "-c", "[ -z $LD_PRELOAD ] || sleep 60"]), limit=0.5)
        self.assertIn("still running after 0.5 s", found.failed["hang"]["tidemark"])
        self.assertLess(time.monotonic() - started, 10)

    def test_library_that_cannot_be_preloaded(self):
        fake = os.path.join(self.room.name, "fake.so")
        with open(fake, "w", encoding="ascii") as file:
            file.write("no library")
        process = bench(self.out, "--list", "--with", f"fake={fake}")
        said, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, errors)
        listed = next(line for line in said.splitlines() if line.startswith("allocators:"))
        self.assertIn("tidemark", listed)
        self.assertNotIn("fake", listed)

    def test_interrupt_shows_what_was_measured(self):
        process = bench(self.out, "--sections", "trivial,times", "--only", "=churn", "--scale", "500", "--allocators",
                        "tidemark,glibc")
        while "trivial:" not in (line := process.stderr.readline()):
            self.assertTrue(line, "it ended before anything was measured")
        process.stderr.readline()  # the first line of times
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn("peak RSS", said)
        self.assertEqual(glob.glob(os.path.join(self.room.name, "tidemark-bench.*")), [])

    def test_usage(self):
        for arguments, words in ((["--sections", "nothing"], "no section 'nothing'"), (["--scale", "0"], "above 0"),
                                 (["--with", "x"], "NAME=PATH.so"), (["--only", "nothing"], "no workload")):
            process = bench(self.out, *arguments)
            _, errors = process.communicate(timeout=30)
            self.assertNotEqual(process.returncode, 0)
            self.assertIn(words, errors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parsed, rest = parser.parse_known_args()
    BUILD = os.path.abspath(parsed.build)
    unittest.main(argv=[sys.argv[0], *rest])
