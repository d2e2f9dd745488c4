"""One run of one command under one allocator, through bench-run, with what it took and what it said.

The environment is the same for every run but for the preload. What a command writes to stdout is kept as `figure NAME
VALUE UNIT` lines, which are read, and a digest of all other bytes, by which the same work under another allocator is
compared.
"""

import hashlib
import json
import os
import signal
import subprocess
import tempfile

LIMIT = 120  # seconds that a run may take before it counts as hung


class Failed(Exception):
    """The run did not do its work; the text says what happened."""


class Missing(Exception):
    """This machine lacks something that the run needs; the text says what."""


class Launcher:
    """Where bench-run is, where runs work, and which variables they see. tree_ms: how often the memory of a run's processes
    is added up; None: only the largest one's peak is asked for."""

    def __init__(self, program, directory, tree_ms=None):
        self.program, self.directory, self.tree_ms = program, directory, tree_ms
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": directory, "TMPDIR": directory, "LC_ALL": "C.UTF-8",
                            "TZ": "UTC"}
        if "TIDEMARK" in os.environ:
            self.environment["TIDEMARK"] = os.environ["TIDEMARK"]

    def start(self, allocator, command, environment=None, **options):
        """Popen of bench-run in a session of its own, and the end of the pipe where its line will arrive."""
        reading, writing = os.pipe()
        arguments = [self.program, "--fd", str(writing)]
        if allocator.path:
            arguments += ["--preload", allocator.path]
        if self.tree_ms:
            arguments += ["--tree", str(self.tree_ms)]
        options.setdefault("stdin", subprocess.DEVNULL)
        try:
            process = subprocess.Popen(arguments + ["--"] + [str(word) for word in [*allocator.wrapper, *command]],
                                       env={**self.environment, **(environment or {}), **allocator.environment},
                                       cwd=self.directory, start_new_session=True, pass_fds=(writing,), **options)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return process, reading

    def run(self, allocator, command, environment=None, limit=LIMIT, stdin=None):
        """Runs to the end. Returns what bench-run measured, with "figures" and "digest" of stdout."""
        with tempfile.TemporaryFile(dir=self.directory) as out, tempfile.TemporaryFile(dir=self.directory) as err:
            source = open(stdin, "rb") if stdin else None
            try:
                process, reading = self.start(allocator, command, environment, stdin=source or subprocess.DEVNULL,
                                              stdout=out, stderr=err)
            finally:
                if source:
                    source.close()
            took = finish(process, reading, limit)
            err.seek(0)
            words = err.read(1 << 16).decode(errors="replace").strip()
            check(command, took, words)
            out.seek(0)
            took["figures"], took["digest"] = read_figures(allocator.said(out.read()))
        return took


def finish(process, reading, limit):
    """Waits for bench-run, or kills all of its session. Returns its line."""
    with open(reading, encoding="ascii") as pipe:
        try:
            process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            kill(process)
            raise Failed(f"still running after {limit} s, killed") from None
        except BaseException:
            kill(process)
            raise
        line = pipe.read()
    if not line:
        return None
    return json.loads(line)


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def check(command, took, words):
    """Raises Failed unless the command ended well, with the library in force."""
    last = " | ".join(words.splitlines()[-3:]) or "it said nothing"
    if took is None:
        raise Failed(f"{command[0]} could not be started: {last}")
    if took["signal"]:
        raise Failed(f"killed by {signal.Signals(took['signal']).name}: {last}")
    if took["exit"]:
        raise Failed(f"exit status {took['exit']}: {last}")
    if "cannot be preloaded" in words:
        raise Failed(words.splitlines()[0])


def read_figures(said):
    """({name: value} of the figure lines, digest of the rest)."""
    figures, rest = {}, hashlib.sha256()
    if not said.startswith(b"figure ") and b"\nfigure " not in said:
        rest.update(said)
        return figures, rest.hexdigest()
    for line in said.splitlines(keepends=True):
        words = line.split()
        if len(words) >= 3 and words[0] == b"figure":
            figures[words[1].decode()] = float(words[2])
        else:
            rest.update(line)
    return figures, rest.hexdigest()
