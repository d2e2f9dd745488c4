"""What a person sees while it runs: one line that is rewritten on a terminal, plain lines elsewhere, and an estimate of
the time left from what the same steps took before."""

import shutil
import sys
import threading
import time

PLAIN_EVERY = 10  # seconds between plain lines


def duration(seconds):
    seconds = round(seconds)
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


class Progress:
    """`plan`: keys of the steps to come; a step with the same key is expected to take as long again. `jobs` of them run
    at a time."""

    def __init__(self, title, plan, jobs=1, out=None):
        self.title, self.left, self.count, self.jobs = title, list(plan), len(plan), jobs
        self.out = out or sys.stderr
        self.live = self.out.isatty()
        self.known, self.done, self.said, self.start = {}, 0, None, time.monotonic()
        self.lock = threading.Lock()

    def estimate(self):
        """Seconds for the steps left, or None before the first is done."""
        if not self.known:
            return None
        typical = sum(self.known.values()) / len(self.known)
        return sum(self.known.get(key, typical) for key in self.left) / self.jobs

    def step(self, what):
        """Says what begins now; returns when it began."""
        with self.lock:
            left = self.estimate()
            ahead = "" if left is None else f", about {duration(left)} left"
            line = f"{self.title} {self.done + 1}/{self.count}: {what}{ahead}"
            now = time.monotonic()
            if self.live:
                width = shutil.get_terminal_size().columns - 1
                self.out.write("\r\x1b[K" + line[:width])
                self.out.flush()
            elif self.said is None or now - self.said >= PLAIN_EVERY:
                self.said = now
                print(line, file=self.out, flush=True)
            return now

    def stepped(self, key, began):
        with self.lock:
            self.left.remove(key)
            self.known[key] = time.monotonic() - began
            self.done += 1

    def skip(self, key):
        with self.lock:
            self.left.remove(key)
            self.count -= 1

    def say(self, line):
        """A line that stays."""
        with self.lock:
            if self.live:
                self.out.write("\r\x1b[K")
            print(line, file=self.out, flush=True)

    def finish(self):
        self.say(f"{self.title}: {self.done} runs in {duration(time.monotonic() - self.start)}")
