#!/usr/bin/env python3
"""At each system call of the process's copy that writes a snapshot, the copy is killed, or the program, or both: what was
there before stays, no file is half a snapshot, no temporary file stays; the program outlives its copy and is told.

usage: killed_test.py INJECT WALK LIBRARY TIDEMARK [--all]"""
import signal
import time

from harness import EVERYTHING, Judge, Run, has_unnamed_files, some_of

KILLED = 128 + signal.SIGKILL


def wrong(run):
    """None, or what must not be."""
    if run.injected == 0:
        return None if run.status == 0 else f'exit status {run.status}, though nothing was done to it'
    if 'caller' in run.label:
        return run.wrong()
    # The copy may come to its end after the program that it is made of.
    return run.wrong_files() or (None if run.status == KILLED else f'exit status {run.status}')


def main():
    seed = int(time.time()) // 86400
    print(f'seed {seed}')
    if not has_unnamed_files():
        print('files without a name are not to be had here: where all are killed, a temporary one stays')
    judge = Judge()
    for settings in ('', ',sites=all') if EVERYTHING else ('',):
        calls = Run('snapshot', (), settings).counts['others']
        for whom in ('caller', 'first', 'all') if has_unnamed_files() else ('caller', 'first'):
            numbers = some_of(calls, 60, f'{seed}{whom}')
            judge.all((('snapshot', ('--kill', f'{whom}:{number}'), settings) for number in numbers), wrong)
        print(f'{calls} calls of copies; {judge.runs} runs so far', flush=True)
    judge.end()


if __name__ == '__main__':
    main()
