#!/usr/bin/env python3
"""Every system call that the library makes fails in turn, once, and from there on for good, while `walk` goes through all
parts of the allocator and of the recorder and checks every block. The quick run tries a part of the numbers, another
one each day; --all tries each, and many pairs.

usage: calls_test.py INJECT WALK LIBRARY TIDEMARK [--all]"""
import random
import time

from harness import EVERYTHING, Judge, Run, some_of

PARTS = ['mix', 'growth', 'aligned', 'chunks', 'mappings', 'threads', 'forks', 'trims', 'record', 'snapshot']
# kind, errors, whose calls: the C library takes an munmap that fails for a bug of its own, and aborts.
KINDS = [
    ('mmap', ['ENOMEM', 'EAGAIN'], 'all'),
    ('munmap', ['ENOMEM', 'EPERM'], 'library'),
    ('madvise', ['ENOMEM', 'EAGAIN', 'EPERM', 'EINVAL', 'ENOSYS'], 'library'),
    ('mremap', ['ENOMEM', 'ENOSYS'], 'library'),
    ('mprotect', ['ENOMEM'], 'library'),
    ('clone', ['EAGAIN', 'ENOMEM', 'EPERM'], 'all'),
    ('open', ['EMFILE', 'EACCES', 'ENOMEM'], 'all'),
    ('read', ['EIO', 'EINTR'], 'library'),
    ('write', ['ENOSPC', 'EIO', 'EINTR'], 'library'),
    ('close', ['EIO'], 'library'),
    ('rename', ['EIO', 'EPERM', 'EEXIST', 'ENOSYS'], 'library'),
    ('descriptor', ['EMFILE', 'EPERM'], 'library'),
    ('barrier', ['ENOSYS'], 'library'),
    ('copy', ['EPERM', 'ENOSYS'], 'library'),
]
SETTINGS = ['', ',sites=sample,rate=64K', ',sites=all', ',check=full']
WHOSE = {'library': ('--library', 'libtidemark'), 'all': (), 'start': ('--from-start', '--library', 'libtidemark')}
QUICK = 7  # numbers of a kind in a part, at most


def faults_of(part, setting, whose, seed):
    """Arguments of the runs for one part, in which these calls fail."""
    counts = Run(part, WHOSE[whose], setting).counts
    for kind, errors, of_whom in KINDS:
        if of_whom != whose and whose != 'start':
            continue
        for number, error in enumerate(errors):
            for calls in (1, 0):
                if error == 'EINTR' and calls == 0:
                    continue  # means: try again
                # The first error is the one that the kernel gives as a rule.
                wanted = QUICK if number == 0 and calls == 1 else 1
                for nth in some_of(counts.get(kind, 0), wanted, f'{seed}{part}{kind}{error}{calls}'):
                    yield part, (*WHOSE[whose], '--fail', f'{kind}:{error}:{nth}:{calls}'), setting


# A snapshot is written nonetheless: a file gets its name in another way, the copy is not made, nor the thread.
NONETHELESS = ['rename:EPERM:1:1', 'rename:EACCES:1:1', 'rename:ENOSYS:1:2', 'rename:EEXIST:1:3', 'clone:EAGAIN:1:1',
               'clone:EAGAIN:2:1', 'clone:EAGAIN:1:0', 'read:EINTR:3:5', 'write:EINTR:1:3', 'barrier:ENOSYS:1:0']


def wrong_nonetheless(run):
    """None, or what must not be where two snapshots are due."""
    return run.wrong() or (None if len(run.whole) == 2 else f'{run.whole} is not two snapshots')


def pairs_of(part, count, seed):
    """Two kinds of failures at once, at random places."""
    numbers = random.Random(f'{seed}{part}')
    kinds = [kind for kind in KINDS if kind[0] in ('mmap', 'munmap', 'madvise', 'mremap')]
    for _ in range(count):
        options = list(WHOSE['library'])
        for kind, errors, _ in numbers.sample(kinds, 2):
            options += ['--fail', f'{kind}:{errors[0]}:{numbers.randrange(1, 40)}:{numbers.choice([1, 3, 30])}']
        yield part, tuple(options), numbers.choice(SETTINGS)


# Only small or only large requests are refused, as where addresses are in pieces, or the kernel does not overcommit.
SIZES = [('--least', '65536'), ('--least', '1048576'), ('--least', '8388608'), ('--most', '65536'), ('--most', '4096')]


def main():
    seed = int(time.time()) // 86400
    print(f'seed {seed}')
    judge = Judge()
    for part in PARTS:
        start = time.monotonic()
        for setting in SETTINGS if EVERYTHING else [SETTINGS[(PARTS.index(part) + seed) % len(SETTINGS)]]:
            for whose in WHOSE if part == 'snapshot' else ['library', 'all']:
                judge.all(faults_of(part, setting, whose, seed))
        judge.all(pairs_of(part, 300 if EVERYTHING else 4, seed))
        print(f'{part}: {judge.runs} runs so far, this part took {time.monotonic() - start:.1f} s', flush=True)
    judge.all((part, (*WHOSE['library'], *size, '--fail', f'mmap:ENOMEM:{first}:0'), setting)
              for part in PARTS for size in SIZES for first in ((1, 2, 3, 5, 8, 13, 21) if EVERYTHING else (1 + seed % 5,))
              for setting in (SETTINGS if EVERYTHING else SETTINGS[seed % 2:][:1]))
    judge.all((('snapshot', ('--library', 'libtidemark', '--fail', fault)) for fault in NONETHELESS), wrong_nonetheless)
    judge.end()


if __name__ == "__main__":
    main()
