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
import bars
import curves
import machine
import page
import programs
import suite
import table
import times
from launch import LIMIT, Launcher

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
ASKED_FOR = ("recording", "thp")  # sections that run only when they are named
QUICK_SCALE = 0.15


class Context:
    """What a section needs: options, allocators, how to launch, where its results go."""

    def __init__(self, options, launcher, found, results):
        self.options, self.launcher, self.allocators, self.results = options, launcher, found, results

    def wanted(self, name, quick):
        """Whether a workload is to run; `quick`: whether --quick has it."""
        if self.options.only:
            return any(name == word[1:] if word.startswith("=") else word in name for word in self.options.only)
        return quick or not self.options.quick

    def leave_out(self, lines):
        for line in lines:
            if line not in self.results["left_out"]:
                self.results["left_out"].append(line)
                print(line, file=sys.stderr)


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
    parser.add_argument("--rounds", type=positive(int), metavar="N", help=f"rounds of times (default {times.ROUNDS})")
    parser.add_argument("--scale", type=positive(float), metavar="F",
                        help="multiplies the work of each run (default 1, about a second)")
    parser.add_argument("--sections", type=words, metavar="LIST",
                        help=f"of {', '.join(table.SECTIONS)} (default: all but {', '.join(ASKED_FOR)})")
    parser.add_argument("--recording", action="store_true",
                        help="only what it costs to record call sites: the same as --sections recording")
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
        if section not in table.SECTIONS:
            parser.error(f"--sections: there is no section '{section}'; sections: {', '.join(table.SECTIONS)}")
    if options.recording:
        options.sections = ["recording", *(name for name in options.sections or () if name != "recording")]
    options.sections = options.sections or [name for name in table.SECTIONS if name not in ASKED_FOR]
    options.scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    options.build = os.path.abspath(options.build)
    options.out = os.path.abspath(options.out or os.path.join(options.build, "results"))
    options.tidemark = options.tidemark or os.path.join(options.build, "preload", "libtidemark.so")
    for path in (options.tidemark, os.path.join(options.build, "bench", "bench-run")):
        if not os.path.isfile(path):
            parser.error(f"there is no file {path}; build it with: meson compile -C {options.build}")
    return options


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


def write(options, results):
    """All files of the results; returns their names."""
    os.makedirs(options.out, exist_ok=True)
    charts = {}
    if results.get("times"):
        charts["times"] = bars.draw(results)
    if results.get("scale"):
        charts["scale"] = curves.draw(results)
    files = {"table.txt": table.text(results, True), "results.json": json.dumps(results, indent=1) + "\n",
             "index.html": page.draw(results, charts)}
    files.update((("chart.svg" if name == "times" else f"{name}.svg"), svg) for name, svg in charts.items())
    for name in ("chart.svg", "scale.svg"):  # no picture of an earlier measurement stays beside these
        if name not in files and os.path.exists(os.path.join(options.out, name)):
            os.unlink(os.path.join(options.out, name))
    for name, text in files.items():
        with open(os.path.join(options.out, name), "w", encoding="utf-8") as file:
            file.write(text)
    return sorted(files)


def workloads():
    """(name, arguments or "", whether --quick has it) of all of the section `times`"""
    return ([(name, line.partition(" ")[2], quick) for name, line, quick in suite.ALLOCATION]
            + [(name, "", quick) for name, _, quick in programs.PROGRAMS] + [("redis", "", True)])


def names_of(found):
    print("sections:  ", ", ".join(table.SECTIONS), f"(only when named: {', '.join(ASKED_FOR)})")
    print("allocators:", ", ".join(one.name for one in found))
    print("workloads (* those of --quick):")
    for name, arguments, quick in workloads():
        print(f"  {'*' if quick else ' '} {name:18} {arguments}".rstrip())


def failed(results):
    """Whether Tidemark failed anywhere."""
    grids = [results.get(name) for name in ("trivial", "times", "after", "scale")] + list(results.get("thp", {}).values())
    works = [work["failed"] for record in grids if record for work in record["workloads"]]
    works += [results[name]["failed"] for name in ("instructions", "syscalls") if name in results]
    recorded = [work["failed"] for part in results.get("recording", {}).values() for work in part["workloads"]]
    return any("tidemark" in one for one in works) or any(name in one for one in recorded
                                                          for name in ("off", "off-again", "sample", "all"))


def main():
    options = options_of(sys.argv[1:])
    found, left_out = choose(options)
    if options.list:
        names_of(found)
        return
    for line in left_out:
        print(line, file=sys.stderr)
    results = {"format": 1, "started": time.strftime("%Y-%m-%d %H:%M:%S %z"), "revision": machine.revision(ROOT),
               "command": "scripts/bench " + shlex.join(sys.argv[1:]), "machine": machine.describe(),
               "tidemark_variable": os.environ.get("TIDEMARK", ""), "reference": options.reference,
               "allocators": [one.record() for one in found], "left_out": left_out}
    for number in (signal.SIGTERM, signal.SIGHUP):  # as an interrupt: what runs is ended, what was set is restored
        signal.signal(number, signal.default_int_handler)
    directory = tempfile.mkdtemp(prefix="tidemark-bench.")
    interrupted = False
    try:
        launcher = Launcher(os.path.join(options.build, "bench", "bench-run"), directory)
        context = Context(options, launcher, found, results)
        if options.only and not any(context.wanted(name, quick) for name, _, quick in workloads()):
            sys.exit(f"scripts/bench: no workload's name matches {','.join(options.only)}; --list names them")
        for name in options.sections:
            table.SECTIONS[name].measure(context)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    files = write(options, results)
    print(table.text(results, False))
    print(f"written to {options.out}: {', '.join(files)}")
    if interrupted:
        print("interrupted: not all was measured", file=sys.stderr)
        sys.exit(130)
    sys.exit(1 if failed(results) else 0)


if __name__ == "__main__":
    main()
