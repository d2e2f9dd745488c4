"""For the tests here: processes that run under the library, and the commands that look at them. The script that imports
this is called with the paths of the command and of the library."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable
LINK = '/memfd:tidemark-live (deleted)'
CALLS = {'fcntl': 72, 'ftruncate': 77, 'getpid': 39, 'memfd_create': 319, 'openat': 257, 'prctl': 157,
         'process_vm_readv': 310}

# What a process does whose heap is to be looked at: 100,000 blocks of which one in ten stays, and large ones.
SWELL = """
import time
blocks = [bytes(300) for _ in range(100000)]
blocks = blocks[::10]
large = bytearray(b"x") * (20 << 20)
time.sleep(0.3)  # then what moves pages tells of all that was before
small = bytearray(b"x") * (100 << 10)
"""


def filter_calls(action, *names):
    """Installs a seccomp filter in this process: 'kill' or 'refuse' for these system calls."""
    libc = ctypes.CDLL(None)
    verdict = {'kill': 0x80000000, 'refuse': 0x50000 | 1}[action]

    def step(code, true, false, value):
        return struct.pack('<HBBI', code, true, false, value)
    code = step(0x20, 0, 0, 0)
    for name in names:
        code += step(0x15, 0, 1, CALLS[name]) + step(6, 0, 0, verdict)
    code += step(6, 0, 0, 0x7fff0000)
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack('<HxxxxxxQ', len(code) // 8, ctypes.addressof(buffer)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
    assert libc.prctl(22, 2, program) == 0  # PR_SET_SECCOMP


class WithTargets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Copies where any user may read them."""
        cls.directory = tempfile.mkdtemp(prefix='tidemark-test-')
        os.chmod(cls.directory, 0o755)
        cls.command, cls.library = (shutil.copy(path, cls.directory) for path in sys.argv[1:3])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def setUp(self):
        self.children = []

    def tearDown(self):
        for child in self.children:
            inner = children_of(child.pid)
            child.kill()
            for pid in inner:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.communicate()

    def start(self, *command, settings='', **options):
        out = os.path.join(self.directory, '%e.%p.%n.heap')
        environment = dict(os.environ, LD_PRELOAD=self.library, TIDEMARK=f'out={out}{settings}', PYTHONMALLOC='malloc')
        child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, **options)
        self.children.append(child)
        return child

    def start_python(self, code, settings='', **options):
        """A process that has done what the code says, and waits for a line on stdin to do the rest."""
        child = self.start(PYTHON, '-c', 'import os, sys, time\n' + code +
                           '\nprint("ready", flush=True)\nwhile True: time.sleep(1)', settings=settings, **options)
        line = child.stdout.readline()
        self.assertEqual(line, 'ready\n', line or child.stderr.read())
        return child

    def tidemark(self, *arguments, expect=0, **options):
        done = subprocess.run([self.command, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              check=False, **options)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        if expect != 0:
            self.assertTrue(done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def look(self, **options):
        """The processes as `top --json` has them, by pid."""
        found = json.loads(self.tidemark('top', '--json', '--interval', '0.1', **options))
        self.denied = found['processes_denied']
        return {process['pid']: process for process in found['processes']}

    def look_until(self, is_so, seconds=10, **options):
        deadline = time.monotonic() + seconds
        while True:
            found = self.look(**options)
            if is_so(found):
                return found
            self.assertLess(time.monotonic(), deadline, found)
            time.sleep(0.05)


def children_of(pid):
    """All below it."""
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            inner = [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []
    return inner + [pid for child in inner for pid in children_of(child)]


def page_descriptors(pid):
    """The descriptors of its page, as numbers."""
    found = []
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            if os.readlink(f'/proc/{pid}/fd/{name}') == LINK:
                found.append(int(name))
        except OSError:
            pass
    return found


def main():
    unittest.main(argv=sys.argv[:1])
