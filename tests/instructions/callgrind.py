"""Runs a program under callgrind with a library preloaded, and reads how many instructions it took."""

import os
import re
import shutil
import subprocess
import sys
import tempfile


def require():
    """Ends with exit status 77 (skipped) without valgrind."""
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        sys.exit(77)


def measure(program, library, *arguments):
    """(instructions of the whole run, lines of the profile); library: None for none."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    if library:
        environment["LD_PRELOAD"] = library
    arguments = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory(prefix="tidemark-instructions.") as directory:
        out = os.path.join(directory, "out")
        done = subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", program, *arguments],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        if done.returncode:
            sys.exit(f"{program} {' '.join(arguments)} with {library} under valgrind: status {done.returncode}\n"
                     f"{done.stdout}")
        with open(out, encoding="utf-8") as file:
            profile = file.read().splitlines()
    if library and not any(line.endswith(library) for line in profile):
        sys.exit(f"{library} was not loaded: callgrind saw no function of it")
    total = next(line for line in profile if line.startswith(("summary:", "totals:")))
    return int(total.split()[1]), profile


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
