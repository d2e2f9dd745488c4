"""What a suite of others is: a list of items, each run by a command of its own, and what came of one.

A suite is a module with NAME, TITLE, EXECUTABLES (which must be seen with the library mapped), FULL (whether it is run
under check=full, too), JUDGED ({pattern of a case: why it may differ}), `prepare(work)` (fetches and builds what is needed, once,
and raises Skipped with the reason where it cannot), `items(work)` (names, in order), `quick(items)` (a slice of them)
and `once(run, work, item)`, which runs an item in a harness.Run and gives a Result. An item is small, so that one that
differs can be repeated alone.
"""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs"))

from harness import Failed, Run, Skipped, tool  # noqa: E402,F401 (also for the suites)


@dataclasses.dataclass
class Result:
    """`ran`: cases that ran to an end; `failed`: the names of those that failed; `skipped`: why nothing ran;
    `made`: a digest of what came out, where that has to be the same."""

    ran: int = 0
    failed: set = dataclasses.field(default_factory=set)
    skipped: str = ""
    made: str = ""


def ending(status):
    return f"signal {-status}, {signal.strsignal(-status)}" if status < 0 else f"exit status {status}"


def fresh(run, item):
    """An empty directory for an item."""
    place = run.path(item.replace("/", "-"))
    shutil.rmtree(place, ignore_errors=True)
    os.mkdir(place)
    return place


def command(run, arguments, cwd, limit, environment=None, setup=None):
    """Runs to the end, or `limit` seconds: (exit status or None, what it wrote). Its session is ended with it."""
    with tempfile.TemporaryFile() as output:
        process = run.start(arguments, cwd=cwd, environment=environment, stdout=output, stderr=subprocess.STDOUT,
                            preexec_fn=setup)
        try:
            status = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        output.seek(0)
        return status, output.read().decode(errors="replace")


def judge(result, status, text, limit):
    """Adds what shows only outside the cases: how the command ended, and what the library or the loader said."""
    if status is None:
        result.failed.add(f"(still running after {limit} s)")
    elif status < 0 or (status > 0 and not result.failed):
        result.failed.add(f"({ending(status)})")
    for line in text.splitlines():
        if re.search(r"\btidemark: |ERROR: ld\.so: object", line):
            result.failed.add("(said: " + re.sub(r"0x[0-9a-f]+|\d+", "N", line.strip())[:200] + ")")
            break
    return result
