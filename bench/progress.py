"""What a person sees while it runs: one line that is rewritten on a terminal, plain lines elsewhere, and an estimate of
the time left from what the same steps took before."""

import shutil
import sys
import time

PLAIN_EVERY = 10  # seconds between plain lines


def duration(seconds):
    seconds = round(seconds)
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


class Progress:
    """`plan`: keys of the steps to come, in order; a step with the same key is expected to take as long again."""

    def __init__(self, title, plan, out=None):
        self.title, self.left, self.count = title, list(plan), len(plan)
        self.out = out or sys.stderr
        self.live = self.out.isatty()
        self.known, self.done, self.said, self.start = {}, 0, 0.0, time.monotonic()

    def estimate(self):
        """Seconds for the steps left, or None before the first is done."""
        if not self.known:
            return None
        typical = sum(self.known.values()) / len(self.known)
        return sum(self.known.get(key, typical) for key in self.left)

    def step(self, what):
        """Says what is running now."""
        left = self.estimate()
        ahead = "" if left is None else f", about {duration(left)} left"
        line = f"{self.title} {self.done + 1}/{self.count}: {what}{ahead}"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.out.write("\r\x1b[K" + line[:width])
            self.out.flush()
        elif time.monotonic() - self.said >= PLAIN_EVERY or self.done == 0:
            self.said = time.monotonic()
            print(line, file=self.out, flush=True)
        self.began = time.monotonic()

    def stepped(self):
        """The step is done."""
        key = self.left.pop(0)
        self.known[key] = time.monotonic() - self.began
        self.done += 1

    def say(self, line):
        """A line that stays."""
        if self.live:
            self.out.write("\r\x1b[K")
        print(line, file=self.out, flush=True)

    def finish(self):
        self.say(f"{self.title}: {self.done} runs in {duration(time.monotonic() - self.start)}")
