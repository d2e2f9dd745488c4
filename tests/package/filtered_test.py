"""A service whose filter of system calls kills for what is not in systemd's @system-service lives through all that is asked
of it, recording included.

usage: filtered_test.py TIDEMARK LIBRARY FILTERED
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

TIDEMARK, LIBRARY, FILTERED = sys.argv[1:4]
PYTHON = "/usr/bin/python3"
# Allocates in each second, so that a switch takes effect.
PROGRAM = """
import time
keep = [bytes(500) for _ in range(20000)]
print("ready", flush=True)
while True:
    keep.append([bytes(700) for _ in range(200)])
    time.sleep(0.02)
"""


class Filtered(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tidemark-filtered.")
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, settings):
        child = subprocess.Popen([FILTERED, PYTHON, "-c", PROGRAM], stdout=subprocess.PIPE, env={
            "PATH": os.environ["PATH"], "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc",
            "TIDEMARK": f"out={self.directory}/%n.heap{settings}"})
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), b"ready\n", "it was killed at its start")
        return child

    def tidemark(self, *words):
        done = subprocess.run([TIDEMARK, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.strip()

    def ask_everything(self, child, names):
        path = self.tidemark("snapshot", child.pid)
        report = self.tidemark("report", "--json", "--group", "stack", path)
        self.assertGreater(json.loads(report)["rss_bytes"], 0)
        if names:
            self.assertIn("Py", report)
        self.tidemark("trim", child.pid)
        self.assertIsNone(child.poll())

    def test_recorded_from_the_start(self):
        self.ask_everything(self.start(",sites=all"), True)

    def test_switched_on(self):
        child = self.start("")
        self.ask_everything(child, False)
        self.tidemark("start", "--all", child.pid)
        for _ in range(20):
            path = self.tidemark("snapshot", child.pid)
            if '"Py' in self.tidemark("report", "--json", "--group", "stack", path):
                break
        self.ask_everything(child, True)

    def test_filter_kills(self):
        for environment in ({}, {"LD_PRELOAD": LIBRARY}):
            done = subprocess.run([FILTERED, "--break"], env=environment, check=False)
            self.assertEqual(done.returncode, -signal.SIGSYS)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
