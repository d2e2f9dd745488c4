"""Section `instructions`: instructions of a malloc/free pair on one thread, by callgrind, which no noise of the machine can
hide. The counting is that of tests/instructions/count.py."""

import os
import shutil
import subprocess
import sys

from columns import Block
from progress import Progress

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "tests", "instructions"))
import count  # noqa: E402  (the path comes first)

TITLE = "Instructions of the fast path"
SIZES, QUICK_SIZES = (16, 64, 256, 1024, 16384), (64,)


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


def blocks(results, full):
    record, names = results["instructions"], [one["name"] for one in results["allocators"]]
    rows = [["", *names]]
    for size, have in record["sizes"].items():
        rows.append([f"{size} bytes"] + [f"{have[name]:.1f}" if name in have else "failed" for name in names])
    return [Block("Instructions of malloc and free, one pair at a time on one thread, without the loop around them", rows,
                  [f"failed: instructions of {name}: {' '.join(reason.split())[:200]}"
                   for name, reason in record["failed"].items()])]
