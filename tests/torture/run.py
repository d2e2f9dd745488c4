#!/usr/bin/env python3
"""Runs the torture program (main.c) in rounds, each a process with a seed and settings of its own, and watches it.

A round is good if the program ends with status 0 in time, says nothing of Tidemark's on stderr, leaves no half-written
snapshot, and the snapshots that are looked at can be read by `tidemark report`. A round whose workers do not move, or
whose program found something wrong and waits, is shown with the stacks of all its threads (gdb, where it is installed,
else what /proc has) and ended. A run in which something never happened (no fork, no library unloaded) is not good
either.

usage: run.py --torture PROGRAM --library LIBRARY --tidemark COMMAND [--seconds N] [--round N] [--jobs N] [--seed N]
              [--settings TEXT] [--hang N] [--keep]
  --library    libtidemark.so; `none`: without it, to see that the torture itself is sound
  --seconds    of the whole run (60); --round: of one process (10); --jobs: processes at one time (2)
  --seed       of the first round (by the clock); the next ones count up
  --settings   only these, as TIDEMARK has them
  --hang       seconds without a step that are a hang (120)
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

# As `struct page` and `enum kind` in torture.h have them.
WORKERS_MOST = 16
KINDS = ("rounds of blocks", "threads joined", "threads detached", "threads by pthread_exit", "threads cancelled",
         "threads cancelled anywhere", "threads ended by the system call", "forks", "forks in children", "execs",
         "spawns", "children killed", "exits with threads", "plug-ins used", "plug-ins unloaded", "exceptions",
         "handlers run", "snapshots asked for", "switches", "trims", "streams")
WORDS = 2 + 2 * WORKERS_MOST + len(KINDS)
MESSAGE_BYTES = 256
WITH_LIBRARY_ONLY = ("snapshots asked for", "switches")

SETTINGS = (
    "",
    "sites=sample,rate=1K,threads=yes,timeline=1ms",
    "sites=all",
    "sites=sample,rate=64K,exit=snapshot,retain=0",
    "sites=all,threads=yes,children=no,live=no,retain=200%",
    "check=full",
    "check=full,sites=sample,rate=4K",
)
KEPT = 20  # snapshots of a round that stay until its end


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ", 1)[1])
    for name in ("torture", "library", "tidemark"):
        parser.add_argument("--" + name, required=True)
    for name, value in (("seconds", 60), ("round", 10), ("jobs", 2), ("hang", 120)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--seed", type=int, default=int(time.time()) * 1000)
    parser.add_argument("--settings")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args()


def read_bytes(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


# ---- the stacks of those that hang ----

def processes_of(group):
    """The processes of the group, by /proc."""
    found = []
    for entry in os.listdir("/proc"):
        fields = read_bytes(f"/proc/{entry}/stat").rpartition(b") ")[2].split() if entry.isdigit() else []
        if len(fields) > 2 and int(fields[2]) == group and fields[0] != b"Z":
            found.append(int(entry))
    return found


def stacks_of(pid):
    lines = [f"process {pid}: {read_bytes(f'/proc/{pid}/cmdline').replace(bytes(1), b' ').decode(errors='replace')}"]
    if shutil.which("gdb"):
        try:
            said = subprocess.run(
                ["gdb", "-batch", "-nx", "-p", str(pid), "-ex", "set pagination off", "-ex", "thread apply all bt 40"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
                env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}, check=False).stdout
            return "\n".join(lines + [said.decode(errors="replace")[-20000:]])
        except subprocess.TimeoutExpired:
            lines.append("gdb came to no end")
    for task in sorted(os.listdir(f"/proc/{pid}/task")):
        base = f"/proc/{pid}/task/{task}/"
        lines.append(f"  thread {task}: waits in {read_bytes(base + 'wchan').decode(errors='replace')}, system call "
                     f"{read_bytes(base + 'syscall').decode(errors='replace').strip()}")
        lines.append(read_bytes(base + "stack").decode(errors="replace"))
    return "\n".join(lines)


# ---- one round ----

class Round:
    def __init__(self, options, seed, settings):
        self.options, self.seed, self.settings = options, seed, settings
        self.directory = tempfile.mkdtemp(prefix="tidemark-torture-")
        self.page = os.path.join(self.directory, "page")
        self.snapshots = os.path.join(self.directory, "snapshots")
        os.mkdir(self.snapshots)
        self.said = open(os.path.join(self.directory, "said"), "w+b")
        self.wrong = []
        self.steps = {}
        self.counts = [0] * len(KINDS)
        self.read = 0
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK")}
        environment["TORTURE_PAGE"] = self.page
        if options.library != "none":
            out = f"out={self.snapshots}/%p.%n.heap"
            environment.update(LD_PRELOAD=options.library, TIDEMARK=",".join(filter(None, (out, settings))))
        self.process = subprocess.Popen(
            [options.torture, "--seed", str(seed), "--seconds", str(options.round)], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.said, start_new_session=True)

    def look(self):
        """True while the round goes on."""
        ended = self.process.poll() is not None
        data = read_bytes(self.page)
        if len(data) >= WORDS * 8 + MESSAGE_BYTES:
            words = struct.unpack_from(f"{WORDS}Q", data)
            message = data[WORDS * 8:WORDS * 8 + MESSAGE_BYTES].split(bytes(1))[0].decode(errors="replace")
            self.counts = words[2 + 2 * WORKERS_MOST:]
            if words[0] != 0:
                self.give_up(message or f"process {words[0]} found something wrong")
                return False
            if not ended:
                self.watch(words)
        if ended and not self.wrong:
            self.finish()
        if not ended and not self.wrong:
            self.thin_out()
        return not ended and not self.wrong

    def watch(self, words):
        now = time.monotonic()
        for worker in range(words[1]):
            steps, doing = words[2 + worker], words[2 + WORKERS_MOST + worker]
            before, since = self.steps.get(worker, (-1, now))
            if steps != before:
                self.steps[worker] = (steps, now)
            elif now - since > self.options.hang:
                self.give_up(f"worker {worker} hangs for {now - since:.0f} s after {steps} steps, at: {KINDS[doing]}")
                return

    def give_up(self, why):
        self.wrong.append(why)
        for pid in processes_of(self.process.pid):
            with contextlib.suppress(OSError):
                self.wrong.append(stacks_of(pid))
        self.end_all()

    def end_all(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish(self):
        status = self.process.returncode
        if status != 0:
            self.wrong.append(f"ended by signal {-status}" if status < 0 else f"ended with status {status}")
        # Copies that still write outlive those whose heap they have.
        end = time.monotonic() + self.options.hang
        while left := processes_of(self.process.pid):
            if time.monotonic() > end:
                self.give_up(f"{len(left)} processes are left behind")
                return
            time.sleep(0.01)
        self.said.seek(0)
        said = self.said.read().decode(errors="replace")
        if said:
            self.wrong.append("it said:\n" + said[-4000:])
        for name in os.listdir(self.snapshots):
            if not re.fullmatch(r"\d+\.\d+\.heap", name):
                self.wrong.append(f"{name} was left behind")
        for path in self.finished()[:2]:
            self.check_report(path)

    def finished(self):
        """The snapshots, newest first."""
        found = []
        for entry in os.scandir(self.snapshots):
            if entry.name.endswith(".heap"):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime_ns, entry.path))
        return [path for _, path in sorted(found, reverse=True)]

    def thin_out(self):
        for path in self.finished()[KEPT:]:
            os.unlink(path)

    def check_report(self, path):
        said = subprocess.run([self.options.tidemark, "report", "--json", path], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=self.options.hang, check=False)
        if said.returncode != 0:
            self.wrong.append(f"tidemark report {path}: {said.stderr.decode(errors='replace')}")
        self.read += 1

    def close(self):
        self.end_all()
        self.said.close()
        if not self.options.keep or not self.wrong:
            shutil.rmtree(self.directory, ignore_errors=True)


# ---- all of them ----

def show(finished):
    name = finished.settings or "no settings"
    print(f"seed {finished.seed}, {name}: " + ("ok" if not finished.wrong else "WRONG"), flush=True)
    for line in "\n".join(finished.wrong).splitlines():
        print("    " + line, flush=True)


def run(options):
    """The totals, snapshots read and rounds that went wrong."""
    settings = SETTINGS if options.settings is None else (options.settings,)
    end = time.monotonic() + options.seconds
    running, totals = [], [0] * len(KINDS)
    started = wrong = read = 0
    try:
        while running or not started or time.monotonic() + options.round / 2 < end:
            # A round that cannot end in time is not begun.
            while len(running) < options.jobs and (not started or time.monotonic() + options.round <= end + 1):
                running.append(Round(options, options.seed + started, settings[started % len(settings)]))
                started += 1
            if not running:
                break
            time.sleep(0.2)
            for one in [one for one in running if not one.look()]:
                running.remove(one)
                show(one)
                totals = [a + b for a, b in zip(totals, one.counts)]
                wrong += bool(one.wrong)
                read += one.read
                one.close()
    finally:
        for one in running:
            one.close()
    print(f"{started} rounds, {wrong} went wrong, {read} snapshots read; " +
          ", ".join(f"{number} {kind}" for number, kind in zip(totals, KINDS)))
    return totals, read, wrong


def main():
    options = parse()
    # A test that is ended takes its processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    totals, read, wrong = run(options)
    preloaded = options.library != "none"
    missing = [kind for kind, number in zip(KINDS, totals)
               if number == 0 and (preloaded or kind not in WITH_LIBRARY_ONLY)]
    if missing:
        print("never happened: " + ", ".join(missing))
    if preloaded and read == 0:
        print("no snapshot was written")
    return 1 if wrong or missing or (preloaded and read == 0) else 0


if __name__ == "__main__":
    sys.exit(main())
