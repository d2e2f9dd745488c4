"""Section `after`: what is still resident after a peak, by bench-frag: blocks worth 400 MiB, most of them freed, then a
second in which the process sleeps or makes one small allocation each millisecond.

RSS is no time, so as many runs go on at once as there are cores.
"""

import os

import rounds
import summary
from columns import Block, number
from work import Work

TITLE = "After the peak"
ROUNDS = 3
SECONDS = 1


def cases(quick):
    """(name, arguments) of each combination; --quick has four of them."""
    for sizes in ("small", "wide"):
        for freed in ("all", "runs", "random"):
            for after in ("idle", "tick"):
                for threads in (1, 8):
                    name = f"{sizes} {freed} {after} t{threads}"
                    if not quick or name in ("small all idle t1", "small runs idle t1", "small random idle t1",
                                             "wide random tick t8"):
                        yield name, ["--sizes", sizes, "--free", freed, "--after", after, "--threads", threads,
                                     "--seconds", SECONDS]


def pick(run):
    """In bytes; the workload's own table counts nowhere."""
    have = run["figures"]
    return {"after": have["rss_after"] - have["table"], "peak": have["rss_peak"] - have["table"],
            "start": have["rss_start"], "floor": have["page_floor"], "live": have["live"]}


def measure(context):
    options = context.options
    program = os.path.join(options.build, "bench", "workloads", "bench-frag")
    works = [Work(name, "allocation", [program, "--scale", f"{options.scale:g}", *arguments])
             for name, arguments in cases(options.quick)]
    found = rounds.Grid(works, context.allocators)
    try:
        found.measure(context.launcher, "after the peak", 1 if options.quick else min(options.rounds or ROUNDS, ROUNDS),
                      options.limit, jobs=len(os.sched_getaffinity(0)))
    finally:
        record = found.record()
        summary.spreads(record, pick)
        context.results["after"] = record


def blocks(results, full):
    record, names = results["after"], [one["name"] for one in results["allocators"]]
    rows = [["sizes, freed, then, threads", "live", "", *names]]
    for work in record["workloads"]:
        live = [have["live"]["median"] for have in work["figures"].values()]
        row = [work["name"], number(min(live) / (1 << 20)) if live else "-", "|"]
        for name in names:
            have = work["figures"].get(name)
            row.append(f"{have['after']['median'] / (1 << 20):.0f} ({have['floor']['median'] / (1 << 20):.0f})" if have
                       else "failed" if name in work["failed"] else "-")
        rows.append(row)
    title = (f"RSS {SECONDS} s after most blocks were freed, in MiB, less the workload's own table; in brackets the page floor "
             f"of the same run: the pages that the survivors lie on. Medians of {record['rounds']} rounds.")
    return [Block(title, rows, [f"failed: {work['name']} under {name}: {reason}" for work in record["workloads"]
                                for name, reason in work["failed"].items()])]
