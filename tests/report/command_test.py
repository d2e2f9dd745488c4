"""`tidemark report` as a user runs it: exit status, messages, JSON for any bytes, the example reader of the format's README.

usage: command_test.py TIDEMARK SNAPSHOT_MAKE FORMAT_README
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

TIDEMARK, SNAPSHOT_MAKE, README = map(os.path.abspath, sys.argv[1:4])


def report(*arguments, **environment):
    return subprocess.run(
        [TIDEMARK, "report", *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


class Command(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="tidemark-test-")
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def make(self, kind):
        path = self.path(kind + ".heap")
        subprocess.run([SNAPSHOT_MAKE, kind, path], check=True)
        return path

    def assert_fails(self, status, words, *arguments):
        done = report(*arguments)
        self.assertEqual(done.returncode, status, done)
        self.assertEqual(done.stdout, b"")
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("tidemark: "), lines)
        self.assertIn(words, lines[0])

    def test_json_is_valid_and_adds_up(self):
        for kind in "hand-made", "hostile", "random", "sites", "sites-sampled", "sites-random":
            done = report("--json", self.make(kind))
            self.assertEqual(done.returncode, 0, done.stderr)
            subprocess.run(
                [sys.executable, "-m", "json.tool"], input=done.stdout, stdout=subprocess.DEVNULL, check=True
            )
            told = json.loads(done.stdout.decode("utf-8", "strict"))
            rows = told["ledger"]
            self.assertEqual(sum(row["bytes"] for row in rows), told["rss_bytes"])
            self.assertEqual([row["name"] for row in rows].count("residual"), 1)
            self.assertEqual(rows[-1]["name"], "residual")
            self.assertTrue(all(row["meaning"] for row in rows))
            for key in (
                "verdict process classes arenas granularity spans timeline cost counters "
                "other_mappings exactness page_floor_bytes recording held sites plan"
            ).split():
                self.assertIn(key, told)

    def test_json_says_what_the_text_says(self):
        path = self.make("hand-made")
        told = json.loads(report("--json", path).stdout)
        text = report(path, LC_ALL="C").stdout.decode("ascii")
        for row in told["ledger"]:
            if row["bytes"]:
                self.assertRegex(text, re.escape(row["name"]) + " +" + re.escape(f"{row['bytes']:,}"))
        self.assertEqual(told["process"]["command"], ["/usr/bin/service", "--port", "8080"])
        self.assertEqual(told["timeline"]["peak_bytes"], 8 << 20)

    def test_json_of_a_cached_mapping(self):
        told = json.loads(report("--json", self.make("hand-made")).stdout)
        spans = {span.pop("kind"): span for span in told["spans"]}
        self.assertEqual(list(spans), ["pages", "arenas", "mapping", "cached mapping"])
        self.assertEqual(spans["mapping"]["count"], 1)
        self.assertEqual(
            spans["cached mapping"],
            {"count": 1, "bytes": 16 << 20, "resident_bytes": 49152, "largest_bytes": 16 << 20},
        )
        rows = {row["name"]: row for row in told["ledger"]}
        self.assertEqual((rows["cached mappings"]["bytes"], rows["cached mappings"]["group"]), (49152, "held"))
        verdict = told["verdict"]
        self.assertEqual(verdict["live_bytes"], 1134208)
        self.assertEqual(verdict["held_bytes"], 8576 + 61440)
        self.assertEqual(verdict["pinned_bytes"], 8576)
        self.assertEqual(verdict["cached_bytes"], 61440)

    def assert_shares_add_up(self, told):
        held = told["held"]
        rows = {row["name"]: row["bytes"] for row in told["ledger"]}
        shares = sum(site["held_share"]["bytes"] for site in told["sites"])
        self.assertEqual(held["pinned_bytes"], rows["pinned"])
        self.assertEqual(held["charged_bytes"] + held["not_recorded_bytes"], shares)
        self.assertEqual(
            shares + held["older_pools_bytes"] + held["unchosen_sizes_bytes"] + held["inconsistent_bytes"],
            rows["pinned"],
        )

    def test_json_of_exact_sites(self):
        told = json.loads(report("--json", self.make("sites")).stdout)
        self.assert_shares_add_up(told)
        self.assertTrue(told["held"]["exact"])
        sites = told["sites"]
        self.assertEqual([site["held_share"]["bytes"] for site in sites], [8896, 6080, 4864, 1024])
        self.assertEqual(sites[0]["held_share"], {"bytes": 8896, "exact": True})
        self.assertEqual([site["sole_pin_resident"]["bytes"] for site in sites[:3]], [8192, 8192, 0])
        self.assertEqual([site["recorded"] for site in sites], [True, True, True, False])
        self.assertEqual([frame["address"] for frame in sites[0]["frames"]], ["0x1001", "0x1002", "0x2001", "0x3001"])
        self.assertEqual([step["add_sites"] for step in told["plan"]], [[1], [0], [2]])
        self.assertEqual([step["rss_falls_by"]["bytes"] for step in told["plan"]], [20480, 28672, 36864])
        self.assertEqual((told["grouped_by"], told["sorted_by"]), ("function", "held"))
        self.assertEqual(told["recording"]["sites"], "all")
        self.assertEqual(sites[0]["live"], {"bytes": 320, "exact": True})
        self.assertEqual(sites[0]["live_blocks"], 5)

    def test_json_of_rounded_shares(self):
        self.assert_shares_add_up(json.loads(report("--json", self.make("sites-random")).stdout))

    def test_json_of_estimated_sites(self):
        told = json.loads(report("--json", self.make("sites-sampled")).stdout)
        self.assert_shares_add_up(told)
        self.assertFalse(told["held"]["exact"])
        self.assertEqual((told["held"]["older_pools_bytes"], told["held"]["unchosen_sizes_bytes"]), (3072, 2048))
        share = told["sites"][0]["held_share"]
        self.assertFalse(share["exact"])
        self.assertTrue(share["too_few"])
        self.assertLess(share["low_95"], share["bytes"])
        self.assertGreater(share["high_95"], share["bytes"])
        self.assertGreater(share["standard_error"], 0)

    def test_sorts_and_groups(self):
        path = self.make("sites")
        told = json.loads(report("--json", "--by", "live", path).stdout)
        self.assertEqual([site["live"]["bytes"] for site in told["sites"]], [26688, 320, 256, 0])
        for by in "held", "live", "sole", "peak", "allocated", "temporary":
            done = report("--by", by, "--json", path)
            self.assertEqual(json.loads(done.stdout)["sorted_by"], by)
        for group in "stack", "function", "line", "file", "library":
            told = json.loads(report("--group", group, "--json", path).stdout)
            self.assertEqual(told["grouped_by"], group)
            self.assert_shares_add_up(told)
        # No symbols: all code is in no file, one library.
        self.assertEqual(len(told["sites"]), 2)
        told = json.loads(report("--depth", "1", "--json", path).stdout)
        self.assertEqual([len(site["frames"]) for site in told["sites"]], [1, 1, 1, 0])
        self.assert_fails(1, "does not keep call sites apart by thread", "--group", "thread", path)
        path = self.make("sites-by-thread")
        told = json.loads(report("--group", "thread", "--json", path).stdout)
        self.assertEqual(sorted(site["name"] for site in told["sites"])[1], "thread 77")

    def test_readme_reader(self):
        """The example in the format's description runs and agrees with the command."""
        with open(README, encoding="utf-8") as file:
            blocks = re.findall(r"^```python\n(.*?)^```", file.read(), re.M | re.S)
        self.assertEqual(len(blocks), 1)
        script = self.path("reader.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(blocks[0])
        for kind in "hand-made", "random":
            path = self.make(kind)
            done = subprocess.run([sys.executable, script, path], capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = {row["name"]: row["bytes"] for row in json.loads(report("--json", path).stdout)["ledger"]}
            for name in "live in pools", "pinned", "cached in pools", "cached in arenas", "cached mappings":
                self.assertIn(f"{name}: {rows[name]}\n", done.stdout.decode())

    def test_bad_files(self):
        whole = self.make("hand-made")
        with open(whole, "rb") as file:
            data = file.read()
        for name, content, words in (
            ("cut", data[:-30], "is truncated: it ends at byte"),
            ("empty", b"", "is empty"),
            ("foreign", b"\x7fELF" + data, "is not a Tidemark snapshot"),
            ("newer", data[:8] + b"\x09\0\0\0" + data[12:], "has format version 9"),
            ("flipped", data[:100] + b"\xa5" + data[101:], "is damaged: its checksum is"),
        ):
            with open(self.path(name), "wb") as file:
                file.write(content)
            self.assert_fails(1, words, self.path(name))
        self.assert_fails(1, "does not exist", self.path("none"))
        self.assert_fails(1, "is a directory", self.directory.name)
        self.assert_fails(1, "not a regular file", "/dev/null")

    def test_bad_usage(self):
        path = self.make("hand-made")
        self.assert_fails(2, "needs one snapshot file, and 0")
        self.assert_fails(2, "needs one snapshot file, and 2", path, path)
        self.assert_fails(2, "no option '--nonsense'", "--nonsense", path)
        self.assert_fails(2, "--top is 'x'", "--top", "x", path)
        self.assert_fails(2, "--top is '5x'", "--top", "5x", path)
        self.assert_fails(2, "--top is '0'", "--top", "0", path)
        self.assert_fails(2, "needs a value", path, "--top")
        self.assert_fails(2, "--depth is '0'", "--depth", "0", path)
        self.assert_fails(2, "--by is 'size'; it can be held, sole", "--by", "size", path)
        self.assert_fails(2, "--group is 'x'; it can be stack, function", "--group", "x", path)

    def test_help_and_top(self):
        done = report("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"usage: tidemark report", done.stdout)
        path = self.make("hand-made")
        self.assertIn(b" in 12 more", report("--top", "1", path).stdout)
        self.assertRegex(report("--top", "1", path).stdout, rb"\n +1 more +1 +21 +21 ")
        self.assertNotIn(b" more", report("--top", "100", path).stdout)

    def test_no_colour_in_a_pipe(self):
        self.assertNotIn(b"\033", report(self.make("hostile"), TERM="xterm").stdout)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [TIDEMARK, "report", self.make("hand-made")], stdout=full, stderr=subprocess.PIPE, check=False
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
