#!/usr/bin/env python3
"""Builds everything for aarch64 with Debian's cross compiler, warnings as errors, and runs the tests of the allocator and
of the API under qemu's user mode.

usage: aarch64_test.py SOURCES BUILD

Skipped where the compiler, the emulator or a library of arm64 is not installed (scripts/install-packages cross).
"""

import os
import shutil
import subprocess
import sys

SKIPPED = 77
NEEDED = ["aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64"]
LIBRARIES = ["libc.so.6", "libstdc++.so.6", "libunwind-aarch64.so.8", "libcmocka.so", "libdw.so", "libiberty.a", "libz.so"]


def missing():
    there = [name for name in NEEDED if not shutil.which(name)]
    return there + [name for name in LIBRARIES if not os.path.exists(f"/usr/lib/aarch64-linux-gnu/{name}")]


def run(words, **options):
    print("+", *words, flush=True)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"aarch64_test: exit status {done.returncode} of: {' '.join(words)}")


def main():
    sources, build = sys.argv[1:3]
    if missing():
        print(f"not installed: {', '.join(missing())}; scripts/install-packages cross gets them")
        sys.exit(SKIPPED)
    # Compilers and flags of the build around this one are for its own machine.
    unwanted = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "MESON_EXE_WRAPPER", "LD_LIBRARY_PATH", "LD_PRELOAD",
                "MALLOC_PERTURB_")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    if not os.path.exists(f"{build}/build.ninja"):
        run(["meson", "setup", build, sources, "--cross-file", f"{sources}/cross/aarch64.txt", "-Dwerror=true"],
            env=environment, stdout=subprocess.DEVNULL)
    targets = ["all", "meson-test-prereq"]
    run(["ninja", "-C", build, "--quiet", *targets], env=environment)
    suites = [word for suite in ("unit", "stress", "api", "cross") for word in ("--suite", suite)]
    # A machine may be slow: the limits are there for a test that hangs.
    run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "3", *suites],
        env=environment)


if __name__ == "__main__":
    main()
