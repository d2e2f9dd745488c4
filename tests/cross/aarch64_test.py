#!/usr/bin/env python3
"""Builds everything for aarch64 with Debian's cross compiler, warnings as errors, and runs the tests of the allocator and
of the API under qemu's user mode.

usage: aarch64_test.py SOURCES BUILD

Skipped where the compiler, the emulator or a library of arm64 is not installed (scripts/install-packages cross).
"""

import os
import shutil
import sys

import building

PROGRAMS = ["aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64"]
LIBRARIES = ["libc.so.6", "libstdc++.so.6", "libunwind-aarch64.so.8", "libcmocka.so", "libdw.so", "libiberty.a", "libz.so"]


def main():
    sources, directory = sys.argv[1:]
    building.skip_without([name for name in PROGRAMS if not shutil.which(name)] +
                          [name for name in LIBRARIES if not os.path.exists(f"/usr/lib/aarch64-linux-gnu/{name}")])
    building.build(sources, directory, "aarch64.txt")
    building.test(directory, "unit", "stress", "api", "cross")


if __name__ == "__main__":
    main()
