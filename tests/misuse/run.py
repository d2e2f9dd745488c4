#!/usr/bin/env python3
"""Runs every case of the programs of this directory at every size, a process for each, and tells what became of it.

Under Tidemark (--lib) what happens must be what expected.txt says, and where a misuse is detected, the one line that stops
the program must name the address and the block's size. With --table the same programs run under every allocator
that is installed, and a table in Markdown is printed.

What becomes of a program that misuses the heap:
  detected  it is stopped, with words on stderr that name the address
  stopped   it is stopped, with words that do not
  crashed   it dies of a signal without a word: not in its own code, but later and elsewhere than it could
  ignored   it goes on, and nothing comes of it
  corrupt   it goes on, and malloc() returns memory that is in use or was never its own, or live blocks change
  hung      it does not end
  (cannot   the case cannot be made under this allocator)
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import glob
import os
import re
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("doubles", "strangers", "sizes", "writes", "legal")
SIZES = (16, 64, 1024, 4096, 40 * 1024, 600 * 1024, 20 * 1024 * 1024)
SMALL_MAX = 32 * 1024  # larger blocks of Tidemark's are spans: once freed nobody knows how large they were
OUTCOMES = ("detected", "stopped", "crashed", "ignored", "corrupt", "hung", "cannot")
MODES = ("fast", "full")
LIMIT = 60  # seconds

LIBRARIES = "/usr/lib/x86_64-linux-gnu/"
SCUDO = "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-x86_64.so"
# name: (what to preload, environment)
PEERS = {
    "glibc": ("", {}),
    "glibc, MALLOC_CHECK_=3": (LIBRARIES + "libc_malloc_debug.so.0", {"MALLOC_CHECK_": "3"}),
    "jemalloc": (LIBRARIES + "libjemalloc.so.2", {}),
    "mimalloc": (LIBRARIES + "libmimalloc.so.2", {}),
    "scudo": (SCUDO, {}),
    "tcmalloc": (LIBRARIES + "libtcmalloc_minimal.so.4", {}),
    "tcmalloc, debug": (LIBRARIES + "libtcmalloc_minimal_debug.so.4", {}),
}

Result = collections.namedtuple("Result", "outcome words low high usable signal")


def size_name(size):
    if size >= 1 << 20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 1 << 10 else f"{size} B"


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def names_address(words, low, high):
    return any(low <= int(number, 16) <= high - 1 for number in re.findall(r"0x([0-9a-fA-F]{1,16})\b", words))


def run(program, case, size, library, extra):
    unwanted = ("LD_PRELOAD", "LD_LIBRARY_PATH", "TIDEMARK", "MALLOC_PERTURB_", "MALLOC_CHECK_")
    environment = {k: v for k, v in os.environ.items() if k not in unwanted}
    environment.update(extra, LC_ALL="C")
    if library:
        environment["LD_PRELOAD"] = library
    try:
        done = subprocess.run([program, case, str(size)], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=LIMIT, preexec_fn=no_core, check=False)
    except subprocess.TimeoutExpired:
        return Result("hung", "", 0, 0, 0, 0)
    out = done.stdout.decode(errors="replace").splitlines()
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode in (2, 3) or "cannot be preloaded" in words:
        sys.exit(f"{program} {case} {size}: exit status {done.returncode}: {words}")
    announced = [line.split() for line in out if line.startswith("address ")]
    low, high, usable = (int(word, 0) for word in announced[-1][1:]) if announced else (0, 0, 0)
    high = high or 1 << 64  # an address at the very end
    last = out[-1].split(None, 1) if out else [""]
    if last[0] in ("ignored", "corrupt", "cannot"):
        outcome = last[0]
        words = " ".join(last[1:]) + (": " + words if words else "")
    elif names_address(words, low, high):
        outcome = "detected"
    else:
        outcome = "stopped" if words else "crashed"
    return Result(outcome, words, low, high, usable, max(0, -done.returncode))


def cases_of(programs, only):
    """[(path, program.case, case, size)]; size 0: it does not matter."""
    cases = []
    for name in PROGRAMS:
        path = os.path.join(programs, "misuse_" + name)
        if not os.path.exists(path):
            sys.exit(f"{path}: there is no such program; build first")
        listed = subprocess.run([path, "--list"], check=True, capture_output=True, text=True).stdout.split()
        for case, least in zip(listed[::2], map(int, listed[1::2])):
            sizes = [size for size in SIZES if size >= least] if least else [0]
            cases += [(path, f"{name}.{case}", case, size) for size in sizes
                      if fnmatch.fnmatch(f"{name}.{case}.{size}", only)]
    if not cases:
        sys.exit(f"--only {only}: no case has that name")
    return cases


def is_of(sizes, size):
    return sizes == "*" or sizes == str(size) or sizes == ("small" if size <= SMALL_MAX else "span")


def read_expected(path):
    """[(pattern, sizes, {mode: {outcomes}}, times)]"""
    words = OUTCOMES + ("sized", "harmless")
    rules = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split("#", 1)[0].split()
            if not fields:
                continue
            wrong = len(fields) not in (4, 5)
            by_mode = dict(zip(MODES, (set(field.split("|")) for field in fields[2:4])))
            if wrong or any(outcome not in words for outcomes in by_mode.values() for outcome in outcomes):
                sys.exit(f"{path}:{number}: expected: PROGRAM.CASE SIZE FAST FULL [TIMES]")
            rules.append((fields[0], fields[1], by_mode, int(fields[4]) if len(fields) == 5 else 1))
    return rules


def expected(rules, name, size, mode):
    """The last rule that matches holds: (outcomes, times)."""
    for pattern, sizes, by_mode, times in reversed(rules):
        if fnmatch.fnmatch(name, pattern) and is_of(sizes, size):
            return by_mode[mode], times
    sys.exit(f"expected.txt says nothing of {name}")


def fault_of(name, result, outcomes):
    """What is wrong with a result under Tidemark, or None."""
    meant = set(outcomes) - {"sized", "harmless"}
    meant |= {"detected"} if "sized" in outcomes else set()
    meant |= {"detected", "stopped", "crashed", "ignored", "cannot"} if "harmless" in outcomes else set()
    if result.outcome not in meant:
        return f"{result.outcome}, not {' or '.join(sorted(outcomes))}: {result.words or 'no words'}"
    if result.outcome == "detected":
        if result.signal != 6:
            return f"ended by signal {result.signal}, not by abort()"
        if "\n" in result.words or not result.words.startswith("tidemark: "):
            return f"not one line of tidemark's: {result.words}"
        if "sized" in outcomes and not re.search(rf"\b{result.usable}\b", result.words):
            return f"the line does not tell the block's size, {result.usable}: {result.words}"
    elif result.outcome == "ignored" and name.startswith("legal.") and "tidemark:" in result.words:
        return f"a complaint about a program that does nothing wrong: {result.words}"
    return None


def check(cases, options):
    rules = read_expected(os.path.join(HERE, "expected.txt"))
    library = os.path.abspath(options.lib)
    setting = "check=full" if options.mode == "full" else ""
    extra = {"TIDEMARK": ",".join(filter(None, (setting, options.setting)))} if setting or options.setting else {}
    count = collections.Counter()
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = []
        for path, name, case, size in cases:
            outcomes, times = expected(rules, name, size, options.mode)
            for _ in range(times * options.repeat):
                runs.append((name, size, outcomes, pool.submit(run, path, case, size, library, extra)))
        for name, size, outcomes, future in runs:
            result = future.result()
            count[result.outcome] += 1
            fault = fault_of(name, result, outcomes)
            wrong += fault is not None
            if fault or options.verbose:
                at = f" {size_name(size)}" if size else ""
                print(f"{'WRONG ' if fault else ''}{name}{at}: {fault or f'{result.outcome}: {result.words}'}", flush=True)
    told = ", ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES if count[outcome])
    print(f"misuse, check={options.mode}: {sum(count.values())} runs: {told}; {wrong} wrong")
    return 1 if wrong else 0


def knows_full(library):
    return not subprocess.run(["/bin/true"], env={"LD_PRELOAD": library, "TIDEMARK": "check=full"}, capture_output=True,
                              check=False).stderr


def peers(options):
    known = {}
    if options.lib:
        known["Tidemark"] = (os.path.abspath(options.lib), {})
        if knows_full(known["Tidemark"][0]):
            known["Tidemark, check=full"] = (os.path.abspath(options.lib), {"TIDEMARK": "check=full"})
    for name, (pattern, extra) in PEERS.items():
        found = sorted(glob.glob(pattern)) if pattern else [""]
        if found:
            known[name] = (found[-1], extra)
        else:
            print(f"{name}: {pattern} is not installed", file=sys.stderr)
    return {name: what for name, what in known.items() if fnmatch.fnmatch(name, options.allocators)}


def cell(outcomes):
    count = collections.Counter(outcomes)
    count.pop("cannot", None)
    if len(count) <= 1:
        return next(iter(count), "–")
    return ", ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES if count[outcome])


def table(cases, options):
    allocators = peers(options)
    by_case = collections.defaultdict(lambda: collections.defaultdict(list))
    totals = collections.defaultdict(collections.Counter)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = [(name, allocator, pool.submit(run, path, case, size, library, extra))
                for path, name, case, size in cases for allocator, (library, extra) in allocators.items()]
        for name, allocator, future in runs:
            outcome = future.result().outcome
            by_case[name][allocator].append(outcome)
            totals[name.split(".")[0], allocator][outcome] += 1
    head = f"| {{}} | {' | '.join(allocators)} |\n|{'---|' * (len(allocators) + 1)}"
    print(head.format("case, at " + ", ".join(size_name(size) for size in SIZES)))
    for name, outcomes in by_case.items():
        print(f"| {name} | {' | '.join(cell(outcomes[allocator]) for allocator in allocators)} |")
    print("\n" + head.format("runs"))
    for program in PROGRAMS:
        for outcome in OUTCOMES:
            numbers = [totals[program, allocator][outcome] for allocator in allocators]
            if any(numbers):
                print(f"| {program}: {outcome} | {' | '.join(map(str, numbers))} |")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--programs", required=True, help="directory of the built programs")
    parser.add_argument("--lib", help="libtidemark.so")
    parser.add_argument("--mode", choices=MODES, default="fast", help="which column of expected.txt holds")
    parser.add_argument("--setting", default="", help="more for TIDEMARK: KEY=VALUE,...")
    parser.add_argument("--table", action="store_true", help="run under all allocators and print a table")
    parser.add_argument("--allocators", default="*", help="with --table: which, a shell pattern")
    parser.add_argument("--only", default="*", help="PROGRAM.CASE.SIZE, a shell pattern")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--verbose", action="store_true", help="every run, with what was said")
    options = parser.parse_args()
    if not options.table and not options.lib:
        parser.error("--lib is missing")
    cases = cases_of(os.path.abspath(options.programs), options.only)
    sys.exit(table(cases, options) if options.table else check(cases, options))


if __name__ == "__main__":
    main()
