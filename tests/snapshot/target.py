"""For the tests of the command here: processes that run under the library, and `tidemark` asked about them. The script
that imports this is called with the paths of the command and of the library."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TIDEMARK, LIBRARY = map(os.path.abspath, sys.argv[1:3])
PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable

# Makes process_vm_readv fail with EPERM and becomes the command in its arguments.
WITHOUT_MEMORY = r'''
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
F = lambda c, t, f, k: struct.pack("<HBBI", c, t, f, k)
code = F(0x20, 0, 0, 0) + F(0x15, 0, 1, 310) + F(6, 0, 0, 0x50000 | 1) + F(6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(code)
program = struct.pack("<HxxxxxxQ", 4, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program)) == 0
os.execv(sys.argv[1], sys.argv[1:])
'''


def sections(path):
    """The sections of a snapshot by their tags."""
    found = {}
    with open(path, 'rb') as file:
        data = file.read()
    at = struct.unpack_from('<I', data, 12)[0]
    while at < len(data):
        tag, _, size = struct.unpack_from('<4sIQ', data, at)
        found[tag.decode()] = data[at + 16:at + 16 + size]
        at += 16 + (size + 7) // 8 * 8
    return found


def settings_in(path):
    """The configuration that a snapshot carries."""
    return dict(line.split('=', 1) for line in sections(path)['CONF'].decode().splitlines())


class WithTargets(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='tidemark-test-')
        self.children = []

    def tearDown(self):
        for child in self.children:
            child.kill()
            child.communicate()
        shutil.rmtree(self.directory)

    def start(self, *command, settings='', library=LIBRARY, **options):
        environment = dict(os.environ, TIDEMARK=f'out={self.directory}/%e.%p.%n.heap{settings}')
        if library:
            environment['LD_PRELOAD'] = library
        child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True, **options)
        self.children.append(child)
        return child

    def start_python(self, code, settings=''):
        child = self.start(PYTHON, '-c', 'import time, signal, sys\n' + code +
                           '\nprint("ready", flush=True)\nwhile True: time.sleep(1)', settings=settings)
        self.assertEqual(child.stdout.readline(), 'ready\n')
        return child

    def start_sleep(self, settings='', library=LIBRARY, **options):
        child = self.start('sleep', '1000', settings=settings, library=library, **options)
        self.wait_asleep(child, library)
        return child

    def wait_asleep(self, child, library):
        deadline = time.monotonic() + 10
        while not self.is_up(child, library):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    @staticmethod
    def is_up(child, library):
        with open(f'/proc/{child.pid}/wchan') as file:
            where = file.read()
        return 'nanosleep' in where

    def tidemark(self, *arguments, expect=0):
        done = subprocess.run([TIDEMARK, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        if expect != 0:
            self.assertTrue(done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def tidemark_without_memory(self, *arguments):
        """The command where ptrace is not permitted. A seccomp filter plays that part."""
        done = subprocess.run([PYTHON, '-c', WITHOUT_MEMORY, TIDEMARK, *map(str, arguments)],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout
