"""Section `scale`: whether cost grows as work grows, by bench-scale: time per operation, RSS per live byte and the number
of mappings at 1 MiB to 10 GiB live on one thread, and at 100 MiB live on 1 to 64 threads."""

import os

import machine
import rounds
import summary
from columns import Block, number
from work import Work

TITLE = "Cost as work grows"
MIB, GIB = 1 << 20, 1 << 30
POINTS = ((MIB, 1), (100 * MIB, 1), (10 * GIB, 1), (100 * MIB, 2), (100 * MIB, 8), (100 * MIB, 64))
QUICK_POINTS = ((MIB, 1), (100 * MIB, 1), (100 * MIB, 2), (100 * MIB, 8))
ROUNDS = 3
LARGE = GIB  # from here on one round
NEED = 1.6  # bytes of free memory for each live byte: the allocator's overhead and the workload's table
LIMIT = 600


def size(live):
    return f"{live >> 30} GiB" if live >= GIB else f"{live >> 20} MiB"


def pick(run):
    have = run["figures"]
    return {name: have[name] for name in ("fill", "replace", "drain", "fill_cpu", "replace_cpu", "drain_cpu",
                                          "rss_per_live", "mappings")}


def measure(context):
    options = context.options
    program = os.path.join(options.build, "bench", "workloads", "bench-scale")
    works = {}
    for live, threads in QUICK_POINTS if options.quick else POINTS:
        if machine.memory_bytes("MemAvailable") < NEED * live:
            context.leave_out([f"{size(live)} live is left out: it takes {NEED * live / GIB:.0f} GiB of memory, and "
                               f"{machine.memory_bytes('MemAvailable') / GIB:.1f} GiB are free"])
            continue
        work = Work(f"{size(live)} live, {threads} thread{'s' if threads > 1 else ''}", "allocation",
                    [program, "--scale", f"{options.scale:g}", "--live", live, "--threads", threads])
        works[live, threads] = work
    parts = ([(point, work) for point, work in works.items() if point[0] < LARGE],
             [(point, work) for point, work in works.items() if point[0] >= LARGE])
    record = context.results["scale"] = {"rounds": 0, "workloads": []}
    for part, count in zip(parts, (1 if options.quick else min(options.rounds or ROUNDS, ROUNDS), 1)):
        if not part:
            continue
        found = rounds.Grid([work for _, work in part], context.allocators)
        try:
            found.measure(context.launcher, "scale", count, max(options.limit, LIMIT))
        finally:
            measured = found.record()
            summary.spreads(measured, pick)
            for ((live, threads), _), work in zip(part, measured["workloads"]):
                work.update(live=live, threads=threads)
            record["workloads"] += measured["workloads"]
            record["rounds"] = max(record["rounds"], measured["rounds"])
    record["workloads"].sort(key=lambda work: (work["threads"], work["live"]))


def blocks(results, full):
    record, names = results["scale"], [one["name"] for one in results["allocators"]]
    found = []
    shown = [("replace", "Wall time of one replacement (free and malloc of a random block), ns, of all threads together"),
             ("replace_cpu", "CPU time of one replacement, ns"),
             ("fill_cpu", "CPU time of one allocation while filling, ns"),
             ("rss_per_live", "RSS per live byte"), ("mappings", "Mappings of the process")]
    for what, title in shown:
        rows = [["", *names]]
        for work in record["workloads"]:
            rows.append([work["name"]] + [
                number(work["figures"][name][what]["median"]) if name in work["figures"]
                else "failed" if name in work["failed"] else "-" for name in names])
        if what == "mappings":
            title += f" (vm.max_map_count is {results['machine']['max_map_count']})"
        found.append(Block(title, rows, []))
    failed = [f"failed: {work['name']} under {name}: {reason}" for work in record["workloads"]
              for name, reason in work["failed"].items()]
    return found + ([Block("Failures", [], failed)] if failed else [])
