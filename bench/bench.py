#!/usr/bin/python3
"""The benchmark suite: Tidemark beside the allocators that Debian packages, over allocation workloads and real programs.

scripts/bench builds what this needs and runs it. README.md in this directory says what each section measures.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time

import allocators
import machine
import programs
import suite
import summary
import table
import times
from launch import LIMIT, Launcher

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SECTIONS = ("times",)
QUICK_SCALE = 0.25
ROUNDS, QUICK_ROUNDS = 5, 3
QUICK_SECONDS = 75  # after these --quick begins no new round


def pair(text):
    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=PATH.so")
    if not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return name, path


def positive(convert):
    def check(text):
        try:
            value = convert(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
        return value
    return check


def words(text):
    return [word for word in text.split(",") if word]


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer workloads, rounds and less work: under 3 minutes")
    parser.add_argument("--rounds", type=positive(int), metavar="N", help=f"rounds of times (default {ROUNDS})")
    parser.add_argument("--scale", type=positive(float), metavar="F",
                        help="multiplies the work of each run (default 1, about a second)")
    parser.add_argument("--sections", type=words, metavar="LIST", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--only", type=words, metavar="PATTERN,...",
                        help="workloads whose name contains one of these words; =NAME for exactly that one")
    parser.add_argument("--allocators", type=words, metavar="LIST", help="only these (default: all that are installed)")
    parser.add_argument("--with", dest="extras", type=pair, action="append", default=[], metavar="NAME=PATH.so",
                        help="another library beside them; may be given more than once")
    parser.add_argument("--tidemark", metavar="PATH.so", help="the library to measure (default: the build's)")
    parser.add_argument("--reference", default="mimalloc", metavar="NAME",
                        help="the allocator that ratios are to (default mimalloc)")
    parser.add_argument("--limit", type=positive(float), default=LIMIT, metavar="SECONDS",
                        help=f"after which a run counts as hung (default {LIMIT})")
    parser.add_argument("--out", metavar="DIR", help="where results go (default: results in the build directory)")
    parser.add_argument("--build", required=True, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="names the sections, allocators and workloads, and ends")
    options = parser.parse_args(arguments)
    for section in options.sections or ():
        if section not in SECTIONS:
            parser.error(f"--sections: there is no section '{section}'; sections: {', '.join(SECTIONS)}")
    options.sections = options.sections or list(SECTIONS)
    options.scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    options.build = os.path.abspath(options.build)
    options.out = os.path.abspath(options.out or os.path.join(options.build, "results"))
    options.tidemark = options.tidemark or os.path.join(options.build, "preload", "libtidemark.so")
    for path in (options.tidemark, os.path.join(options.build, "bench", "bench-run")):
        if not os.path.isfile(path):
            parser.error(f"there is no file {path}; build it with: meson compile -C {options.build}")
    return options


def wanted(options):
    """Whether a workload is to run: function of its name and whether --quick has it."""
    def check(name, quick):
        if options.only:
            return any(name == word[1:] if word.startswith("=") else word in name for word in options.only)
        return quick or not options.quick
    return check


def choose(options):
    """(allocators to measure, reference's name, lines about what is left out)"""
    found, left_out = allocators.available(options.tidemark, options.extras)
    if options.allocators:
        unknown = [name for name in options.allocators if name not in [one.name for one in found]]
        if unknown:
            sys.exit(f"scripts/bench: --allocators: no {', '.join(unknown)} here; there are: "
                     f"{', '.join(one.name for one in found)}" + "".join(f"\n  {line}" for line in left_out))
        found = [one for one in found if one.name in options.allocators]
    names = [one.name for one in found]
    if options.reference not in names:
        left_out.append(f"ratios are to {names[-1]}, since {options.reference} is not among the allocators")
        options.reference = names[-1]
    return found, left_out


def do_times(options, launcher, found, results):
    want = wanted(options)
    works = [work for work in suite.allocation(options.build, options.scale) if want(work.name, work.quick)]
    real, left_out = programs.programs(launcher.directory, options.scale, want)
    results["left_out"] += left_out
    for line in left_out:
        print(line, file=sys.stderr)
    grid = times.Grid(works + real, found)
    if not grid.works:
        sys.exit(f"scripts/bench: no workload's name matches {','.join(options.only)}; --list names them")
    until = time.monotonic() + QUICK_SECONDS if options.quick and not options.rounds else None
    try:
        grid.measure(launcher, options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS), options.limit, until)
    finally:  # what was measured before an interrupt is shown
        results["times"] = grid.record()
        results["summary"] = summary.summarize(results["times"], results["allocators"], options.reference)


def write(options, results):
    os.makedirs(options.out, exist_ok=True)
    text = table.text(results)
    with open(os.path.join(options.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    with open(os.path.join(options.out, "table.txt"), "w", encoding="utf-8") as file:
        file.write(text)
    return text


def names_of(options, found):
    print("sections:  ", ", ".join(SECTIONS))
    print("allocators:", ", ".join(one.name for one in found))
    print("workloads (* those of --quick):")
    for work in suite.allocation(options.build, options.scale):
        print(f"  {'*' if work.quick else ' '} {work.name:18} {' '.join(work.command[3:])}")
    for name, _, quick in programs.PROGRAMS + (("redis", None, True),):
        print(f"  {'*' if quick else ' '} {name}")


def main():
    options = options_of(sys.argv[1:])
    found, left_out = choose(options)
    if options.list:
        names_of(options, found)
        return
    for line in left_out:
        print(line, file=sys.stderr)
    results = {"format": 1, "started": time.strftime("%Y-%m-%d %H:%M:%S %z"), "revision": machine.revision(ROOT),
               "command": "scripts/bench " + shlex.join(sys.argv[1:]), "machine": machine.describe(),
               "allocators": [one.record() for one in found], "left_out": left_out}
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="tidemark-bench.")
    interrupted = False
    try:
        launcher = Launcher(os.path.join(options.build, "bench", "bench-run"), directory)
        do_times(options, launcher, found, results)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(write(options, results), end="")
    print(f"\nwritten to {options.out}: results.json, table.txt")
    failed = any("tidemark" in work["failed"] for work in results.get("times", {}).get("workloads", []))
    if interrupted:
        sys.exit(130)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
