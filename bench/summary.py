"""From runs to what is shown: medians per workload and allocator, ratios, means, targets. The results are plain dicts, as
they stand in results.json."""

import figures

MEASURES = {"wall": "s", "cpu": "s", "rss": "B", "faults": "count"}
JUDGED = ("wall", "cpu", "rss")


def measure_of(run, measure):
    if measure == "cpu":
        return run["user"] + run["system"]
    if measure == "rss":
        return run["maxrss_kib"] * 1024
    if measure == "faults":
        return run["minor_faults"] + run["major_faults"]
    return run["wall"]


def spreads(record, pick):
    """Adds to each workload of a section `figures`: {allocator: {measure: spread}}. `pick` makes of a run its measures."""
    for work in record["workloads"]:
        work["figures"] = {}
        for name, runs in work["runs"].items():
            if runs:
                picked = [pick(run) for run in runs]
                work["figures"][name] = {measure: figures.spread([one[measure] for one in picked])
                                         for measure in picked[0]}


def usual(run):
    """The measures that every run has."""
    return {measure: measure_of(run, measure) for measure in MEASURES}


def medians(record, measure):
    return {work["name"]: {name: have[measure]["median"] for name, have in work["figures"].items()}
            for work in record["workloads"]}


def judge(record, allocators, reference):
    """Means and targets of the section `times`; adds to each workload how Tidemark stands to its peers."""
    names = [one["name"] for one in allocators]
    peers = [one["name"] for one in allocators if one["kind"] == "peer"]
    tables = {measure: medians(record, measure) for measure in JUDGED}
    for work in record["workloads"]:
        work["to_peers"] = {measure: figures.against_peers(tables[measure][work["name"]], "tidemark", peers)
                            for measure in JUDGED}
    groups = {"all": {work["name"] for work in record["workloads"]}}
    for kind, group in (("program", "programs"), ("allocation", "allocation workloads")):
        members = {work["name"] for work in record["workloads"] if work["kind"] == kind}
        if members and members != groups["all"]:
            groups[group] = members
    whole = figures.complete(tables["rss"], names)
    verdict = {"means": {}, "left_out": [work["name"] for work in record["workloads"] if work["name"] not in whole],
               "targets": {measure: figures.targets(tables[measure], names, "tidemark", peers) for measure in JUDGED}}
    for group, among in groups.items():
        verdict["means"][group] = {measure: figures.means(tables[measure], names, reference, among) for measure in JUDGED}
    return verdict


def ratio(work, name, measure, reference):
    """A workload's median under an allocator as a ratio to the reference's, or None."""
    have = work["figures"]
    if name not in have or reference not in have or not have[reference][measure]["median"]:
        return None
    return have[name][measure]["median"] / have[reference][measure]["median"]
