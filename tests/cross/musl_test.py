#!/usr/bin/env python3
"""Builds the library with Debian's musl-gcc, warnings as errors, and has it preloaded into programs of musl: the API's
rules, and a snapshot, which the command of the glibc build reads.

usage: musl_test.py SOURCES BUILD COMMAND

Skipped where musl-gcc is not installed (scripts/install-packages cross).
"""

import os
import shutil
import sys

import building


def main():
    sources, directory, command = sys.argv[1:]
    building.skip_without([name for name in ["musl-gcc"] if not shutil.which(name)])
    building.build(sources, directory, "musl.txt")
    building.run(sys.executable, f"{os.path.dirname(os.path.abspath(__file__))}/snapshot_test.py",
                 "--library", f"{directory}/preload/libtidemark.so", "--program", f"{directory}/tests/cross/cross_target",
                 "--command", command, "--callers")
    building.test(directory, "api")


if __name__ == "__main__":
    main()
