"""Section `times`: wall and CPU time, peak RSS and page faults of allocation workloads and real programs."""

import time

import programs
import rounds
import suite
import summary
from columns import Block, amount, number

TITLE = "Time, peak memory and page faults"
ROUNDS, QUICK_ROUNDS = 5, 3
QUICK_SECONDS = 90  # --quick begins no round that would end later
TITLES = {"wall": "Wall time", "cpu": "CPU time, user and system", "rss": "Peak RSS", "faults": "Page faults"}
UNITS = {"s": "seconds", "B": "MiB", "count": "count"}


def measure(context):
    options = context.options
    works = [work for work in suite.allocation(options.build, options.scale) if context.wanted(work.name, work.quick)]
    real, left_out = programs.programs(context.launcher.directory, options.scale, context.wanted)
    context.leave_out(left_out)
    grid_of_runs = rounds.Grid(works + real, context.allocators)
    until = time.monotonic() + QUICK_SECONDS if options.quick and not options.rounds else None
    count = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    try:
        grid_of_runs.measure(context.launcher, "times", count, options.limit, until)
    finally:  # what was measured before an interrupt is shown
        record = grid_of_runs.record()
        summary.spreads(record, summary.usual)
        record.update(summary.judge(record, context.results["allocators"], options.reference))
        context.results["times"] = record


def ratio_block(results, what):
    """A line a workload: the reference's median, everybody's ratio to it, Tidemark's to the peers' median and best."""
    record, names, reference = results["times"], [one["name"] for one in results["allocators"]], results["reference"]
    title = (f"{TITLES[what]} as a ratio to {reference}, whose median in {UNITS[summary.MEASURES[what]]} stands first; "
             "last tidemark's to the peers' median and to the best of them")
    rows = [["", reference, "", *names, "", "t/median", "t/best"]]
    for work in record["workloads"]:
        have = work["figures"].get(reference)
        rows.append([work["name"], amount(have[what]["median"], summary.MEASURES[what]) if have else "failed", "|"]
                    + ["failed" if name in work["failed"] else number(summary.ratio(work, name, what, reference))
                       for name in names]
                    + ["|"] + [number(value) for value in work["to_peers"][what] or (None, None)])
    for group, means in record["means"].items():
        rows.append([f"mean of {group}", "", "|"] + [number(means[what][name]) for name in names] + ["|"])
    return Block(title, rows, [])


def median_block(results, what):
    """A line a workload: each allocator's median and its spread."""
    record, names = results["times"], [one["name"] for one in results["allocators"]]
    rows = [["", *names]]
    for work in record["workloads"]:
        row = [work["name"]]
        for name in names:
            if name in work["figures"]:
                one = work["figures"][name][what]
                percent = 100 * one["mad"] / one["median"] if one["median"] else 0
                row.append(f"{amount(one['median'], summary.MEASURES[what])} ±{percent:.0f}%")
            else:
                row.append("failed" if name in work["failed"] else "-")
        rows.append(row)
    title = f"{TITLES[what]}: median in {UNITS[summary.MEASURES[what]]} ± median absolute deviation in percent of it"
    return Block(title, rows, [])


def verdict(results):
    """What failed, what the means leave out, and the targets."""
    record = results["times"]
    lines = [f"failed: {work['name']} under {name}: {reason}" for work in record["workloads"]
             for name, reason in work["failed"].items()]
    if record["left_out"]:
        lines.append(f"in no mean, since not every allocator finished it: {', '.join(record['left_out'])}")
    for what, target in record["targets"].items():
        if target:
            lines.append(f"{TITLES[what]}: the geometric mean over {target['workloads']} workloads is "
                         f"{target['mean_to_best_peer']:.3f} of the best peer's ({target['best_peer']}); the worst ratio to "
                         f"the median of the peers is {target['worst_to_median']:.2f} ({target['worst_workload']})")
    return Block("Targets and failures", [], lines)


def blocks(results, full):
    found = [Block(f"Medians of {results['times']['rounds']} interleaved rounds. RSS is the peak of the whole process: code "
                   "and the workload's own tables included. Means are geometric.", [], [])]
    found += [verdict(results)] + [ratio_block(results, what) for what in summary.JUDGED]
    if full:
        found += [median_block(results, what) for what in summary.MEASURES]
    return found
