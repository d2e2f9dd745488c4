"""One run of a real program in a directory of its own, with or without a library preloaded.

A Run starts commands, watches which executables really had the library mapped (/proc/PID/maps of every process of its
own), enforces time limits, and leaves no process and no file behind. A process is its own if it carries the run's
token in its environment, or belongs to a session that the run started (some servers write over their environment).
"""

import os
import pwd
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    """The program did not do what it does without the library; the text says what."""


class Skipped(Exception):
    """The program cannot be tried here; the text says what is missing."""


def tool(name, *places):
    """Path of a program, or Skipped. Places are directories to look in after PATH."""
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        raise Skipped(f"{name} is not installed")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """With `library` None: without a preload. Used as a context manager. The executables are looked at every
    `interval` seconds."""

    def __init__(self, library, limit, interval=0.003):
        self.limit = limit
        self.interval = interval
        self.deadline = time.monotonic() + limit
        self.token = "TIDEMARK_PROGRAM_RUN=" + secrets.token_hex(8)
        self.directory = tempfile.mkdtemp(prefix="tidemark-programs.")
        os.chmod(self.directory, 0o755)  # for programs that run as another user
        self.library = None
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.directory, "TMPDIR": self.directory,
            "LC_ALL": "C.UTF-8", "TZ": "UTC", self.token.split("=")[0]: self.token.split("=")[1],
        }
        if library:
            # A copy where any user may read it.
            self.library = shutil.copy(library, os.path.join(self.directory, os.path.basename(library)))
            os.chmod(self.library, 0o755)
            self.environment["LD_PRELOAD"] = self.library
            if "TIDEMARK" in os.environ:
                self.environment["TIDEMARK"] = os.environ["TIDEMARK"]
        self.loaded = set()  # names of executables seen with the library mapped
        self.ours = {}  # pid -> start time, of processes that carry the token
        self.foreign = set()
        self.sessions = set()
        self.started = self._stat(os.getpid())[2]
        self.stopping = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.watcher.join()
        for _ in range(50):  # a process that is killed may have a child that is not listed yet
            self._scan(fresh=True)
            living = [pid for pid in self.ours if self._alive(pid)]
            if not living:
                break
            for pid in living:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        shutil.rmtree(self.directory, ignore_errors=True)

    # Watching.

    @staticmethod
    def _stat(pid):
        """State, session and start time of a process."""
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return fields[0], int(fields[3]), int(fields[19])

    def _alive(self, pid):
        try:
            state, _, started = self._stat(pid)
            return state != "Z" and started == self.ours[pid]
        except (OSError, IndexError):
            return False

    def _scan(self, fresh=False):
        if fresh:
            self.foreign.clear()
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            pid = int(name)
            if pid in self.ours or pid in self.foreign or pid == os.getpid():
                continue
            try:
                _, session, started = self._stat(pid)
                mine = session in self.sessions
                if not mine:
                    with open(f"/proc/{pid}/environ", "rb") as file:
                        mine = self.token.encode() in file.read().split(b"\0")
                if mine:
                    self.ours[pid] = started
                elif started < self.started:
                    self.foreign.add(pid)  # a younger one may still be before its exec
            except (OSError, IndexError):
                pass

    def _watch(self):
        while not self.stopping.wait(self.interval):
            self._scan()
            if self.library is None:
                continue
            for pid in list(self.ours):
                try:
                    name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
                    if name in self.loaded:
                        continue
                    with open(f"/proc/{pid}/maps", "rb") as file:
                        if self.library.encode() in file.read():
                            self.loaded.add(name)
                except OSError:
                    pass

    def require_loaded(self, *names):
        """Fails unless each of these executables was seen with the library mapped."""
        if self.library is None:
            return
        missing = [name for name in names if not any(seen.startswith(name) for seen in self.loaded)]
        if missing:
            raise Failed(f"never seen with the library mapped: {', '.join(missing)} (seen: "
                         f"{', '.join(sorted(self.loaded)) or 'none'})")

    # Running.

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, arguments, user=None, environment=None, **options):
        """Popen in the run's directory; `user` is a name to run as when this is root."""
        env = dict(self.environment, **(environment or {}))
        if user is not None and os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            options.update(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", self.directory)
        process = subprocess.Popen(arguments, env=env, start_new_session=True, **options)
        self.sessions.add(process.pid)
        return process

    def run(self, arguments, text=None, check=True, **options):
        """Runs to the end and returns what it wrote to stdout, as text; a failure carries its last words."""
        if text is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        try:
            out, err = process.communicate(None if text is None else text.encode(),
                                           timeout=max(1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Failed(f"{os.path.basename(arguments[0])}: still running after {self.limit} s") from None
        words = err.decode(errors="replace").strip()
        if "tidemark: " in words or "ld.so" in words:
            raise Failed(f"{os.path.basename(arguments[0])}: {words.splitlines()[0]}")
        if check and process.returncode != 0:
            last = words.splitlines()[-3:] or ["it said nothing"]
            raise Failed(f"{' '.join(arguments)[:100]}: exit status {process.returncode}: {' | '.join(last)}")
        return out.decode(errors="replace")

    def wait_for(self, condition, what, process=None):
        """Polls until condition() is true."""
        while time.monotonic() < self.deadline:
            if condition():
                return
            if process is not None and process.poll() is not None:
                raise Failed(f"{what}: the server ended with status {process.returncode}")
            time.sleep(0.02)
        raise Failed(f"{what}: not within {self.limit} s")

    def stop(self, process, number=signal.SIGTERM):
        """Ends a server in order and says how it ended."""
        process.send_signal(number)
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Failed("the server did not end within 30 s of the signal") from None


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
