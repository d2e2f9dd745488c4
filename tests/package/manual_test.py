"""The man pages: they format without a warning, and name every command, option and key that there is, and no other.

usage: manual_test.py TIDEMARK MAN-DIRECTORY CONFIG.C
"""
import re
import shutil
import subprocess
import sys
import unittest

TIDEMARK, PAGES, CONFIG = sys.argv[1:4]
OPTION = r"--[a-z][a-z-]*"


def said(*words):
    return subprocess.run(words, check=True, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout


def source(page):
    with open(f"{PAGES}/{page}", encoding="utf-8") as file:
        return file.read().replace(r"\-", "-")


def commands():
    """Names in the list of commands that `tidemark --help` prints."""
    listed = said(TIDEMARK, "--help").split("commands:\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)


def sections():
    """What tidemark(1) has below the heading of each command."""
    found = {}
    for part in source("tidemark.1").split("\n.S")[1:]:
        heading, _, body = part.partition("\n")
        name = re.match(r"S tidemark ([a-z]+)", heading)
        if name:
            found[name[1]] = heading + "\n" + body
    return found


class Manual(unittest.TestCase):
    def test_formats(self):
        for page in ("tidemark.1", "libtidemark.7"):
            if shutil.which("man"):
                done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", f"{PAGES}/{page}"],
                                      check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.stderr, "")
            if shutil.which("mandoc"):
                self.assertEqual(said("mandoc", "-Tlint", f"{PAGES}/{page}"), "")

    def test_commands(self):
        self.assertGreater(len(commands()), 5)
        self.assertEqual(sorted(sections()), sorted(commands()))
        synopsis = source("tidemark.1").split(".SH SYNOPSIS\n", 1)[1].split(".SH ", 1)[0]
        self.assertEqual(set(re.findall(r"tidemark ([a-z]+)", synopsis)), set(commands()))

    def test_options(self):
        for command, text in sections().items():
            with self.subTest(command=command):
                help_text = said(TIDEMARK, command, "--help")
                there = set(re.findall(rf"^ +(?:-[a-z], )?({OPTION})", help_text, re.MULTILINE))
                there |= set(re.findall(OPTION, help_text.split("\n\n", 1)[0].split("\n", 1)[0]))
                described = set(re.findall(rf"^\.(?:TP\n\.)?(?:B|BI|BR|TQ\n\.BI?) (?:-[a-z], )?({OPTION})", text, re.MULTILINE))
                self.assertEqual(described - {"--help"}, there - {"--help"})

    def test_keys(self):
        with open(CONFIG, encoding="utf-8") as file:
            keys = set(re.findall(r'equals\(key, "([a-z]+)"\)', file.read()))
        self.assertGreater(len(keys), 8)
        settings = source("libtidemark.7").split(".SH SETTINGS\n", 1)[1].split("\n.SH ", 1)[0]
        self.assertEqual(set(re.findall(r"^\.TP\n\.B[IR] ([a-z]+) ?=", settings, re.MULTILINE)), keys)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
