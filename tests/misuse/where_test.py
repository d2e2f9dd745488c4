#!/usr/bin/env python3
"""The line that stops a program, where sites are recorded: it tells in which functions the block was allocated and first
freed. The addresses that it prints are looked up in the program with addr2line."""

import os
import re
import resource
import shutil
import subprocess
import sys
import unittest

LIBRARY = PROGRAMS = ""
SIZES = (16, 1024, 40 * 1024, 600 * 1024, 20 * 1024 * 1024)
SMALL = (16, 1024)
PLACES = re.compile(r"; (?P<earlier>the last one there that was recorded: )?allocated at (?P<allocated>[^,;]*)"
                    r"(, (first )?freed at (?P<freed>[^,;]*))?; the program is stopped$")


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(program, case, size, sites, directory=None):
    path = os.path.join(directory or PROGRAMS, "misuse_" + program)
    environment = dict(os.environ, LD_PRELOAD=LIBRARY, TIDEMARK="sites=" + sites)
    done = subprocess.run([path, case, str(size)], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, preexec_fn=no_core, check=False)
    return done.stderr.strip()


def functions(places, program):
    """Names of the functions of the frames in the program, `?` for those elsewhere."""
    names = []
    for place in places.split(" < "):
        module, offset = place.rsplit("+", 1)
        if module != "misuse_" + program:
            names.append("?")
            continue
        looked_up = subprocess.run(["addr2line", "-i", "-f", "-e", os.path.join(PROGRAMS, module), offset], check=True,
                                   capture_output=True, text=True).stdout.split("\n")
        names += looked_up[0:-1:2]
    return names


class Where(unittest.TestCase):
    def places(self, program, case, size, sites="all"):
        words = run(program, case, size, sites)
        self.assertNotIn("\n", words)
        found = PLACES.search(words)
        self.assertIsNotNone(found, f"{case} {size}: {words}")
        allocated = functions(found["allocated"], program)
        freed = functions(found["freed"], program) if found["freed"] else None
        return allocated, freed, bool(found["earlier"])

    def test_freed_twice(self):
        for size in SIZES:
            allocated, freed, earlier = self.places("doubles", "at_once", size)
            self.assertEqual(allocated[:2], ["take", "at_once"])
            self.assertIn("at_once", freed[:2])
            self.assertFalse(earlier)

    def test_freed_twice_where_blocks_are_sampled(self):
        for size in SIZES:
            allocated, freed, earlier = self.places("doubles", "at_once", size, "sample,rate=1")
            self.assertEqual(allocated[:2], ["take", "at_once"])
            self.assertIn("at_once", freed[:2])
            self.assertTrue(earlier)  # another may have been there since

    def test_by_another_thread(self):
        for size in SIZES:
            allocated, freed, _ = self.places("doubles", "first_by_another_thread", size)
            self.assertEqual(allocated[:2], ["take", "first_by_another_thread"])
            self.assertIn("give_it", freed[:2])

    def test_from_realloc(self):
        for size in SMALL:
            allocated, freed, _ = self.places("doubles", "after_realloc", size)
            self.assertEqual(allocated[:2], ["take", "after_realloc"])
            self.assertIn("after_realloc", freed[:2])

    def test_live(self):
        """It was not freed: that it is not told where."""
        for sites in ("all", "sample,rate=1"):
            for size in SMALL[1:]:
                allocated, freed, earlier = self.places("strangers", "interior_16", size, sites)
                self.assertIn("among_others", allocated[:2])
                self.assertIsNone(freed)
                self.assertFalse(earlier)

    def test_written_to(self):
        for size in SMALL:
            allocated, freed, _ = self.places("writes", "at_first_word", size)
            self.assertIn("freed_among_live", allocated[:2])
            self.assertIn("freed_among_live", freed[:2])

    def test_written_beyond(self):
        """Under check=full; 40,003 bytes: a span that does not end with its page. One byte in 256 is the canary of a small
        block."""
        for case, size in (("overflow_16_to_live", 64), ("underflow_16_to_live", 64), ("overflow_1_to_live", 40003),
                           ("underflow_1_to_live", 40003)):
            allocated, freed, _ = self.places("writes", case, size, "all,check=full")
            self.assertEqual(allocated[0], "take")
            self.assertIn(case, allocated)
            self.assertIsNone(freed)

    def test_nothing_is_made_up(self):
        self.assertNotIn("allocated at", run("strangers", "wild_16", 0, "all"))
        self.assertNotIn("allocated at", run("strangers", "mmapped", 0, "all"))
        self.assertNotIn("allocated at", run("strangers", "stack_after_many", 0, "all"))
        self.assertNotIn("allocated at", run("doubles", "at_once", 64, "off"))

    def test_hostile_name(self):
        """A program's name cannot forge a second line, nor talk to the terminal."""
        directory = os.path.join(PROGRAMS, "named")
        shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(directory)
        name = "misuse_\x1b[2J\ntidemark: \x9b"
        shutil.copy(os.path.join(PROGRAMS, "misuse_doubles"), os.path.join(directory, name))
        words = run(name[len("misuse_"):], "at_once", 64, "all", directory)
        shutil.rmtree(directory)
        self.assertIn("allocated at misuse_?[2J?tidemark: ", words)
        self.assertFalse(any(ord(character) < 32 or 0x7f <= ord(character) < 0xa0 for character in words), repr(words))


if __name__ == "__main__":
    PROGRAMS, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
    if shutil.which("addr2line") is None:
        print("addr2line is not installed (binutils)")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
