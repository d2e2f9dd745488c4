"""Wall and CPU time of the same work under two libraries, interleaved, as a ratio of medians."""

import os
import shutil
import statistics
import sys
import time

import commands
import servers
from harness import Run, Skipped, children_cpu, tool


def python(run):
    environment = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}

    def do():
        run.run([commands.PYTHON, commands.work("service.py")], environment=environment)

    return do, None


def gcc(run):
    compiler = tool("gcc")
    run.write("big.c", commands.generated_c())

    def do():
        run.run([compiler, "-O2", "-c", "big.c", "-o", "big.o"])

    return do, None


def redis(run):
    benchmark = tool("redis-benchmark")
    process, _ = servers.start_redis(run)
    run.environment.pop("LD_PRELOAD", None)  # the client is the same for both

    def do():
        run.run([benchmark, "-s", run.path("redis.sock"), "-q", "-n", "200000", "-r", "100000", "-P", "16", "-d", "100",
                 "-t", "set,get,lpush,hset,zadd"])

    return do, lambda: run.stop(process)


WORK = {"python": python, "gcc": gcc, "redis": redis}


def measure(work, library):
    """(wall, CPU of all that the run started) in seconds"""
    with Run(library, 300) as run:
        do, end = work(run)
        run.stopping.set()  # nobody watches /proc meanwhile
        run.watcher.join()
        cpu, start = children_cpu(), time.monotonic()
        do()
        wall = time.monotonic() - start
        if end is not None:
            end()
        return wall, children_cpu() - cpu


def compare(library, other, rounds, only):
    names = [name for name in WORK if not only or name in only]
    if not names:
        sys.exit(f"--versus knows {', '.join(WORK)}")
    rivals = {"ours": library, "theirs": None if other == "glibc" else os.path.realpath(shutil.which(other) or other)}
    print(f"{library} / {other}: medians of {rounds} interleaved rounds, in seconds; the ratio's range is over the rounds")
    print(f"{'work':8} {'wall':>8} {'theirs':>8} {'ratio':>7}  {'range':13} {'CPU':>8} {'theirs':>8} {'ratio':>7}")
    for name in names:
        taken = {"ours": [], "theirs": []}
        try:
            for turn in range(rounds + 1):
                for rival in sorted(rivals, reverse=turn % 2 == 1):
                    figures = measure(WORK[name], rivals[rival])
                    if turn > 0:  # the first warms caches
                        taken[rival].append(figures)
        except Skipped as reason:
            print(f"{name:8} skipped: {reason}")
            continue
        wall = {rival: statistics.median(w for w, _ in taken[rival]) for rival in rivals}
        cpu = {rival: statistics.median(c for _, c in taken[rival]) for rival in rivals}
        ratios = sorted(a[0] / b[0] for a, b in zip(taken["ours"], taken["theirs"]))
        print(f"{name:8} {wall['ours']:8.3f} {wall['theirs']:8.3f} {wall['ours'] / wall['theirs']:7.3f}  "
              f"{ratios[0]:.3f}–{ratios[-1]:.3f}   {cpu['ours']:8.3f} {cpu['theirs']:8.3f} "
              f"{cpu['ours'] / cpu['theirs']:7.3f}", flush=True)
