#!/usr/bin/python3
"""Counts the instructions of a thread-local malloc/free pair with callgrind, and fails above a limit for its size.

The program runs with the library preloaded, for few pairs and for many; the difference in instructions, over the
difference in pairs, is the cost of one turn of its loop. The same program linked with a malloc and free that do nothing
tells what of that is the loop's own. Exit status 77 (skipped) without valgrind.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True

import callgrind  # pylint: disable=wrong-import-position

SHORT, LONG = 20_000, 120_000


def limits(text):
    """{size: most instructions} of SIZE=VALUE,…"""
    pairs = [part.split("=") for part in text.split(",")]
    try:
        return {int(size): float(value) for size, value in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form SIZE=VALUE,SIZE=VALUE") from None


def per_pair(program, library, size):
    """Instructions per turn of the loop: of everything, of malloc's own body, of free's own body."""
    runs = []
    for pairs in (SHORT, LONG):
        total, profile = callgrind.measure(program, library, pairs, size)
        runs.append((total, callgrind.own_cost(profile, "malloc"), callgrind.own_cost(profile, "free")))
    return [(long - short) / (LONG - SHORT) for short, long in zip(*runs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=os.path.abspath, help="pairs, linked with no allocator")
    parser.add_argument("--library", required=True, type=os.path.abspath, help="the allocator to preload into it")
    parser.add_argument("--nothing", required=True, type=os.path.abspath,
                        help="pairs, linked with a malloc and free that do nothing")
    parser.add_argument("--limit", type=limits, required=True, metavar="SIZE=VALUE,…",
                        help="block sizes to measure, and the most instructions that a pair of each may take")
    options = parser.parse_args()
    callgrind.require()
    nothing, malloc, free = per_pair(options.nothing, None, min(options.limit))
    loop = nothing - malloc - free
    print(f"the loop: {nothing:.2f} instructions with a malloc of {malloc:.2f} and a free of {free:.2f}")
    if not (1 <= malloc <= 5 and 1 <= free <= 4 and 3 <= loop <= 40):
        sys.exit("the malloc and free that do nothing, or the loop, are not what they should be")
    above = []
    for size, limit in options.limit.items():
        everything, in_malloc, in_free = per_pair(options.program, options.library, size)
        pair = everything - loop
        print(f"malloc({size}) and free: {pair:.2f} instructions a pair, limit {limit:g} "
              f"({in_malloc:.2f} in malloc itself, {in_free:.2f} in free, {pair - in_malloc - in_free:.2f} below them)")
        if pair > limit:
            above.append(str(size))
    if above:
        sys.exit(f"pairs of {', '.join(above)} bytes take more instructions than their limit: look at what the hot path "
                 "of malloc and free became (callgrind_annotate), or measure anew and set the limit in meson.build")


if __name__ == "__main__":
    main()
