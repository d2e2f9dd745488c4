#!/usr/bin/python3
"""Counts the system calls of a loop of malloc/free pairs with strace: ten times the pairs must not make one more.

Exit status 77 (skipped) where strace is not installed or may not trace.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

FEW = 20_000


def system_calls(program, library, pairs, size):
    """{name: count} of one run; None: strace cannot trace here."""
    with tempfile.TemporaryDirectory(prefix="tidemark-calls.") as directory:
        out = os.path.join(directory, "out")
        done = subprocess.run(
            ["strace", "-c", "-f", "-o", out, "-E", f"LD_PRELOAD={library}", program, str(pairs), str(size)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        with open(out, encoding="utf-8") as file:
            table = file.read()
    if done.returncode and ("ptrace" in done.stdout or "PTRACE" in done.stdout):
        return None
    if done.returncode:
        sys.exit(f"{program} {pairs} {size} with {library} under strace: status {done.returncode}\n{done.stdout}")
    calls = {}
    for line in table.splitlines():
        fields = line.split()
        # % time, seconds, usecs/call, calls, [errors,] syscall
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    if "execve" not in calls:
        sys.exit(f"what strace -c wrote is not understood, there is no execve in it:\n{table}")
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=os.path.abspath, help="pairs, linked with no allocator")
    parser.add_argument("--library", required=True, type=os.path.abspath, help="the allocator to preload into it")
    parser.add_argument("--sizes", default="16,512,4096,32768,65536,4194304,33554432",
                        help="block sizes, comma-separated (default: %(default)s)")
    options = parser.parse_args()
    if not shutil.which("strace"):
        print("skipped: strace is not installed")
        sys.exit(77)
    failed = False
    for size in (int(size) for size in options.sizes.split(",")):
        few = system_calls(options.program, options.library, FEW, size)
        if few is None:
            print("skipped: strace may not trace here")
            sys.exit(77)
        many = system_calls(options.program, options.library, 10 * FEW, size) or {}
        more = {name: many.get(name, 0) - few.get(name, 0) for name in few | many
                if many.get(name, 0) != few.get(name, 0)}
        print(f"{size} bytes: {sum(few.values())} system calls with {FEW} pairs, "
              f"{sum(many.values())} with {10 * FEW}" + "".join(f", {name} {count:+}" for name, count in more.items()))
        failed |= bool(more)
    if failed:
        sys.exit("a steady loop of malloc and free makes system calls: memory goes back and forth that should be kept")


if __name__ == "__main__":
    main()
