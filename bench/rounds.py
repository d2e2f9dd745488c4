"""Interleaved runs: each round runs every workload once under every allocator, the allocators in another order each time.

A machine that slows down for a while slows all of them. A run that fails is shown, and that allocator is not tried on that
workload again. What a program writes must be the same under every allocator; without a preload it is run once before, and
that output is what the others are compared with.
"""

import concurrent.futures
import random
import time

from launch import Failed
from progress import Progress


def orders(allocators, count):
    """The allocators' order in each round: each is first once, then by chance."""
    generator = random.Random(1)
    for turn in range(count):
        order = allocators[turn % len(allocators):] + allocators[:turn % len(allocators)]
        if turn >= len(allocators):
            generator.shuffle(order)
        yield order


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
        finally:
            allocator.tidy()
        if keep:
            self.runs[work.name][allocator.name].append(took)
        return None

    def slow(self, work, allocator, once_above):
        """It took so long that once is enough."""
        runs = self.runs[work.name][allocator.name]
        return once_above is not None and bool(runs) and runs[-1]["wall"] > once_above

    def measure(self, launcher, title, rounds, limit, until=None, jobs=1, once_above=None):
        """`until`: time.monotonic(); a round that would end later, if it took as long as the one before, does not
        begin. `jobs`: runs at a time. `once_above`: seconds; a run that takes longer is not repeated."""
        bare = next((one for one in self.allocators if one.path is None), self.allocators[0])
        # Before anything is measured: the output to compare with, and files in the page cache.
        warm = [work for work in self.works if work.kind == "program"]
        pairs = [(work.name, one.name) for work in self.works for one in self.allocators]
        progress = Progress(title, [(work.name, "warm-up") for work in warm] + pairs * rounds, jobs)

        def step(work, allocator, key, what, keep):
            if allocator.name in self.failed[work.name] or self.slow(work, allocator, once_above):
                progress.skip(key)
                return
            began = progress.step(what)
            failure = self.once(launcher, work, allocator, limit, keep)
            progress.stepped(key, began)
            if failure:
                progress.say(f"failed: {work.name} under {allocator.name}: {failure}")

        for work in warm:
            step(work, bare, (work.name, "warm-up"), f"{work.name}, to warm up", False)
        for turn, order in enumerate(orders(self.allocators, rounds)):
            if turn and until is not None and 2 * time.monotonic() - round_began > until:
                progress.say(f"{title}: {turn} of {rounds} rounds, since the time is up")
                break
            round_began = time.monotonic()
            plan = [(work, one, (work.name, one.name), f"round {turn + 1} of {rounds}, {work.name} under {one.name}", True)
                    for work in self.works for one in order]
            if jobs == 1:
                for words in plan:
                    step(*words)
            else:
                pool = concurrent.futures.ThreadPoolExecutor(jobs)
                try:
                    list(pool.map(lambda words: step(*words), plan))
                finally:
                    pool.shutdown(cancel_futures=True)
            self.rounds = turn + 1
        progress.finish()

    def record(self):
        return {"rounds": self.rounds, "workloads": [
            {"name": work.name, "kind": work.kind, "command": work.command, "runs": self.runs[work.name],
             "failed": self.failed[work.name]} for work in self.works]}
