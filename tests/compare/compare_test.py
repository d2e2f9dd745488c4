"""`tidemark run` and `tidemark compare` as a user runs them, on programs whose memory is known.

usage: compare_test.py TIDEMARK SHAPE STATIC_SHAPE
"""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree
from html.parser import HTMLParser

TIDEMARK, SHAPE, STATIC_SHAPE = map(os.path.abspath, sys.argv[1:4])
MIB = 2**20
# Milliseconds that nobody waits for, of a number that no other run of these tests has.
LONG = 100000 + os.getpid() % 10000


def tidemark(*arguments, **environment):
    clean = {key: value for key, value in os.environ.items()
             if key not in ("LD_PRELOAD", "TIDEMARK", "PYTHONMALLOC")}
    return subprocess.run([TIDEMARK, *arguments], capture_output=True, text=True, timeout=120,
                          env={**clean, **environment}, check=False)


def compare(*arguments, **environment):
    """The result of a comparison as JSON, which must succeed."""
    done = tidemark("compare", "--json", "-", *arguments, **environment)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def descendants_running(word):
    """PIDs of processes whose command line has `word` in it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                if word.encode() in cmdline.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Temporary(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="tidemark-test-")
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def script(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(name), 0o755)
        return self.path(name)


class Run(Temporary):
    def environment_of(self, *options, command=("/bin/sh", "-c", "env"), **environment):
        done = tidemark("run", *options, "--", *command, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def keys_of(self, *options, **environment):
        value = self.environment_of(*options, **environment)["TIDEMARK"]
        pairs = [item.split("=", 1) for item in value.split(",")]
        self.assertEqual(len(pairs), len(dict(pairs)), f"a key twice in {value}")
        return dict(pairs)

    def test_exit_status_is_the_commands(self):
        for status in (0, 1, 2, 77, 255):
            self.assertEqual(tidemark("run", "--", SHAPE, f"x{status}").returncode, status)

    def test_signal_is_the_commands(self):
        self.assertEqual(tidemark("run", "--", SHAPE, "s15").returncode, -signal.SIGTERM)

    def test_signals_reach_the_command_directly(self):
        process = subprocess.Popen([TIDEMARK, "run", "--", SHAPE, "w30000"])
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), -signal.SIGINT)

    def test_library_is_loaded(self):
        done = tidemark("run", "--", "/bin/cat", "/proc/self/maps")
        self.assertIn("/libtidemark.so", done.stdout)

    def test_preload_keeps_what_was_there(self):
        found = self.environment_of(LD_PRELOAD="libm.so.6")["LD_PRELOAD"].split(":")
        self.assertTrue(found[0].endswith("/libtidemark.so"), found)
        self.assertEqual(found[1:], ["libm.so.6"])

    def test_run_in_run_preloads_once(self):
        found = self.environment_of(command=(TIDEMARK, "run", "--", "/bin/sh", "-c", "env"))
        self.assertEqual(found["LD_PRELOAD"].count("libtidemark"), 1)

    def test_options_become_keys(self):
        keys = self.keys_of("--exit", "none", "--out", "/x/%p.heap", "--set", "rate=64K", "--set", "rate=32K")
        self.assertEqual(keys, {"sites": "sample", "exit": "none", "out": "/x/%p.heap", "rate": "32K"})
        keys = self.keys_of("--sites", "all", "--rate", "64K", "--at", "80%", "--exit", "snapshot")
        self.assertEqual(keys, {"sites": "all", "rate": "64K", "at": "80%", "exit": "snapshot"})

    def test_samples_unless_told_otherwise(self):
        self.assertEqual(self.keys_of(), {"sites": "sample"})
        self.assertEqual(self.keys_of(TIDEMARK=""), {"sites": "sample"})
        self.assertEqual(self.keys_of(TIDEMARK="sites=off"), {"sites": "off"})
        self.assertEqual(self.keys_of("--set", "sites=all"), {"sites": "all"})
        self.assertEqual(self.keys_of("--sites", "off", TIDEMARK="sites=all"), {"sites": "off"})

    def test_users_variable_is_kept_and_replaced_by_key(self):
        keys = self.keys_of("--set", "timeline=50ms", TIDEMARK="sites=off,timeline=1s,signal=none")
        self.assertEqual(keys, {"sites": "off", "timeline": "50ms", "signal": "none"})

    def test_relative_pattern_becomes_absolute(self):
        self.assertEqual(self.keys_of("--out", "a.%p")["out"], os.path.join(os.getcwd(), "a.%p"))

    def test_python_program_gets_malloc(self):
        show = "import os; print('PYTHONMALLOC=' + os.environ.get('PYTHONMALLOC', '-'))"
        script = self.script("program", f"#!/usr/bin/env python3\n{show}\n")
        os.symlink("/usr/bin/python3", self.path("linked"))
        for command in (["/usr/bin/python3", "-c", show], [script], [self.path("linked"), "-c", show]):
            found = self.environment_of(command=command)
            self.assertEqual(found["PYTHONMALLOC"], "malloc", command)
        found = self.environment_of("--no-pythonmalloc", command=[script])
        self.assertEqual(found["PYTHONMALLOC"], "-")
        found = self.environment_of(command=[script], PYTHONMALLOC="pymalloc_debug")
        self.assertEqual(found["PYTHONMALLOC"], "pymalloc_debug")
        self.assertNotIn("PYTHONMALLOC", self.environment_of(command=["/usr/bin/env"]))

    def test_command_that_cannot_start(self):
        done = tidemark("run", "--", "no-such-command-anywhere")
        self.assertEqual(done.returncode, 127)
        self.assertIn("tidemark: cannot run 'no-such-command-anywhere'", done.stderr)
        with open(self.path("plain"), "w", encoding="utf-8"):
            pass
        self.assertEqual(tidemark("run", "--", self.path("plain")).returncode, 126)

    def test_static_program_is_warned_about(self):
        done = tidemark("run", "--", STATIC_SHAPE, "x3")
        self.assertEqual(done.returncode, 3)
        self.assertIn("statically linked", done.stderr)
        self.assertNotIn("statically", tidemark("run", "--", SHAPE).stderr)

    def test_bad_usage(self):
        for bad in ([], ["--"], ["--nonsense", "--", "true"], ["--exit", "maybe", "--", "true"],
                    ["--set", "rate", "--", "true"], ["--set", "=1", "--", "true"],
                    ["--out", "a,b", "--", "true"],
                    *([option, value, "--", "true"] for option, value in (
                        ("--sites", "on"), ("--sites", ""), ("--rate", "0"), ("--rate", "64KB"), ("--rate", "10%"),
                        ("--rate", "K"), ("--rate", "1,exit=none"), ("--at", "80%%"), ("--at", "0%"), ("--at", "101%"),
                        ("--at", "")))):
            done = tidemark("run", *bad)
            self.assertEqual(done.returncode, 2, bad)
            self.assertTrue(done.stderr, bad)

    def test_missing_library(self):
        done = tidemark("run", "--", "true", TIDEMARK_LIBRARY="/nowhere/libtidemark.so")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/libtidemark.so", done.stderr)


class Figures(Temporary):
    def row(self, result, name="glibc"):
        return next(row for row in result["allocators"] if row["name"] == name)

    def test_shape_of_a_known_program(self):
        result = compare("--with", "glibc", "--", SHAPE, "w900a100w600fw300")
        figures = self.row(result)["median"]
        self.assertAlmostEqual(figures["peak_bytes"] / MIB, 101, delta=2.5)
        self.assertLess(figures["final_bytes"] / MIB, 4)
        self.assertGreater(figures["wall_seconds"], 1.8)
        self.assertGreater(figures["minor_faults"], 100 * 256)
        # 0.6 of the 0.9 seconds after the peak, and a third of all the time; a loaded machine stretches the ramp.
        self.assertAlmostEqual(figures["after_peak_bytes"] / MIB, 67, delta=12)
        self.assertAlmostEqual(figures["mean_bytes"] / MIB, 35, delta=12)

    def test_peak_between_two_samples_is_not_lost(self):
        result = compare("--with", "glibc", "--interval", "400", "--", SHAPE, "w50a100fw900")
        self.assertAlmostEqual(self.row(result)["median"]["peak_bytes"] / MIB, 101, delta=2.5)

    def test_grandchildren_count(self):
        result = compare("--with", "glibc", "--", SHAPE, "cca60w900")
        self.assertAlmostEqual(self.row(result)["median"]["peak_bytes"] / MIB, 61, delta=4)
        # The peak may come from the kernel's mark; the mean comes from samples alone.
        self.assertGreater(self.row(result)["median"]["mean_bytes"] / MIB, 40)

    def test_each_process_counts_but_shared_pages_once(self):
        # The child has the parent's 50 MiB in common with it, and 30 MiB of its own.
        result = compare("--with", "glibc", "--", SHAPE, "a50ca30w900")
        self.assertAlmostEqual(self.row(result)["median"]["peak_bytes"] / MIB, 81, delta=4)

    def test_memory_is_ones_own_again_when_the_child_has_gone(self):
        result = compare("--with", "glibc", "--", SHAPE, "a60t300w400")
        self.assertAlmostEqual(self.row(result)["median"]["final_bytes"] / MIB, 60, delta=3)

    def test_vfork_child_does_not_double(self):
        result = compare("--with", "glibc", "--", SHAPE, "a60w100v600")
        self.assertAlmostEqual(self.row(result)["median"]["peak_bytes"] / MIB, 61, delta=3)

    def test_orphans_stay_in_the_tree(self):
        started = time.monotonic()
        result = compare("--with", "glibc", "--duration", "1", "--", SHAPE, f"da40w{LONG}")
        self.assertAlmostEqual(self.row(result)["median"]["peak_bytes"] / MIB, 41, delta=3)
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(descendants_running(f"da40w{LONG}"), [])

    def test_what_outlives_the_command_is_ended(self):
        result = compare("--with", "glibc", "--", SHAPE, f"dw{LONG}")
        self.assertEqual(descendants_running(f"dw{LONG}"), [])
        self.assertTrue(any("outlived" in note for note in result["notes"]), result["notes"])

    def test_preloaded_libraries_are_seen(self):
        result = compare("--with", "glibc,tidemark,m=/lib/x86_64-linux-gnu/libm.so.6", "--", SHAPE, "a5w300")
        self.assertEqual([row["loaded"] for row in result["allocators"]], [None, True, True])
        result = compare("--with", "glibc,tidemark", "--", STATIC_SHAPE, "a5w300")
        self.assertIs(self.row(result, "tidemark")["loaded"], False)
        self.assertTrue(any("was not loaded" in note for note in result["notes"]))

    def test_repeat_gives_the_median(self):
        counter = self.path("counter")
        script = self.script("program", f"""#!/bin/sh
n=$(cat {counter} 2>/dev/null || echo 0); echo $((n + 1)) > {counter}
case $n in 0) exec {SHAPE} a20w200;; 1) exec {SHAPE} a60w200;; 2) exec {SHAPE} a30w200;; esac
""")
        row = self.row(compare("--with", "glibc", "--repeat", "3", "--", script))
        self.assertAlmostEqual(row["median"]["peak_bytes"] / MIB, 31, delta=3)
        self.assertEqual(len(row["runs"]), 3)

    def test_runs_are_interleaved(self):
        log = self.path("log")
        script = self.script("program", f'#!/bin/sh\necho "[$LD_PRELOAD]" >> {log}\n')
        compare("--with", "glibc,tidemark", "--repeat", "2", "--", script)
        with open(log, encoding="utf-8") as lines:
            order = ["tidemark" in line for line in lines]
        self.assertEqual(order, [False, True, False, True])

    def test_python_program_has_a_row_as_its_user_runs_it(self):
        log = self.path("log")
        script = self.script("program", "#!/usr/bin/env python3\nimport os, sys\n"
                             f"open({log!r}, 'a').write(os.environ.get('PYTHONMALLOC', '-') + '\\n')\n")
        result = compare("--with", "glibc,tidemark", "--", script)
        self.assertEqual([row["name"] for row in result["allocators"]],
                         ["glibc (own pools)", "glibc", "tidemark"])
        with open(log, encoding="utf-8") as lines:
            self.assertEqual(lines.read().split(), ["-", "malloc", "malloc"])
        self.assertEqual(result["reference"], "glibc")


class Output(Temporary):
    def test_files_are_well_formed(self):
        series, page, chart = self.path("a.csv"), self.path("a.html"), self.path("a.svg")
        argument = 'w200a20w100 <&"\'>'
        done = tidemark("compare", "--with", "glibc,tidemark", "--repeat", "2", "--csv", series,
                        "--html", page, "--svg", chart, "--", SHAPE, argument)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        with open(series, encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        self.assertEqual({row["allocator"] for row in rows}, {"glibc", "tidemark"})
        for run in ("1", "2"):
            one = [row for row in rows if row["allocator"] == "glibc" and row["run"] == run]
            times = [float(row["seconds"]) for row in one]
            self.assertGreater(len(one), 5)
            self.assertEqual(times, sorted(times))
            self.assertAlmostEqual(max(int(row["resident_bytes"]) for row in one) / MIB, 21, delta=3)
        with open(self.path("a-summary.csv"), encoding="utf-8", newline="") as text:
            self.assertEqual(len(list(csv.DictReader(text))), 4)
        root = xml.etree.ElementTree.parse(chart).getroot()
        lines = [line for line in root.iter("{http://www.w3.org/2000/svg}polyline")
                 if "line" in line.get("class").split()]
        self.assertEqual(len(lines), 4)
        with open(page, encoding="utf-8") as text:
            self.check_html(text.read())

    def check_html(self, text):
        empty = {"meta", "rect", "line", "polyline", "br"}
        opened = []

        class Parser(HTMLParser):
            def handle_starttag(parser, tag, attributes):
                if tag not in empty:
                    opened.append(tag)
                for name, value in attributes:
                    self.assertNotIn(name, ("src", "href"), value)

            def handle_startendtag(parser, tag, attributes):
                pass

            def handle_endtag(parser, tag):
                self.assertEqual(opened.pop(), tag)

        Parser().feed(text)
        self.assertEqual(opened, [])
        self.assertNotIn("http", text)

    def test_table_has_ratios(self):
        done = tidemark("compare", "--with", "glibc,tidemark", "--", SHAPE, "a20w200")
        for word in ("glibc", "tidemark", "after peak", "1.00x", "MiB"):
            self.assertIn(word, done.stdout)

    def test_output_of_the_command(self):
        command = ("--", "/bin/sh", "-c", "echo to-stdout; echo to-stderr >&2")
        hidden = tidemark("compare", "--with", "glibc", *command)
        self.assertNotIn("to-std", "".join((hidden.stdout + hidden.stderr).splitlines()[1:]))
        shown = tidemark("compare", "--with", "glibc", "--quiet", "--show-output", *command)
        self.assertEqual((shown.stdout, shown.stderr), ("to-stdout\n", "to-stderr\n"))


class Failures(Temporary):
    def test_failed_command_is_reported(self):
        done = tidemark("compare", "--with", "glibc,tidemark", "--", SHAPE, "ex7")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("last words\n"), 2)
        self.assertIn("exit status 7", done.stderr)
        self.assertIn("failed: exit status 7", done.stdout)

    def test_killed_command_is_reported(self):
        done = tidemark("compare", "--with", "glibc", "--", SHAPE, "s9")
        self.assertEqual(done.returncode, 1)
        self.assertIn("killed by signal 9", done.stderr)

    def test_one_failed_row_leaves_the_others(self):
        script = self.script("program", '#!/bin/sh\ncase $LD_PRELOAD in "") exit 0;; *) exit 5;; esac\n')
        done = tidemark("compare", "--with", "glibc,tidemark", "--json", self.path("j"), "--", script)
        self.assertEqual(done.returncode, 1)
        with open(self.path("j"), encoding="utf-8") as text:
            rows = json.load(text)["allocators"]
        self.assertEqual([row["runs"][0]["failed"] for row in rows], [False, True])

    def test_interrupt_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([TIDEMARK, "compare", "--with", "glibc", "--", "/bin/sh", "-c",
                                        f"trap '' TERM; {SHAPE} w{LONG} & {SHAPE} dw{LONG}; wait"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(0.5)
            self.assertGreater(len(descendants_running(f"w{LONG}")), 1)
            process.send_signal(number)
            said = process.communicate(timeout=20)[1]
            self.assertEqual(process.returncode, -number)
            self.assertIn("ended by signal", said)
            self.assertEqual(descendants_running(f"w{LONG}"), [])

    def test_bad_usage(self):
        for bad in ([], ["--"], ["--nonsense", "--", "true"], ["--repeat", "0", "--", "true"],
                    ["--repeat", "1.5", "--", "true"], ["--repeat", "x", "--", "true"],
                    ["--interval", "-1", "--", "true"], ["--interval", "nan", "--", "true"],
                    ["--with", "glibc,nonsense", "--", "true"], ["--with", "", "--", "true"],
                    ["--with", "glibc,glibc", "--", "true"], ["--with", "x=", "--", "true"]):
            done = tidemark("compare", *bad)
            self.assertEqual(done.returncode, 2, bad)
            self.assertTrue(done.stderr, bad)

    def test_what_cannot_be_done(self):
        for arguments, words in ((["--with", "glibc,x=/nowhere/x.so", "--", "true"], "/nowhere/x.so"),
                                 (["--with", "glibc,x=/etc/passwd", "--", "true"], "no shared library"),
                                 (["--with", "glibc", "--", "no-such-command"], "no-such-command"),
                                 (["--with", "glibc", "--csv", "/nowhere/a.csv", "--", "true"], "/nowhere/a.csv")):
            done = tidemark("compare", *arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(words, done.stderr)

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        done = tidemark("compare", "--with", "glibc", "--csv", "/dev/full", "--", SHAPE, "w100")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/dev/full", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
