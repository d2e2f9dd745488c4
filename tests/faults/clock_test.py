#!/usr/bin/env python3
"""Every reading of a clock is wrong, by up to an hour in either direction: the program runs on, and what a snapshot says
of times is no nonsense: nothing lasted longer than the clock jumped, the timeline runs forwards, the command reads it.

usage: clock_test.py INJECT WALK LIBRARY TIDEMARK [--all]"""
import struct
import subprocess

from harness import EVERYTHING, TIDEMARK, Judge, Run, section

PARTS = ['mix', 'chunks', 'mappings', 'threads', 'forks', 'trims', 'record', 'snapshot']
MOST_NS = 3 * 3600 * 10**9
PROCESS = struct.Struct('<2i4I8Q')
MOMENT = struct.Struct('<6Q')


def look(path):
    """None, or what is nonsense."""
    values = PROCESS.unpack_from(section(path, b'PROC'))
    since_start, pause, walk = values[7], values[11], values[12]
    times = [moment[0] for moment in MOMENT.iter_unpack(section(path, b'TIME'))]
    if max(since_start, pause, walk, *times) > MOST_NS:
        return f'since start {since_start}, pause {pause}, walk {walk}, timeline {times}'
    if times != sorted(times):
        return f'the timeline runs backwards: {times}'
    done = subprocess.run([TIDEMARK, 'report', path], capture_output=True, text=True)
    return None if done.returncode == 0 else f'tidemark report: exit status {done.returncode}: {done.stderr}'


def wrong(run):
    """None, or what must not be."""
    return run.wrong() or next((found for found in run.seen if found is not None), None)


def main():
    judge = Judge()
    for settings in ('', ',sites=all,timeline=1ms', ',sites=sample,rate=16K'):
        for part in PARTS:
            judge.all(((part, ('--clock', str(seed)), settings, seed, look)
                       for seed in range(1, 40 if EVERYTHING else 2)), wrong)
    judge.all((('snapshot', ('--clock', str(seed)), ',sites=all,timeline=1ms', seed, look)
               for seed in range(100, 600 if EVERYTHING else 115)), wrong)
    judge.end()


if __name__ == '__main__':
    main()
