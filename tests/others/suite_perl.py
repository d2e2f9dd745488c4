"""perl's own tests, from its source package, by the perl that is installed.

The tests expect to stand beside a perl that was just built: t/ with the tests, lib/ with its modules. Such a tree is
put together of the tests of the source and of links to the modules that are installed.
"""

import glob
import os
import re
import shutil
import subprocess

import sources
from suite import Result, Skipped, command, judge, tool

NAME = "perl"
TITLE = "perl's own tests"
EXECUTABLES = ["perl"]
FULL = True
JUDGED = {}
LIMIT = 900
PARTS = ["base", "cmd", "comp", "io", "lib", "mro", "op", "opbasic", "re", "run", "uni"]


def root(work):
    return os.path.join(work, "perl-tests")


def prepare(work):
    perl = tool("perl")
    if os.path.isdir(root(work)):
        return
    # What comes first wins, as in @INC.
    places = subprocess.run([perl, "-MConfig", "-e", r'print "$_\n" for grep { m{/perl-base$} } @INC; print "$Config{archlib}\n$Config{privlib}\n"'],
                            capture_output=True, text=True, check=True).stdout.split()
    tree = sources.tree(work, "perl")
    unpacked = root(work) + ".new"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.copytree(os.path.join(tree, "t"), os.path.join(unpacked, "t"), symlinks=True)
    library = os.path.join(unpacked, "lib")
    for place in places:
        for directory, _, names in os.walk(place, followlinks=True):
            there = os.path.join(library, os.path.relpath(directory, place))
            os.makedirs(there, exist_ok=True)
            for name in names:
                if not os.path.lexists(os.path.join(there, name)):
                    os.symlink(os.path.join(directory, name), os.path.join(there, name))
    for path in glob.glob(os.path.join(tree, "lib", "*.t")):
        shutil.copy(path, library)
    shutil.copytree(os.path.join(tree, "lib", "perl5db"), os.path.join(library, "perl5db"), dirs_exist_ok=True)
    shutil.copy(os.path.join(tree, "MANIFEST"), unpacked)
    for name in ("perl", "t/perl"):
        os.symlink(perl, os.path.join(unpacked, name))
    if not os.path.exists(os.path.join(library, "Config.pm")):
        raise Skipped("perl's modules are not installed (package perl)")
    os.rename(unpacked, root(work))


def items(work):
    place = os.path.join(root(work), "t")
    return sorted([os.path.relpath(path, place) for part in PARTS for path in glob.glob(os.path.join(place, part, "*.t"))] +
                  [os.path.relpath(path, place) for path in glob.glob(os.path.join(place, "..", "lib", "*.t"))])


def quick(everything):
    return everything[::15]


def switches(path):
    """Of the test's first line: warnings and taint mode belong to the test."""
    with open(path, encoding="latin-1") as file:
        first = file.readline()
    return [word for word in first.split()[1:] if word.startswith("-")] if first.startswith("#!") else []


def once(run, work, item):
    place = os.path.join(root(work), "t")
    status, text = command(run, ["./perl", "-I../lib", *switches(os.path.join(place, item)), item], place, LIMIT, {"PERL_CORE": "1"})
    result = Result()
    planned = None
    for line in text.splitlines():
        if found := re.match(r"1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?", line, re.IGNORECASE):
            planned = int(found.group(1))
            result.skipped = (found.group(2) or "no reason given") if planned == 0 else ""
        elif found := re.match(r"(not )?ok\b\s*(\d*)\s*(.*)", line):
            result.ran += 1
            if found.group(1) and not re.search(r"# *(todo|skip)", line, re.IGNORECASE):
                result.failed.add(f"{found.group(2)} {found.group(3)}"[:100])
    if planned is None or planned != result.ran:
        result.failed.add(f"(planned {planned}, ran {result.ran})")
    return judge(result, status, text, LIMIT)
