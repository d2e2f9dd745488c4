#!/usr/bin/python3
"""Runs every case of every program of this directory under each allocator, a process per case.

The same tests run under glibc, jemalloc and mimalloc, so that a wrong expectation shows. differences.txt lists
where they are known to differ, with the reason: a failure that is not listed fails the run, and so does a listed one that
does not occur. Nothing may be listed for tidemark.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import resource
import signal
import subprocess
import sys
import time

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
KNOWN = {
    "glibc": "",
    "jemalloc": f"{LIBRARIES}/libjemalloc.so.2",
    "mimalloc": f"{LIBRARIES}/libmimalloc.so.2",
}
# Long ones that say little about an allocator that is not ours: with --all only.
LONG = ["resident.*", "threads.a_hundred_thousand_short_threads", "forks.*storm*", "forks.*threaded*",
        "forks.*fork*", "threads.threads_that_leave_blocks"]
SKIPPED = 77


def read_differences(path):
    """{(allocator, case): (kind, reason)}"""
    listed = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split(None, 3)
            if len(fields) != 4 or fields[2] not in ("fails", "may-fail"):
                sys.exit(f"{path}:{number}: expected: ALLOCATOR PROGRAM.CASE fails|may-fail REASON")
            allocator, case, kind, reason = fields
            if allocator == "tidemark":
                sys.exit(f"{path}:{number}: for tidemark a failure is a failure")
            if (allocator, case) in listed:
                sys.exit(f"{path}:{number}: {allocator} {case} is listed twice")
            listed[allocator, case] = (kind, reason.strip())
    return listed


def read_emulated(path):
    """{case: (kind, reason)}"""
    listed = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split(None, 2)
            if len(fields) != 3 or fields[1] not in ("cannot", "slow"):
                sys.exit(f"{path}:{number}: expected: PROGRAM.CASE cannot|slow REASON")
            listed[fields[0]] = (fields[1], fields[2].strip())
    return listed


def as_login_does():
    """Before a case is executed: no core files, and no signal is ignored that whoever runs the tests ignores (nohup)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def run_case(program, case, library, plugins, limit, emulator):
    """(verdict, words, seconds); verdict: passed, failed, skipped"""
    unwanted = ("LD_PRELOAD", "LD_LIBRARY_PATH", "TIDEMARK", "MALLOC_PERTURB_")
    environment = {k: v for k, v in os.environ.items() if k not in unwanted}
    environment.update(TIDEMARK_API_LIBRARY=library, TIDEMARK_API_PLUGINS=plugins, LC_ALL="C")
    command = [program, case]
    if emulator:
        preload = ["-E", f"LD_PRELOAD={library}"] if library else []
        command = [emulator, *preload, *command]
        environment["TIDEMARK_API_EMULATED"] = "yes"
    elif library:
        environment["LD_PRELOAD"] = library
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, preexec_fn=as_login_does)
    try:
        out, err = process.communicate(timeout=limit)
        timed_out = False
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    seconds = time.monotonic() - start
    try:
        os.killpg(process.pid, signal.SIGKILL)  # whatever a failed case left behind
    except ProcessLookupError:
        pass
    words = [line for line in err.decode(errors="replace").splitlines() if line.strip()]
    last = words[-1] if words else ""
    if timed_out:
        return "failed", f"still running after {limit} s", seconds
    if process.returncode == 0:
        # A library that complains about a program that does nothing wrong is wrong.
        complaint = next((line for line in words if line.startswith("tidemark: ")), None)
        if case == "malloc_stats":  # which is there to print
            complaint = None
        return ("failed", complaint, seconds) if complaint else ("passed", "", seconds)
    if process.returncode == SKIPPED:
        return "skipped", out.decode(errors="replace").strip(), seconds
    if process.returncode < 0:
        return "failed", f"ended by {signal.Signals(-process.returncode).name}; {last}", seconds
    return "failed", last or f"exit status {process.returncode}", seconds


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--programs", required=True, help="directory of the built programs and plugins")
    parser.add_argument("--lib", help="libtidemark.so, for the allocator tidemark")
    parser.add_argument("--allocators", default="glibc,jemalloc,mimalloc,tidemark", help="comma-separated")
    parser.add_argument("--only", default="*", help="PROGRAM.CASE, a shell pattern")
    parser.add_argument("--except", dest="left_out", action="append", default=[], metavar="CASE", help="not this one")
    parser.add_argument("--all", action="store_true", help="the long cases under the other allocators, too")
    parser.add_argument("--some", action="store_true", help="some of the programs are not built")
    parser.add_argument("--emulator", help="program that runs the programs: they are of another machine (qemu-aarch64)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=float, default=60, help="seconds that a case may take")
    parser.add_argument("--failures", action="store_true", help="print only what is not as expected")
    options = parser.parse_args()
    options.programs = os.path.abspath(options.programs)

    listed = read_differences(os.path.join(here, "differences.txt"))
    cases = []
    for program in sorted(os.listdir(options.programs)):
        path = os.path.join(options.programs, program)
        if not program.startswith("api_") or not os.path.isfile(path) or not os.access(path, os.X_OK):
            continue
        listing = [options.emulator, path, "--list"] if options.emulator else [path, "--list"]
        names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
        cases += [(path, program[len("api_"):] + "." + name, name) for name in names]
    if not cases:
        sys.exit(f"there are no programs in {options.programs}; build first")
    every_name = {name for _, name, _ in cases}
    emulated = read_emulated(os.path.join(here, "emulated.txt"))
    unknown = sorted(({name for _, name in listed} | set(emulated)) - every_name)
    if unknown and not options.some:
        sys.exit(f"differences.txt or emulated.txt list cases that do not exist: {', '.join(unknown)}")
    if not options.emulator:
        emulated = {}

    total = {"passed": 0, "as listed": 0, "skipped": 0, "WRONG": 0}

    def say(mark, allocator, name, words=""):
        total[mark] += 1
        if mark == "WRONG" or not options.failures:
            print(f"{mark:9} {allocator:8} {name}{': ' if words else ''}{words}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for allocator in options.allocators.split(","):
            library = options.lib and os.path.abspath(options.lib) if allocator == "tidemark" else KNOWN.get(allocator)
            if library is None:
                sys.exit(f"{allocator}: not known, or --lib is missing")
            if library and not os.path.exists(library):
                if allocator == "tidemark":
                    sys.exit(f"{library}: there is no such file; build first")
                print(f"skipped   {allocator}: {library} is not installed")
                continue
            runs = {}
            for path, name, case in cases:
                if not fnmatch.fnmatch(name, options.only) or name in options.left_out:
                    continue
                if allocator != "tidemark" and not options.all and any(fnmatch.fnmatch(name, p) for p in LONG):
                    continue
                kind, reason = emulated.get(name, (None, None))
                if kind == "cannot" or (kind == "slow" and not options.all):
                    say("skipped", allocator, name, reason if kind == "cannot" else f"slow under the emulator: {reason}")
                    continue
                runs[name] = pool.submit(run_case, path, case, library, options.programs, options.limit,
                                         options.emulator)
            for name, future in runs.items():
                verdict, words, seconds = future.result()
                kind, reason = listed.get((allocator, name), (None, None))
                if verdict == "skipped":
                    say("skipped", allocator, name, words)
                elif verdict == "failed":
                    if kind:
                        say("as listed", allocator, name, reason)
                    else:
                        say("WRONG", allocator, name, words)
                elif kind == "fails":
                    say("WRONG", allocator, name, f"passed, but is listed to fail: {reason}")
                else:
                    say("passed", allocator, name, f"{seconds:.1f} s" if seconds > 1 else "")
    print(f"api: {total['passed']} passed, {total['as listed']} differ as listed, {total['skipped']} skipped, "
          f"{total['WRONG']} wrong")
    sys.exit(1 if total["WRONG"] else 0)


if __name__ == "__main__":
    main()
