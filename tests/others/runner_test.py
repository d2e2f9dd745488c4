#!/usr/bin/env python3
"""The runner of others' suites tells what fails only with the library from what fails anyway, and from what is flaky.

usage: runner_test.py LIBRARY. A suite made for it has items each of which fails in a way of its own; what compare.py
makes of them is looked at.
"""

import os
import sys
import types

import compare
from compare import Comparison, difference
from suite import Result, command, judge

REPEATED = 1  # how often what differs is repeated here
IF_LOADED = 'grep -q libtidemark /proc/$$/maps && '
ITEMS = {
    "passes": "true",
    "fails in both": "exit 1",
    "fails preloaded": IF_LOADED + "exit 3; exit 0",
    "dies preloaded": IF_LOADED + "kill -SEGV $$; exit 0",
    "hangs preloaded": IF_LOADED + "sleep 1000; exit 0",
    "says preloaded": IF_LOADED + "echo tidemark: said so; exit 0",
    "fails in full": 'test "$TIDEMARK" != check=full',
    "is judged": IF_LOADED + "exit 4; exit 0",
    "is flaky": IF_LOADED + "{ test -e FLAG || { touch FLAG; exit 5; }; }; exit 0",
}
EVERY = {"fails preloaded", "dies preloaded", "hangs preloaded", "says preloaded"}


def once(run, work, item):
    limit = 5 if item == "hangs preloaded" else 60
    flag = os.path.join(work, run.environment.get("TIDEMARK", "default"))
    status, text = command(run, ["/bin/sh", "-c", ITEMS[item].replace("FLAG", flag)], run.directory, limit)
    result = judge(Result(ran=1), status, text, limit)
    if item == "is judged":
        result.failed = {"a judged case"} if result.failed else set()
    return result


def expect(what, condition, found):
    if not condition:
        sys.exit(f"wrong: {what}; found: {found}")


def results():
    """How two results differ, without running anything."""
    for what, without, preloaded, wanted in (
            ("the same failures", Result(2, {"a"}), Result(2, {"a"}), set()),
            ("one failure more", Result(2, {"a"}), Result(2, {"a", "b"}), {"b"}),
            ("one failure less", Result(2, {"a", "b"}), Result(2, {"a"}), set()),
            ("fewer cases", Result(9), Result(7), {"(ran 7 of 9)"}),
            ("skipped", Result(1), Result(0, skipped="why"), {"(skipped: why)"}),
            ("skipped in both", Result(0, skipped="why"), Result(0, skipped="why"), set()),
            ("another output", Result(1, made="x"), Result(1, made="y"), {"(made y instead of x)"})):
        found = difference(without, preloaded)
        expect(f"{what}: should be {wanted}", found == wanted, found)


def main():
    library = os.path.abspath(sys.argv[1])
    compare.REPEATS = REPEATED
    results()
    suite = types.SimpleNamespace(NAME="made", JUDGED={"a judged case": "on purpose"}, once=once)
    comparison = Comparison(suite, None, library, [None, "check=full"], 2)
    comparison.work = comparison.runs[0].directory
    outcomes = comparison.run(list(ITEMS), [])
    for setting, wanted in ((None, EVERY), ("check=full", EVERY | {"fails in full"})):
        outcome = outcomes[setting]
        expect(f"{setting}: failures should be those of {wanted}", {item for item, _ in outcome.only} == wanted, outcome.only)
        expect("each item fails in one way", len(outcome.only) == len(wanted), outcome.only)
        expect("one item fails in both", [item for item, _ in outcome.both] == ["fails in both"], outcome.both)
        expect("one is judged", [item for item, _, _ in outcome.judged] == ["is judged"], outcome.judged)
        expect("one is flaky", [item for item, _ in outcome.flaky] == ["is flaky"], outcome.flaky)
    outcome = Comparison(suite, None, library, [None], 1).run(["passes"], ["none-of-this-name"])[None]
    expect("a program that never ran preloaded is told", [item for item, _ in outcome.only] == ["all"], outcome.only)
    print("right: failures, deaths, hangs, output, judged and flaky items are told apart")


if __name__ == "__main__":
    main()
