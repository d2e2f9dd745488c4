"""Section `thp`: some workloads with transparent huge pages `always`, `madvise` and `never`. It changes a setting of the
whole machine, so it runs only when it is asked for, and restores the setting whatever happens."""

import os

import machine
import programs
import rounds
import suite
import summary
from columns import Block, amount
from work import Work

TITLE = "Transparent huge pages"
MODES = ("always", "madvise", "never")
ALLOCATION = ("churn", "strings", "burst", "refill", "mstress-t8")
PROGRAMS = ("python-records", "gcc")
ROUNDS = 3


def set_mode(mode):
    with open(machine.HUGE_PAGES, "w", encoding="ascii") as file:
        file.write(mode)


def pick(run):
    """RSS after the peak where the workload tells it."""
    found = summary.usual(run)
    if "rss_after" in run["figures"]:
        found["after"] = run["figures"]["rss_after"] - run["figures"]["table"]
    return found


def measure(context):
    before = machine.huge_pages()
    if before not in MODES or not os.access(machine.HUGE_PAGES, os.W_OK):
        context.leave_out([f"transparent huge pages are left out: {machine.HUGE_PAGES} cannot be written by this user"])
        return
    options = context.options
    works = [work for work in suite.allocation(options.build, options.scale) if work.name in ALLOCATION]
    real, left_out = programs.programs(context.launcher.directory, options.scale, lambda name, quick: name in PROGRAMS)
    context.leave_out(left_out)
    frag = os.path.join(options.build, "bench", "workloads", "bench-frag")
    works += real + [Work(f"after {freed}", "allocation", [frag, "--scale", f"{options.scale:g}", "--free", freed,
                                                           "--seconds", 1]) for freed in ("all", "random")]
    context.results["thp"] = {}
    try:
        for mode in MODES:
            try:
                set_mode(mode)
            except OSError as error:
                context.leave_out([f"transparent huge pages {mode} is left out: {error}"])
                continue
            found = rounds.Grid(works, context.allocators)
            try:
                found.measure(context.launcher, f"huge pages {mode}", min(options.rounds or ROUNDS, ROUNDS), options.limit)
            finally:
                context.results["thp"][mode] = found.record()
                summary.spreads(context.results["thp"][mode], pick)
    finally:
        set_mode(before)


def blocks(results, full):
    names, found = [one["name"] for one in results["allocators"]], []
    for what, title in (("wall", "Wall time, s"), ("rss", "Peak RSS, MiB"),
                        ("after", "RSS after the peak, MiB, less the workload's table")):
        rows = [["", "huge pages", *names]]
        for index in range(len(next(iter(results["thp"].values()), {"workloads": []})["workloads"])):
            for mode, record in results["thp"].items():
                work = record["workloads"][index]
                have = work["figures"]
                if any(what in one for one in have.values()):
                    rows.append([work["name"], mode] + [
                        amount(have[name][what]["median"], "s" if what == "wall" else "B") if name in have
                        else "failed" if name in work["failed"] else "-" for name in names])
        found.append(Block(title, rows, []))
    return found
