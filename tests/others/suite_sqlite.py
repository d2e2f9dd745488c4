"""SQLite's own tests, from its source package: its test program is built, and each file of `veryquick` is run by it.

The program links SQLite in and is itself what allocates; libtcl, which reads the tests, runs in the same process.
"""

import os
import re
import shutil
import subprocess

import sources
from suite import Result, Skipped, command, fresh, judge, tool

NAME = "sqlite"
TITLE = "SQLite's veryquick tests"
EXECUTABLES = ["testfixture"]
FULL = True
JUDGED = {}
LIMIT = 900
NAMES = """set testdir [lindex $argv 0]
set argv0 $testdir/names
source $testdir/permutations.test
array set spec $::testspec(veryquick)
foreach name $spec(-files) { puts "item [file tail $name]" }
exit
"""


def tests(work):
    return os.path.join(sources.tree(work, "sqlite3"), "test")


def fixture(work):
    return os.path.join(work, "sqlite-build", "testfixture")


def prepare(work):
    tool("tclsh")
    compiler = tool("gcc")
    tree = sources.tree(work, "sqlite3")
    if os.path.exists(fixture(work)):
        return
    place = os.path.dirname(fixture(work))
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    with open(os.path.join(place, "build.txt"), "w+", encoding="utf-8") as log:
        for words in ([os.path.join(tree, "configure"), "--enable-all"], ["make", "testfixture"]):
            built = subprocess.run(words, cwd=place, stdout=log, stderr=subprocess.STDOUT, check=False, stdin=subprocess.DEVNULL,
                                   env=dict(os.environ, CC=os.environ.get("CC", compiler)))
            if built.returncode != 0:
                log.seek(0)
                raise Skipped(f"SQLite's tests cannot be built: {log.read().strip().splitlines()[-1][:200]} (packages tcl-dev, "
                              f"zlib1g-dev; all of it: {log.name})")


def items(work):
    script = os.path.join(work, "sqlite-build", "names.tcl")
    with open(script, "w", encoding="utf-8") as file:
        file.write(NAMES)
    said = subprocess.run([fixture(work), script, tests(work)], capture_output=True, text=True, check=False,
                          cwd=os.path.dirname(script)).stdout
    return sorted({line.split()[1] for line in said.splitlines() if line.startswith("item ")})


def quick(everything):
    return everything[::25]


def once(run, work, item):
    place = fresh(run, item)
    status, text = command(run, [fixture(work), os.path.join(tests(work), "permutations.test"), "veryquick", item], place, LIMIT)
    result = Result()
    if found := re.search(r"^(\d+) errors out of (\d+) tests", text, re.MULTILINE):
        result.ran = int(found.group(2))
    else:
        result.failed.add("(came to no end)")
    for line in text.splitlines():
        if line.startswith("!Failures on these tests: "):
            result.failed.update(line.split(": ", 1)[1].split())
        elif found := re.match(r"! (\S+) expected: ", line):
            result.failed.add(found.group(1))
    shutil.rmtree(place, ignore_errors=True)
    return judge(result, status, text, LIMIT)
