"""Section `trivial`: what an allocator costs a program that does nothing: /bin/true."""

import rounds
import summary
from columns import Block
from work import Work

TITLE = "A program that does nothing"
ROUNDS = 15


def measure(context):
    found = rounds.Grid([Work("true", "program", ["/bin/true"])], context.allocators)
    try:
        found.measure(context.launcher, "trivial", ROUNDS, context.options.limit)
    finally:
        context.results["trivial"] = found.record()
        summary.spreads(context.results["trivial"], summary.usual)


def blocks(results, full):
    have, names = results["trivial"]["workloads"][0]["figures"], [one["name"] for one in results["allocators"]]
    rows = [["/bin/true", *names]]
    for title, what, factor in (
            ("peak RSS, KiB", "rss", 1 / 1024), ("page faults", "faults", 1), ("wall, µs", "wall", 1e6)):
        rows.append([title] + [f"{have[name][what]['median'] * factor:.0f}" if name in have else "-" for name in names])
    return [Block("A program that does nothing", rows, [])]
