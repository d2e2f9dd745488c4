"""gcc's C torture tests: each is compiled at -O2, and those that are made to run are linked and run.

Compiler, assembler, linker and the test's program run with the library preloaded. Their output is compared, too: the
object or program made has to be the same, byte for byte.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess

from suite import Result, Skipped, command, ending, fresh, judge, tool

NAME = "gcc"
TITLE = "gcc 12's C torture tests"
# Every item shows the first; the last two have other names on other machines.
EXECUTABLES = ["cc1", "collect2", *(os.path.basename(os.path.realpath(shutil.which(name) or name)) for name in ("as", "ld"))]
FULL = True
JUDGED = {}
LIMIT = 300
ARCHIVES = "/usr/src/gcc-12/gcc-12*-dfsg.tar.xz"


def root(work):
    return os.path.join(work, "gcc-torture")


def prepare(work):
    tool("gcc-12")
    if os.path.isdir(root(work)):
        return
    archives = glob.glob(ARCHIVES)
    if not archives:
        raise Skipped("gcc's sources are not installed (package gcc-12-source)")
    unpacked = root(work) + ".new"
    shutil.rmtree(unpacked, ignore_errors=True)
    os.makedirs(unpacked)
    subprocess.run(["tar", "-xJf", archives[0], "-C", unpacked, "--strip-components=4", "--wildcards",
                    "*/gcc/testsuite/gcc.c-torture/*"], check=True)
    os.rename(unpacked, root(work))


def items(work):
    # No subdirectory: ieee/ and builtins/ are built in ways of their own.
    return sorted(os.path.relpath(path, root(work)) for kind in ("compile", "execute")
                  for path in glob.glob(os.path.join(root(work), kind, "*.c")))


def quick(everything):
    return everything[::40]


def options(path):
    """What the test itself wants to be compiled with."""
    with open(path, encoding="latin-1") as file:
        text = file.read()
    return [word for found in re.finditer(r"\{\s*dg-(?:additional-)?options\s+\"([^\"]*)\"\s*\}", text)
            for word in found.group(1).split()]


def once(run, work, item):
    path = os.path.join(root(work), item)
    place = fresh(run, item)
    runs = item.startswith("execute/")
    words = ["gcc-12", "-w", "-O2", "-frandom-seed=1", f"-ffile-prefix-map={place}=.", "-fprofile-dir=.",
             f"-fprofile-prefix-path={place}", *options(path), path, "-o", "made"]
    status, text = command(run, words + (["-lm"] if runs else ["-c"]), place, LIMIT)
    result = Result(ran=1)
    made = os.path.join(place, "made")
    if os.path.exists(made):
        with open(made, "rb") as file:
            result.made = hashlib.sha256(file.read()).hexdigest()[:16]
        if runs and status == 0:
            result.ran = 2
            ended, said = command(run, [made], place, LIMIT)
            judge(result, ended, said, LIMIT)
    elif status is not None:
        # What it objects to is part of what came out.
        result.made = hashlib.sha256(text.replace(run.directory, "").encode()).hexdigest()[:16]
        result.failed.add(f"(compiler: {ending(status)})")
    shutil.rmtree(place, ignore_errors=True)
    return judge(result, status, text, LIMIT)
