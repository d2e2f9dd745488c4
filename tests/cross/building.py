"""A build in a directory of its own, by another compiler, and its tests."""

import os
import subprocess
import sys

# The build around this one says them for its own machine.
UNWANTED = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "MESON_EXE_WRAPPER", "LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_PERTURB_")
SKIPPED = 77


def skip_without(missing):
    if missing:
        print(f"not installed: {', '.join(missing)}; scripts/install-packages cross gets them")
        sys.exit(SKIPPED)


def run(*words, quiet=False):
    print("+", *words, flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if quiet else None, env=environment,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"{os.path.basename(sys.argv[0])}: exit status {done.returncode} of: {' '.join(words)}")


def build(sources, directory, cross_file):
    if not os.path.exists(f"{directory}/build.ninja"):
        run("meson", "setup", directory, sources, "--cross-file", f"{sources}/cross/{cross_file}", "-Dwerror=true", quiet=True)
    run("ninja", "-C", directory, "--quiet", "all", "meson-test-prereq")


def test(directory, *suites):
    words = [word for suite in suites for word in ("--suite", suite)]
    # A machine may be slow: the limits are there for a test that hangs.
    run("meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "3", *words)
