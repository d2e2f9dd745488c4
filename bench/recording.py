"""Section `recording`: what it costs to record call sites, beside heaptrack and gperftools.

Two parts, each interleaved. `sampling` is to see a difference of some percent: work of a second, Tidemark's samples and
tcmalloc's, and Tidemark without sites twice over. `complete` is where every allocation is recorded, which takes the others
many times as long: less work, memory of all processes added up, and what takes longer than ONCE_ABOVE seconds runs once.

A ratio is the median over the rounds of the ratio within a round, so that what slows the machine for a while slows both.
"""

import os
import time

import figures
import profilers
import programs
import rounds
import suite
import summary
from columns import Block, amount, number
from launch import Launcher

TITLE = "What recording call sites costs"
ROUNDS, QUICK_ROUNDS = {"sampling": 7, "complete": 3}, {"sampling": 3, "complete": 1}
# Of the work of the section `times`. With less, start and end of a run would show.
WORK = {"sampling": {"allocation": 1, "program": 1}, "complete": {"allocation": 0.1, "program": 0.3}}
QUICK_WORK = {"sampling": {"allocation": 1, "program": 1}, "complete": {"allocation": 0.3, "program": 0.3}}
QUICK_SECONDS = {"sampling": 50, "complete": 50}
ONCE_ABOVE = 8
TREE_MS = 20
KINDS = {"program": "real programs", "allocation": "allocation workloads"}
# What is shown: (a variant, what it is compared with)
PAIRS = {"sampling": (("sample", "off"), ("off-again", "off"), ("tcmalloc-sample", "tcmalloc")),
         "complete": (("all", "off"), ("all", "glibc"), ("sample", "glibc"), ("heaptrack", "glibc"),
                      ("heapprofile", "tcmalloc"))}
VARIANTS = {"sampling": profilers.sampling, "complete": profilers.complete}
MEASURES = {"wall": "wall", "cpu": "CPU", "tree": "peak memory"}
TITLES = {"sampling": f"Samples, one in {profilers.RATE // 1024} KiB", "complete": "Every allocation"}
DIGITS = {"sampling": 4, "complete": 3}


def measure(context):
    record = context.results["recording"] = {}
    for part in PAIRS:
        measure_part(context, part, record)


def works_of(context, launcher, part):
    options = context.options
    share = (QUICK_WORK if options.quick else WORK)[part]
    works = [work for work in suite.allocation(options.build, options.scale * share["allocation"])
             if context.wanted(work.name, work.quick)]
    real, left_out = programs.programs(launcher.directory, options.scale * share["program"], context.wanted)
    context.leave_out(left_out)
    return works + real


def measure_part(context, part, record):
    options = context.options
    launcher = Launcher(context.launcher.program, context.launcher.directory, TREE_MS if part == "complete" else None)
    variants, left_out = VARIANTS[part](os.path.abspath(options.tidemark), launcher.directory)
    context.leave_out(left_out)
    found = rounds.Grid(works_of(context, launcher, part), variants)
    until = time.monotonic() + QUICK_SECONDS[part] if options.quick and not options.rounds else None
    count = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)[part]
    try:
        found.measure(launcher, f"recording, {part}", count, options.limit, until, once_above=ONCE_ABOVE)
    finally:  # what was measured before an interrupt is shown
        record[part] = found.record()
        record[part]["variants"] = [one.record() for one in variants]
        compare(record[part], PAIRS[part])


def measures(run):
    taken = dict(summary.usual(run), tree=run.get("tree_kib", run["maxrss_kib"]) * 1024)
    return {name: taken[name] for name in MEASURES}


def compare(record, pairs):
    """Adds to each workload `figures`, as the other sections have them, and `ratios`: {"a/b": {measure: spread}}; to the
    part its `means`: {"a/b": {kind: {measure: [mean, least and most of a single round's mean]}}}."""
    summary.spreads(record, measures)
    for work in record["workloads"]:
        work["ratios"] = {}
        for one, other in pairs:
            both = list(zip(work["runs"].get(one, []), work["runs"].get(other, [])))
            if both:
                work["ratios"][f"{one}/{other}"] = {
                    name: figures.spread([measures(a)[name] / max(measures(b)[name], 1e-3) for a, b in both])
                    for name in MEASURES}
    record["means"] = {f"{one}/{other}": {kind: means_of(record, one, other, kind) for kind in KINDS}
                       for one, other in pairs}


def means_of(record, one, other, kind):
    """Over the workloads that both finished."""
    works = [work for work in record["workloads"] if work["kind"] == kind and f"{one}/{other}" in work["ratios"]]
    if not works:
        return None
    found = {}
    for name in MEASURES:
        turns = min(min(len(work["runs"][one]), len(work["runs"][other])) for work in works)
        single = [figures.geometric_mean(measures(work["runs"][one][turn])[name]
                                         / max(measures(work["runs"][other][turn])[name], 1e-3) for work in works)
                  for turn in range(turns)]
        found[name] = [figures.geometric_mean(work["ratios"][f"{one}/{other}"][name]["median"] for work in works),
                       min(single), max(single)]
    return found


# ---- shown ----

def times_block(record, part, reference, name):
    """A line a workload: seconds of the reference, then each pair's ratio. name: wall or cpu."""
    pairs = [f"{one}/{other}" for one, other in PAIRS[part]]
    rows = [["", f"{reference}, s", *pairs]]
    for work in record["workloads"]:
        have = work["figures"].get(reference)
        rows.append([work["name"], amount(have[name]["median"], "s") if have else "failed"]
                    + [number(work["ratios"][pair][name]["median"], DIGITS[part]) if pair in work["ratios"]
                       else missing(work, pair) for pair in pairs])
    for kind, title in KINDS.items():
        means = [(record["means"][pair][kind] or {}).get(name) for pair in pairs]
        if any(means):
            rows.append([f"mean of {title}", ""] + [number(mean[0], DIGITS[part]) if mean else "-" for mean in means])
            rows.append(["  of a single round", ""]
                        + [f"{number(mean[1])} to {number(mean[2])}" if mean else "-" for mean in means])
    return Block(f"{TITLES[part]}, {MEASURES[name]} time: ratios, medians over {record['rounds']} rounds of the ratio within a "
                 "round; means are geometric", rows, [])


def missing(work, pair):
    return "failed" if any(name in work["failed"] for name in pair.split("/")) else "-"


def memory_block(record):
    names = [one["name"] for one in record["variants"]]
    rows = [["", *names]]
    for work in record["workloads"]:
        rows.append([work["name"]] + [amount(work["figures"][name]["tree"]["median"], "B") if name in work["figures"]
                                      else "failed" if name in work["failed"] else "-" for name in names])
    return Block(f"Peak memory in MiB of all processes of the run: the largest sum of their RSS, looked at every {TREE_MS} ms, "
                 "or the peak of the largest process if that is more", rows, [])


def worst(record, pair, kind, name):
    """(ratio, workload) of the worst, or None."""
    return max(((work["ratios"][pair][name]["median"], work["name"]) for work in record["workloads"]
                if work["kind"] == kind and pair in work["ratios"]), default=None)


def verdict(record):
    """The targets: what they are, and what was measured."""
    lines = []
    for part, have in record.items():
        lines += [f"failed: {work['name']} under {name} ({part}): {reason}" for work in have["workloads"]
                  for name, reason in work["failed"].items()]
    part = record.get("sampling")
    if part and part["means"]["sample/off"]["program"]:
        mean, control = part["means"]["sample/off"]["program"], part["means"]["off-again/off"]["program"]
        lines.append(f"sample/off over the real programs: wall {mean['wall'][0]:.4f}, CPU {mean['cpu'][0]:.4f}, to be at most "
                     "1.02" + (f"; off/off in the same rounds: {control['wall'][0]:.4f} and {control['cpu'][0]:.4f}"
                               if control else ""))
    for name in ("wall", "cpu"):
        found = part and worst(part, "sample/off", "allocation", name)
        control = part and worst(part, "off-again/off", "allocation", name)
        if found and control:
            lines.append(f"sample/off of the worst allocation workload, {MEASURES[name]}: {found[0]:.3f} ({found[1]}), to be at "
                         f"most 1.06; off/off at its worst: {control[0]:.3f} ({control[1]})")
    return lines + verdict_complete(record.get("complete"))


def verdict_complete(part):
    lines = []
    for kind, title in KINDS.items() if part else ():
        # Of the workloads that both finished: heaptrack may fail on some.
        works = [work for work in part["workloads"] if work["kind"] == kind
                 and "all/off" in work["ratios"] and "heaptrack/glibc" in work["ratios"]]
        if not works:
            continue
        for name in ("wall", "cpu"):
            ours, theirs = (figures.geometric_mean(work["ratios"][pair][name]["median"] for work in works)
                            for pair in ("all/off", "heaptrack/glibc"))
            lines.append(f"{title}, {MEASURES[name]}: all/off {ours:.2f}, heaptrack/glibc {theirs:.2f}: {ours / theirs:.2f} of "
                         "its slowdown, to be at most 0.50")
        memory = [work["figures"]["all"]["tree"]["median"] / work["figures"]["heaptrack"]["tree"]["median"] for work in works]
        lines.append(f"{title}, peak memory of all to heaptrack's: {figures.geometric_mean(memory):.2f} on the mean, at worst "
                     f"{max(memory):.2f} ({works[memory.index(max(memory))]['name']}), to be below 1")
    return lines


def blocks(results, full):
    record = results["recording"]
    versions = {one["name"]: one["version"] for part in record.values() for one in part["variants"]}
    found = [Block("Measured: " + "; ".join(f"{name} {version}" for name, version in versions.items()), [], []),
             Block("Targets and failures", [], verdict(record))]
    for part, reference in (("sampling", "off"), ("complete", "glibc")):
        if record.get(part):
            found += [times_block(record[part], part, reference, name) for name in ("wall", "cpu")]
    if record.get("complete"):
        found.append(memory_block(record["complete"]))
    return found
