#!/usr/bin/python3
"""Counts the instructions of a buffer that grows by realloc to many megabytes, and fails if it is copied.

The difference between a long growth and a shorter one is what the last part took; to copy the buffer even once costs
more instructions for a byte than the limit. Exit status 77 (skipped) without valgrind.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True

import callgrind  # pylint: disable=wrong-import-position

MIB = 1024 * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=os.path.abspath, help="grow, linked with no allocator")
    parser.add_argument("--library", required=True, type=os.path.abspath, help="the allocator to preload into it")
    parser.add_argument("--total", type=int, default=64, help="MiB to grow to (default: %(default)s)")
    parser.add_argument("--limit", type=float, required=True, help="most instructions for a byte of the buffer")
    options = parser.parse_args()
    callgrind.require()
    failed = False
    for step in (MIB, MIB // 16):
        nothing, _ = callgrind.measure(options.program, options.library, step, step)
        grown, _ = callgrind.measure(options.program, options.library, options.total * MIB, step)
        per_byte = (grown - nothing) / (options.total * MIB)
        print(f"growing to {options.total} MiB in steps of {step // 1024} KiB: {grown - nothing:,} instructions, "
              f"{per_byte:.5f} for a byte, limit {options.limit:g}")
        failed |= per_byte > options.limit
    if failed:
        sys.exit("a growing buffer is copied: see tm_realloc() and what resizes spans")


if __name__ == "__main__":
    main()
