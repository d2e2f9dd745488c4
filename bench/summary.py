"""From runs to what is shown: medians per workload and allocator, ratios, means, targets. The results are plain dicts, as
they stand in results.json."""

import figures

MEASURES = ("wall", "cpu", "rss", "faults")


def measure_of(run, measure):
    if measure == "cpu":
        return run["user"] + run["system"]
    if measure == "rss":
        return run["maxrss_kib"] * 1024
    if measure == "faults":
        return run["minor_faults"] + run["major_faults"]
    return run["wall"]


def summarize(times, allocators, reference):
    """Adds to each workload its spreads, and returns means and targets. `allocators`: records in order."""
    names = [one["name"] for one in allocators]
    peers = [one["name"] for one in allocators if one["kind"] == "peer"]
    medians = {measure: {} for measure in MEASURES}
    for work in times["workloads"]:
        work["figures"] = {name: {measure: figures.spread([measure_of(run, measure) for run in work["runs"][name]])
                                  for measure in MEASURES}
                           for name in names if work["runs"].get(name)}
        for measure in MEASURES:
            medians[measure][work["name"]] = {name: work["figures"][name][measure]["median"]
                                              for name in work["figures"]}
        work["to_peers"] = {measure: figures.against_peers(medians[measure][work["name"]], "tidemark", peers)
                            for measure in ("wall", "cpu", "rss")}
    groups = {"all": None}
    for kind, group in (("program", "programs"), ("allocation", "allocation workloads")):
        members = {work["name"] for work in times["workloads"] if work["kind"] == kind}
        if members:
            groups[group] = members
    summary = {"reference": reference, "means": {}, "targets": {}}
    for group, among in groups.items():
        left_out = [name for name in medians["wall"] if (among is None or name in among)
                    and name not in figures.complete(medians["wall"], names)]
        summary["means"][group] = {
            measure: figures.means(medians[measure], names, reference, among) for measure in ("wall", "cpu", "rss")}
        summary["means"][group]["left_out"] = left_out
    for measure in ("wall", "cpu", "rss"):
        summary["targets"][measure] = figures.targets(medians[measure], names, "tidemark", peers)
    return summary


def ratio(work, name, measure, reference):
    """A workload's median under an allocator as a ratio to the reference's, or None."""
    have = work["figures"]
    if name not in have or reference not in have or not have[reference][measure]["median"]:
        return None
    return have[name][measure]["median"] / have[reference][measure]["median"]
