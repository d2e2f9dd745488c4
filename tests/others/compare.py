"""Runs the items of a suite without the library, with it, and with it under check=full, and tells them apart.

An item is run three times in a row by one worker, so that a machine whose load changes changes it for all three. What
differs is repeated, alone, up to REPEATS times: an item that once gives the same is flaky, what never does is a failure
of the library. Cases that fail without the library, too, count as failed in both. A suite that is given a time takes no
new item after it; what it did not come to is counted.
"""

import dataclasses
import re
import threading
import time

from suite import Failed, Result, Run

REPEATS = 3


@dataclasses.dataclass
class Outcome:
    """Of one suite in one setting, in cases; `both` and `only` are (item, case), `judged` adds why, `flaky` is (item, cases)."""

    items: int = 0
    ran: int = 0
    skipped: list = dataclasses.field(default_factory=list)
    both: list = dataclasses.field(default_factory=list)
    only: list = dataclasses.field(default_factory=list)
    flaky: list = dataclasses.field(default_factory=list)
    judged: list = dataclasses.field(default_factory=list)


def difference(without, preloaded):
    """What only the run with the library shows: cases, or what became of the whole."""
    found = set(preloaded.failed - without.failed)
    if preloaded.skipped and not without.skipped:
        found.add(f"(skipped: {preloaded.skipped})")
    elif preloaded.ran < without.ran and not found:
        found.add(f"(ran {preloaded.ran} of {without.ran})")
    if preloaded.made != without.made and not found:
        found.add(f"(made {preloaded.made or 'nothing'} instead of {without.made or 'nothing'})")
    return found


class Comparison:
    """`library` is preloaded; `settings` are the values of TIDEMARK to try, None for no value."""

    def __init__(self, suite, work, library, settings, jobs, seconds=float("inf")):
        self.suite, self.work, self.jobs = suite, work, jobs
        self.deadline = time.monotonic() + seconds
        self.runs = [Run(None, 0, interval=0.1)]
        for setting in settings:
            run = Run(library, 0, interval=0.1)
            run.environment.pop("TIDEMARK", None)
            if setting:
                run.environment["TIDEMARK"] = setting
            self.runs.append(run)
        self.outcomes = {setting: Outcome() for setting in settings}
        self.lock = threading.Lock()

    def once(self, run, item):
        try:
            return self.suite.once(run, self.work, item)
        except Exception as error:  # a test may leave anything behind: that is its failure, not the end of the others
            return Result(failed={f"(runner: {type(error).__name__}: {error})"})

    def work_off(self, queue, results):
        while True:
            with self.lock:
                if not queue or time.monotonic() > self.deadline:
                    return
                item = queue.pop(0)
            found = [self.once(run, item) for run in self.runs]
            with self.lock:
                results[item] = found

    def reason(self, case):
        """Why a case may differ, or None."""
        return next((why for pattern, why in self.suite.JUDGED.items() if re.match(pattern, case)), None)

    def settle(self, run, outcome, item, without, preloaded):
        found = difference(without, preloaded)
        allowed = {case for case in found if self.reason(case)}
        outcome.judged += [(item, case, self.reason(case)) for case in sorted(allowed)]
        found -= allowed
        steady = found
        for _ in range(REPEATS if found else 0):
            without = self.once(self.runs[0], item)
            steady = {case for case in difference(without, self.once(run, item)) if not self.reason(case)}
            if not steady:
                outcome.flaky.append((item, sorted(found)))
                return
        outcome.only += [(item, case) for case in sorted(steady)]

    def run(self, items, executables):
        """{setting: Outcome}. Each of the executables must have been seen with the library mapped."""
        queue, results = list(items), {}
        for run in self.runs:
            run.__enter__()
        try:
            workers = [threading.Thread(target=self.work_off, args=(queue, results)) for _ in range(self.jobs)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            for run, outcome in zip(self.runs[1:], self.outcomes.values()):
                self.count(run, outcome, items, results, executables)
        except KeyboardInterrupt:
            queue.clear()
            raise
        finally:
            for run in self.runs:
                run.__exit__()
        return self.outcomes

    def count(self, run, outcome, items, results, executables):
        for item in (item for item in items if item in results):
            outcome.items += 1
            without, preloaded = results[item][0], results[item][self.runs.index(run)]
            outcome.ran += preloaded.ran
            outcome.skipped += [(item, preloaded.skipped)] if preloaded.skipped else []
            outcome.both += [(item, case) for case in sorted(preloaded.failed & without.failed)]
            self.settle(run, outcome, item, without, preloaded)
        try:
            run.require_loaded(*executables)
        except Failed as reason:
            outcome.only.append(("all", f"({reason})"))
