"""Section `instructions`: instructions of a malloc/free pair on one thread, by callgrind, which no noise of the machine can
hide: under each allocator, and under Tidemark while call sites are recorded. The counting of the first is that of
tests/instructions/count.py.

What a sample costs is spread over the many pairs between two samples, and where they fall is chance. So with `sites=sample`
the pairs are many, and the mean is over several seeds, whose spread is shown. (The default seed is the clock's.) A loop of one
size has one pool at a time, and whether that is a pool whose every block is named is one draw of chance for a whole run: the
spread shows that, too.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys

from columns import Block
from progress import Progress

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "tests", "instructions"))
import count  # noqa: E402  (the path comes first)

TITLE = "Instructions of the fast path"
SIZES, QUICK_SIZES = (16, 64, 256, 1024, 16384), (64,)
SITES = {"off": "sites=off", "sample": "sites=sample", "all": "sites=all"}
SEEDS, QUICK_SEEDS = 8, 4
SHORT, LONG = 100_000, 600_000


def built(build, *names):
    """Paths of programs that are built on request only."""
    subprocess.run(["ninja", "-C", build, *(f"tests/instructions/{name}" for name in names)], stdout=subprocess.DEVNULL,
                   check=True)
    return [os.path.join(build, "tests", "instructions", name) for name in names]


def measure(context):
    if not shutil.which("valgrind"):
        context.leave_out(["instructions are left out: valgrind is not installed"])
        return
    try:
        pairs, nothing = built(context.options.build, "pairs", "pairs_of_nothing")
    except (OSError, subprocess.CalledProcessError) as error:
        context.leave_out([f"instructions are left out: {error}"])
        return
    sizes = QUICK_SIZES if context.options.quick else SIZES
    everything, malloc, free = count.per_pair(nothing, None, 16)
    loop = everything - malloc - free
    record = context.results["instructions"] = {"loop": loop, "sizes": {}, "failed": {}}
    plan = [(size, one) for size in sizes for one in context.allocators]
    progress = Progress("instructions", [one.name for _, one in plan])
    for size, one in plan:
        began = progress.step(f"{size} bytes under {one.name}")
        if one.name not in record["failed"]:
            try:
                record["sizes"].setdefault(str(size), {})[one.name] = count.per_pair(pairs, one.path, size)[0] - loop
            except SystemExit as reason:
                record["failed"][one.name] = str(reason)
                progress.say(f"failed: instructions of {one.name}: {reason}")
        progress.stepped(one.name, began)
    progress.finish()
    measure_sites(context, pairs, loop, sizes)


def counted(program, library, variable, *arguments):
    """Instructions of a whole run with TIDEMARK set to the variable."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, *map(str, arguments)],
                          env={"PATH": "/usr/bin:/bin", "LD_PRELOAD": library, "TIDEMARK": variable},
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or "tidemark:" in done.stderr:
        sys.exit(f"{program} with TIDEMARK={variable} under valgrind: status {done.returncode}: {done.stderr.strip()[-300:]}")
    return int(found.group(1))


def measure_sites(context, pairs, loop, sizes):
    """`sites`: {size: {mode: instructions of a pair, one for each seed}}. Modes without chance have one seed."""
    record = context.results["instructions"]
    record["sites"] = {}
    library = os.path.abspath(context.options.tidemark)
    seeds = range(1, (QUICK_SEEDS if context.options.quick else SEEDS) + 1)
    plan = [(size, mode, seed) for size in sizes for mode in SITES for seed in (seeds if mode == "sample" else (1,))]
    progress = Progress("instructions, sites", [mode for _, mode, _ in plan])
    for size, mode, seed in plan:
        began = progress.step(f"{size} bytes, {SITES[mode]}, seed {seed}")
        if "tidemark" not in record["failed"]:
            try:
                short, long = (counted(pairs, library, f"{SITES[mode]},seed={seed}", count_of, size)
                               for count_of in (SHORT, LONG))
                record["sites"].setdefault(str(size), {}).setdefault(mode, []).append((long - short) / (LONG - SHORT) - loop)
            except SystemExit as reason:
                record["failed"]["tidemark"] = str(reason)
                progress.say(f"failed: instructions of tidemark: {reason}")
        progress.stepped(mode, began)
    progress.finish()


def sites_block(record):
    rows = [["", *SITES, "", "sample, least", "sample, most"]]
    for size, have in record["sites"].items():
        sample = have.get("sample", [])
        rows.append([f"{size} bytes"] + [f"{statistics.mean(have[mode]):.1f}" if mode in have else "failed" for mode in SITES]
                    + ["|"] + ([f"{min(sample):.1f}", f"{max(sample):.1f}"] if sample else ["-", "-"]))
    return Block("The same under Tidemark by what is recorded of call sites: of samples the mean of "
                 f"{max((len(have.get('sample', [])) for have in record['sites'].values()), default=0)} seeds", rows, [])


def blocks(results, full):
    record, names = results["instructions"], [one["name"] for one in results["allocators"]]
    rows = [["", *names]]
    for size, have in record["sizes"].items():
        rows.append([f"{size} bytes"] + [f"{have[name]:.1f}" if name in have else "failed" for name in names])
    found = [Block("Instructions of malloc and free, one pair at a time on one thread, without the loop around them", rows,
                  [f"failed: instructions of {name}: {' '.join(reason.split())[:200]}"
                   for name, reason in record["failed"].items()])]
    return found + ([sites_block(record)] if record.get("sites") else [])
