"""Interleaved runs: each round runs every workload once under every allocator, the allocators in another order each time.

A machine that slows down for a while slows all of them. A run that fails is shown, and that allocator is not tried on that
workload again. What a program writes must be the same under every allocator; glibc's is what it is compared with.
"""

import random
import time

from launch import Failed
from progress import Progress


class Grid:
    """The runs of some workloads under some allocators: `runs[workload][allocator]`, `failed[workload][allocator]`."""

    def __init__(self, works, allocators):
        self.works, self.allocators = works, allocators
        self.runs = {work.name: {allocator.name: [] for allocator in allocators} for work in works}
        self.failed = {work.name: {} for work in works}
        self.digests = {}
        self.rounds = 0

    def once(self, launcher, work, allocator, limit, keep=True):
        """One run, recorded. A failure is recorded and returned."""
        try:
            took = work.run(launcher, allocator, limit)
            expected = self.digests.setdefault(work.name, took["digest"])
            if took["digest"] != expected:
                raise Failed(f"its output differs from what it was before (digest {took['digest'].strip()[:16]}, "
                             f"expected {expected.strip()[:16]})")
        except Failed as failure:
            self.failed[work.name][allocator.name] = str(failure)
            self.runs[work.name][allocator.name] = []
            return failure
        if keep:
            self.runs[work.name][allocator.name].append(took)
        return None

    def measure(self, launcher, rounds, limit, until=None, title="times"):
        """`until`: time.monotonic() after which no new round begins, except the first."""
        generator = random.Random(1)
        first = next((one for one in self.allocators if one.path is None), self.allocators[0])
        # The reference's output, and files in the page cache, before anything is measured.
        warm = [work for work in self.works if work.kind == "program"]
        pairs = [(work.name, one.name) for work in self.works for one in self.allocators]
        progress = Progress(title, [("warm", work.name) for work in warm] + pairs * rounds)

        def step(work, allocator, what, keep):
            progress.step(what)
            failure = self.once(launcher, work, allocator, limit, keep)
            progress.stepped()
            if failure:
                progress.say(f"failed: {work.name} under {allocator.name}: {failure}")

        for work in warm:
            step(work, first, f"{work.name}, to warm up", False)
        for turn in range(rounds):
            if turn and until is not None and time.monotonic() > until:
                progress.say(f"{title}: {turn} of {rounds} rounds, since the time is up")
                break
            plan = []
            for work in self.works:
                order = self.allocators[turn % len(self.allocators):] + self.allocators[:turn % len(self.allocators)]
                if turn >= len(self.allocators):
                    generator.shuffle(order)
                plan += [(work, allocator) for allocator in order]
            progress.left[:len(plan)] = [(work.name, allocator.name) for work, allocator in plan]
            for work, allocator in plan:
                if allocator.name in self.failed[work.name]:
                    progress.left.pop(0)
                    progress.count -= 1
                    continue
                step(work, allocator, f"round {turn + 1} of {rounds}, {work.name} under {allocator.name}", True)
            self.rounds = turn + 1
        progress.finish()

    def record(self):
        return {"rounds": self.rounds, "workloads": [
            {"name": work.name, "kind": work.kind, "command": work.command, "runs": self.runs[work.name],
             "failed": self.failed[work.name]} for work in self.works]}
