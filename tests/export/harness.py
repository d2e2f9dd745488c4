"""Runs the program of these tests under the library, once for each test file, and tells what `tidemark report --json` says of
its snapshot, so that what a tool reads in an export can be compared with it. The scripts that import this are called with
the paths of the command, the library and the program.
"""
import atexit
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

TIDEMARK, LIBRARY, PROGRAM = map(os.path.abspath, sys.argv[1:4])
DIRECTORY = tempfile.mkdtemp(prefix='tidemark-export-')
atexit.register(shutil.rmtree, DIRECTORY)
SKIP = 77
FIGURES = ['live', 'held', 'sole', 'peak', 'allocated', 'temporary']


def need(tool, package):
    """The path of a tool, or of a file of it; without it the test is skipped."""
    for directory in os.environ.get('PATH', '').split(':') + ['/usr/bin', '/usr/libexec/valgrind']:
        if os.path.isfile(os.path.join(directory, tool)):
            return os.path.join(directory, tool)
    print(f'skipped: {tool} is not installed (Debian package {package})')
    sys.exit(SKIP)


def clean_environment():
    return {key: value for key, value in os.environ.items() if key not in ('LD_PRELOAD', 'TIDEMARK')}


def run(*command, status=0, **more):
    """What a command printed; it must end with that status."""
    done = subprocess.run(command, capture_output=True, text=True, errors='replace', timeout=100, check=False,
                          **{'env': clean_environment(), **more})
    if done.returncode != status:
        raise AssertionError(f'{command} ended with {done.returncode}: {done.stderr}')
    return done


def snapshot(settings, *program):
    """Path of the snapshot that a program writes at its end."""
    path = tempfile.mktemp(dir=DIRECTORY, suffix='.heap')
    run(*(program or [PROGRAM]), env={**clean_environment(), 'LD_PRELOAD': LIBRARY,
                                      'TIDEMARK': f'out={path},exit=snapshot,{settings}'})
    return path


def export(form, path, *options):
    """Path of an export."""
    out = tempfile.mktemp(dir=DIRECTORY, suffix='.' + form)
    run(TIDEMARK, 'export', '--format', form, '--output', out, *options, path)
    return out


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


class Stack:
    """A stack of the report: functions, the innermost first, and figures as `tidemark export` rounds them."""

    def __init__(self, site, extra_held):
        self.frames = site['frames']
        self.names = tuple(name_of(frame) for frame in site['frames']) or ('[not recorded]',)
        self.live = site['live']['bytes']
        self.held = site['held_share']['bytes'] + (extra_held if not site['recorded'] else 0)
        self.sole = site['sole_pin']['bytes']
        self.peak = site['peak_bytes']
        self.allocated = site['allocated']['bytes']
        self.temporary = half_up(site['temporary_blocks'])
        self.live_blocks = blocks(site['live_blocks'], self.live)
        self.peak_blocks = blocks(site['peak_blocks'], self.peak)
        self.allocated_blocks = blocks(site['allocated_blocks'], self.allocated)

    def figure(self, name):
        return getattr(self, name)


def half_up(value):
    return int(value + 0.5)


def blocks(count, size):
    return max(half_up(count), 1 if size > 0 else 0)


def name_of(frame):
    """As in an export: no control characters, UTF-8 only, not longer than 512 bytes."""
    if 'function' not in frame:
        module = os.path.basename(frame.get('module', ''))
        return f"{module}+{frame['module_offset']}" if module else frame['address']
    name = frame['function'].replace('\ufffd', '?')
    return name if len(name) <= 509 else name[:509] + '...'


class Report:
    def __init__(self, path):
        self.json = json.loads(run(TIDEMARK, 'report', '--json', '--group', 'stack', path).stdout)
        held = self.json['held']
        extra = held['older_pools_bytes'] + held['unchosen_sizes_bytes']
        self.stacks = [Stack(site, extra) for site in self.json['sites']]

    def total(self, figure):
        return sum(stack.figure(figure) for stack in self.stacks)

    def by_stack(self, figure):
        """Sums by names, the innermost first; of stacks that have any."""
        sums = collections.Counter()
        for stack in self.stacks:
            sums[stack.names] += stack.figure(figure)
        return {names: value for names, value in sums.items() if value > 0}

    def by_function(self, figure):
        """Sums by the innermost function."""
        sums = collections.Counter()
        for stack in self.stacks:
            sums[stack.names[0]] += stack.figure(figure)
        return {name: value for name, value in sums.items() if value > 0}


# What shapes.c and names.c allocate from.
SITES = ['at_small', 'at_shared', 'at_shared_too', 'at_large', 'at_inlined', 'at_temporary', "at hard;name#1 'x?y",
         'at_long_' + 'n' * 501 + '...']


def check_report(case, report):
    """That the figures compared are those of the program, and not all zero."""
    live = report.by_function('live')
    temporary = report.by_function('temporary')
    for site in SITES:
        case.assertTrue(live.get(site) or temporary.get(site), site)
    for figure in FIGURES:
        case.assertGreater(report.total(figure), 0, figure)
