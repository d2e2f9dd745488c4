"""For the tests here: the program `walk` under the injector, and what it may leave behind. The script that imports this
is called with the paths of the injector, of `walk`, of the library and of the command, and perhaps --all."""
import concurrent.futures
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

INJECT, WALK, LIBRARY, TIDEMARK = map(os.path.abspath, sys.argv[1:5])
EVERYTHING = '--all' in sys.argv[5:]
SETUP_EXIT = 125
SKIPPED = 77
HEADER = struct.Struct('<8sIIII')
SECTION = struct.Struct('<4sIQ')
END = struct.Struct('<II')


def is_whole(path):
    """Whether the file is a whole snapshot: every section, the end mark, the checksum over all before."""
    with open(path, 'rb') as file:
        data = file.read()
    if data[:8] != b'TIDEMARK' or len(data) < HEADER.size:
        return False
    at = struct.unpack_from('<I', data, 12)[0]
    sections = 0
    while at + SECTION.size <= len(data):
        tag, _, size = SECTION.unpack_from(data, at)
        if tag == b'END!':
            if at + SECTION.size + size != len(data):
                return False
            crc, count = END.unpack_from(data, at + SECTION.size)
            return count == sections and crc == zlib.crc32(data[:at])
        at += SECTION.size + (size + 7) // 8 * 8
        sections += 1
    return False


def has_unnamed_files():
    """Whether the file system of temporary directories has files without a name, of which nothing stays."""
    try:
        os.close(os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR))
        return True
    except OSError:
        return False


def section(path, tag):
    """The content of a section of a whole snapshot."""
    with open(path, 'rb') as file:
        data = file.read()
    at = struct.unpack_from('<I', data, 12)[0]
    while True:
        found, _, size = SECTION.unpack_from(data, at)
        if found == tag:
            return data[at + SECTION.size:at + SECTION.size + size]
        at += SECTION.size + (size + 7) // 8 * 8


class Run:
    """One run of `walk` with its own directory for snapshots; what went wrong with it, if anything."""

    OLD = 'of an earlier process'

    def __init__(self, part, options=(), settings='', seed=1, look=None):
        """look: called with the path of each whole snapshot before it is removed; what it found is in `seen`."""
        self.label = f'walk {seed} {part} under inject {" ".join(options)} {settings}'
        self.directory = tempfile.mkdtemp(prefix='tidemark-test-')
        counts = os.path.join(self.directory, 'counts')
        snapshots = os.path.join(self.directory, 'out')
        os.mkdir(snapshots)
        old = os.path.join(snapshots, '1.heap')
        with open(old, 'w') as file:
            file.write(self.OLD)
        command = [INJECT, '--limit', '60', '--counts', counts, '--env', f'LD_PRELOAD={LIBRARY}',
                   '--env', f'TIDEMARK=out={snapshots}/%n.heap{settings}', *options, '--', WALK, str(seed), part]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.status, self.output, self.errors = done.returncode, done.stdout, done.stderr
            self.counts = {}
            if os.path.exists(counts):
                with open(counts) as file:
                    self.counts = {kind: int(number) for kind, number in map(str.split, file)}
            with open(old) as file:
                self.old_stands = file.read() == self.OLD
            os.remove(old)
            self.whole, self.other = [], []
            for name in sorted(os.listdir(snapshots)):
                path = os.path.join(snapshots, name)
                (self.whole if is_whole(path) else self.other).append(path)
            self.seen = [look(path) for path in self.whole] if look else []
        finally:
            shutil.rmtree(self.directory)
        if self.status == SETUP_EXIT:
            print(self.errors + 'skipped: without ptrace nothing can be injected')
            sys.exit(SKIPPED)

    @property
    def injected(self):
        return self.counts.get('injected', 0)

    def wrong_files(self):
        """The same, of the files that are left, however the program ended."""
        if not self.old_stands:
            return 'a file that was there before is another now'
        return f'a file that is no whole snapshot: {self.other}' if self.other else None

    def wrong(self):
        """None, or what must not be."""
        said = [line[len('written '):] for line in self.output.splitlines() if line.startswith('written ')]
        if self.status != 0:
            return f'exit status {self.status}'
        wrong = self.wrong_files()
        if wrong is not None:
            return wrong
        if 'killed by signal' in self.errors and '--kill' not in self.label:
            return 'the copy of the process crashed'
        if sorted(said) != self.whole:
            return f'the program was told of {said}, the files are {self.whole}'
        silent = any(f'write:{error}:' in self.label for error in ('ENOSPC', 'EIO'))
        if self.output.count('failed\n') > self.errors.count('tidemark: snapshot not written: ') and not silent:
            return 'a snapshot failed and no line says why'
        return None


class Judge:
    """Runs that are made several at a time, and their failures."""

    def __init__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1))
        self.runs = self.injected = 0
        self.failures = []

    def judge(self, run, wrong):
        self.runs += 1
        self.injected += run.injected
        if wrong is not None:
            self.failures.append(f'{run.label}: {wrong}\n{run.output[-500:]}{run.errors[-1500:]}')

    def all(self, runs, wrong=Run.wrong):
        """`runs`: argument tuples of Run."""
        for run in self.pool.map(lambda arguments: Run(*arguments), runs):
            self.judge(run, wrong(run))

    def end(self):
        for failure in self.failures[:40]:
            print('FAILED', failure)
        print(f'{self.runs} runs, {self.injected} faults injected, {len(self.failures)} runs failed')
        if self.injected == 0:
            sys.exit('no fault was injected: the test tested nothing')
        sys.exit(1 if self.failures else 0)


def some_of(count, wanted, seed):
    """`wanted` of the numbers from 1 to `count`, or all of them."""
    if EVERYTHING or count <= wanted:
        return range(1, count + 1)
    return sorted(random.Random(seed).sample(range(1, count + 1), wanted))
