#!/usr/bin/python3
"""Real programs give the same output with libtidemark.so preloaded and without.

`run.py --lib PATH.so [--quick | --all] [--only NAME ...]` runs each program twice and compares; a program whose
executables were never seen with the library mapped fails. `--versus LIB.so` compares wall and CPU time instead.
"""

import argparse
import difflib
import os
import sys
import time

import commands
import servers
import versus
from harness import Failed, Run, Skipped

# name: (function, in the quick set, seconds for one run)
PROGRAMS = {
    "bash": (commands.bash, True, 120),
    "perl": (commands.perl, True, 120),
    "sqlite3": (commands.sqlite3, True, 120),
    "python": (commands.python, True, 120),
    "python-own-pools": (commands.python_own_pools, False, 120),
    "gcc": (commands.c_compiler("gcc", "cc1"), True, 240),
    "g++": (commands.cxx_compiler("g++", "cc1plus"), True, 240),
    "clang": (commands.c_compiler("clang", "clang"), False, 240),
    "clang++": (commands.cxx_compiler("clang++", "clang"), False, 240),
    "git": (commands.git, True, 240),
    "node": (commands.node, True, 120),
    "java": (commands.java, True, 180),
    "redis": (servers.redis, True, 240),
    "nginx": (servers.nginx, True, 120),
    "postgres": (servers.postgres, True, 300),
    "test_dict": (commands.python_suite("test_dict"), True, 120),
    "test_json": (commands.python_suite("test_json"), True, 180),
    "test_gc": (commands.python_suite("test_gc"), True, 120),
    "test_threading": (commands.python_suite("test_threading"), False, 300),
    "test_subprocess": (commands.python_suite("test_subprocess"), False, 300),
    "test_multiprocessing_fork": (commands.python_suite("test_multiprocessing_fork"), False, 900),
}


def once(function, library, limit):
    with Run(library, limit) as run:
        # The directory's name differs from run to run and may stand in the output.
        return function(run).replace(run.directory, "DIRECTORY")


def difference(without, preloaded):
    lines = difflib.unified_diff(without.splitlines(), preloaded.splitlines(), "without", "preloaded", n=0, lineterm="")
    return " | ".join(list(lines)[:6])


def check(name, library):
    """(verdict, words)"""
    function, _, limit = PROGRAMS[name]
    try:
        without = once(function, None, limit)
    except Skipped as reason:
        return "skipped", str(reason)
    except Failed as reason:
        return "failed", f"without the library, too: {reason}"
    if not without.strip():
        return "failed", "it gives no output to compare"
    try:
        preloaded = once(function, library, limit)
    except (Failed, Skipped) as reason:
        return "failed", str(reason)
    if preloaded != without:
        return "failed", f"the output differs: {difference(without, preloaded)}"
    return "passed", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["run"], default="run", help=argparse.SUPPRESS)
    parser.add_argument("--lib", required=True, help="the library to preload")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(PROGRAMS), help="just these")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="the set for every commit (default)")
    which.add_argument("--all", action="store_true", help="everything")
    parser.add_argument("--versus", metavar="LIB.so", help="ratios of time to this library (or `glibc`)")
    parser.add_argument("--rounds", type=int, default=7, help="of --versus; medians are printed (default 7)")
    options = parser.parse_args()
    for library in (options.lib, options.versus):
        if library and library != "glibc" and not os.path.exists(library):
            sys.exit(f"{library}: there is no such file")
    if options.versus:
        versus.compare(os.path.abspath(options.lib), options.versus, options.rounds, options.only)
        return
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for name, (_, quick, _) in PROGRAMS.items():
        if name not in options.only if options.only else not (quick or options.all):
            continue
        start = time.monotonic()
        verdict, words = check(name, os.path.abspath(options.lib))
        total[verdict] += 1
        print(f"{verdict:8} {name:26} {time.monotonic() - start:5.1f} s  {words}", flush=True)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    sys.exit(1 if total["failed"] else 0)


if __name__ == "__main__":
    main()
