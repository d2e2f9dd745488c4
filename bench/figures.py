"""Statistics of the measurements: medians and spreads of runs, ratios to a reference, geometric means.

Where an allocator failed on a workload, that workload counts in nobody's mean, so that all means are of the same work.
Nothing here knows where the numbers come from: `table` is {workload: {allocator: median}}.
"""

import math
import statistics


def spread(values):
    """Median, median absolute deviation from it, least and most."""
    middle = statistics.median(values)
    return {"median": middle, "mad": statistics.median(abs(value - middle) for value in values), "min": min(values),
            "max": max(values), "count": len(values)}


def geometric_mean(values):
    """Of positive numbers; None of none."""
    values = list(values)
    return math.exp(math.fsum(math.log(value) for value in values) / len(values)) if values else None


def complete(table, allocators):
    """The workloads on which every one of the allocators has a figure above 0, in order."""
    return [name for name, row in table.items() if all((row.get(allocator) or 0) > 0 for allocator in allocators)]


def ratios(table, reference):
    """{workload: {allocator: ratio}} for the workloads on which the reference has a figure."""
    return {name: {allocator: value / row[reference] for allocator, value in row.items()}
            for name, row in table.items() if (row.get(reference) or 0) > 0}


def means(table, allocators, reference, among=None):
    """{allocator: geometric mean of its ratios to the reference} over the complete workloads, of `among` if given."""
    names = [name for name in complete(table, allocators) if among is None or name in among]
    return {allocator: geometric_mean(table[name][allocator] / table[name][reference] for name in names)
            for allocator in allocators}


def against_peers(row, ours, peers):
    """(ours / median of the peers, ours / best of the peers) on one workload; None without both."""
    theirs = [row[peer] for peer in peers if row.get(peer)]
    if not theirs or not row.get(ours):
        return None
    return row[ours] / statistics.median(theirs), row[ours] / min(theirs)


def targets(table, allocators, ours, peers):
    """What the allocator is judged by: its mean against the best peer's mean, and its worst workload against the median
    of the peers. None where there is no workload that all of them finished."""
    peers = [peer for peer in peers if peer in allocators]
    names = complete(table, allocators)
    if ours not in allocators or not peers or not names:
        return None
    theirs = {peer: geometric_mean(table[name][peer] for name in names) for peer in peers}
    best = min(theirs, key=theirs.get)
    worst = max(names, key=lambda name: against_peers(table[name], ours, peers)[0])
    return {"workloads": len(names), "best_peer": best,
            "mean_to_best_peer": geometric_mean(table[name][ours] for name in names) / theirs[best],
            "worst_workload": worst, "worst_to_median": against_peers(table[worst], ours, peers)[0]}
