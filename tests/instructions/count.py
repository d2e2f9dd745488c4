#!/usr/bin/python3
"""Counts the instructions of a thread-local malloc/free pair with callgrind, and fails above a limit.

The program runs with the library preloaded, for few pairs and for many; the difference in instructions, over the
difference in pairs, is the cost of one turn of its loop. The same program linked with a malloc and free that do nothing
tells what of that is the loop's own. Exit status 77 (skipped) without valgrind.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

SHORT, LONG = 20_000, 120_000
SIZES = 16, 64, 256, 512


def own_cost(profile, function):
    """Instructions in the function's own body, without those of its callees."""
    cost, inside, skip = 0, False, False
    names = {}
    for line in profile:
        if match := re.match(r"fn=\((\d+)\)(?: (.*))?", line):
            if match[2]:
                names[match[1]] = match[2].rstrip()
            inside = names[match[1]] == function
        elif match := re.match(r"cfn=\((\d+)\) (.*)", line):
            names[match[1]] = match[2].rstrip()
        elif line.startswith("calls="):
            skip = True  # the next line is what the callee cost
        elif match := re.match(r"[+*-]?\d* ?(\d+)\s*$", line):
            if inside and not skip:
                cost += int(match[1])
            skip = False
    return cost


def measure(program, library, pairs, size):
    """(instructions of the whole run, lines of the profile)"""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    if library:
        environment["LD_PRELOAD"] = library
    with tempfile.TemporaryDirectory(prefix="tidemark-instructions.") as directory:
        out = os.path.join(directory, "out")
        done = subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", program, str(pairs), str(size)],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        if done.returncode:
            sys.exit(f"{program} {pairs} {size} with {library} under valgrind: status {done.returncode}\n{done.stdout}")
        with open(out, encoding="utf-8") as file:
            profile = file.read().splitlines()
    if library and not any(line.endswith(library) for line in profile):
        sys.exit(f"{library} was not loaded: callgrind saw no function of it")
    total = next(line for line in profile if line.startswith(("summary:", "totals:")))
    return int(total.split()[1]), profile


def per_pair(program, library, size):
    """Instructions per turn of the loop: of everything, of malloc's own body, of free's own body."""
    runs = []
    for pairs in (SHORT, LONG):
        total, profile = measure(program, library, pairs, size)
        runs.append((total, own_cost(profile, "malloc"), own_cost(profile, "free")))
    return [(long - short) / (LONG - SHORT) for short, long in zip(*runs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=os.path.abspath, help="pairs, linked with no allocator")
    parser.add_argument("--library", required=True, type=os.path.abspath, help="the allocator to preload into it")
    parser.add_argument("--nothing", required=True, type=os.path.abspath,
                        help="pairs, linked with a malloc and free that do nothing")
    parser.add_argument("--limit", type=float, required=True, help="most instructions that a pair may take")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        sys.exit(77)
    nothing, malloc, free = per_pair(options.nothing, None, SIZES[0])
    loop = nothing - malloc - free
    print(f"the loop: {nothing:.2f} instructions with a malloc of {malloc:.2f} and a free of {free:.2f}")
    if not (1 <= malloc <= 5 and 1 <= free <= 4 and 3 <= loop <= 40):
        sys.exit("the malloc and free that do nothing, or the loop, are not what they should be")
    worst = 0.0
    for size in SIZES:
        everything, in_malloc, in_free = per_pair(options.program, options.library, size)
        pair = everything - loop
        worst = max(worst, pair)
        print(f"malloc({size}) and free: {pair:.2f} instructions a pair "
              f"({in_malloc:.2f} in malloc itself, {in_free:.2f} in free, {pair - in_malloc - in_free:.2f} below them)")
    print(f"worst {worst:.2f}, limit {options.limit:g}")
    sys.exit(1 if worst > options.limit else 0)


if __name__ == "__main__":
    main()
