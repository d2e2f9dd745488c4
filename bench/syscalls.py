"""Section `syscalls`: what a program that fills and empties 200 MiB over and over asks of the kernel: system calls, counted
by strace, and page faults, of a run without it."""

import os
import shutil
import subprocess

import launch
from columns import Block
from progress import Progress

TITLE = "System calls"
MEMORY = ("mmap", "munmap", "mremap", "madvise", "brk", "mprotect")


def parse(text):
    """{call: count} of strace's table."""
    counts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[3].isdigit() and words[-1] != "total":
            counts[words[-1]] = int(words[3])
    return counts


def traced(context, one, command):
    out = os.path.join(context.launcher.directory, "calls")
    preload = ["-E", f"LD_PRELOAD={one.path}"] if one.path else []
    done = subprocess.run([shutil.which("strace"), "-f", "-c", "-o", out, *preload, *command],
                          env=context.launcher.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=context.options.limit, text=True, check=False)
    if done.returncode:
        raise launch.Failed(f"under strace: exit status {done.returncode}: {done.stderr.strip()[-200:]}")
    with open(out, encoding="utf-8", errors="replace") as file:
        return parse(file.read())


def measure(context):
    if not shutil.which("strace"):
        context.leave_out(["system calls are left out: strace is not installed"])
        return
    program = os.path.join(context.options.build, "bench", "workloads", "bench-refill")
    command = [program, "--threads", "2", "--scale", f"{context.options.scale:g}"]
    record = context.results["syscalls"] = {"command": command, "allocators": {}, "failed": {}}
    progress = Progress("syscalls", [one.name for one in context.allocators])
    for one in context.allocators:
        began = progress.step(f"refill under {one.name}")
        try:
            took = context.launcher.run(one, command, limit=context.options.limit)
            record["allocators"][one.name] = {"calls": traced(context, one, command),
                                              "faults": took["minor_faults"] + took["major_faults"],
                                              "system": took["system"]}
        except (launch.Failed, subprocess.TimeoutExpired) as reason:
            record["failed"][one.name] = str(reason)
        progress.stepped(one.name, began)
    progress.finish()


def blocks(results, full):
    record, names = results["syscalls"], [one["name"] for one in results["allocators"]]
    have = record["allocators"]
    rows = [["", *names], ["page faults"] + [str(have[name]["faults"]) if name in have else "failed" for name in names],
            ["system time, s"] + [f"{have[name]['system']:.2f}" if name in have else "failed" for name in names],
            ["system calls"] + [str(sum(have[name]["calls"].values())) if name in have else "failed" for name in names]]
    for call in MEMORY:
        rows.append([f"  {call}"] + [str(have[name]["calls"].get(call, 0)) if name in have else "failed" for name in names])
    return [Block("Refill on two threads: what it asks of the kernel (one run)", rows,
                  [f"failed: {name}: {reason}" for name, reason in record["failed"].items()])]
