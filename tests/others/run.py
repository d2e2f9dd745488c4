#!/usr/bin/python3
"""The test suites of other projects fail where they fail without libtidemark.so, and nowhere else.

`run.py --lib PATH.so [--quick] [--only NAME ...]` runs each suite without the library and with it, those that are cheap
under check=full, too, and shows what fails only with it. README.md beside this file tells what each suite is.
"""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import suite_cpython
import suite_gcc
import suite_perl
import suite_redis
import suite_sqlite
import suite_stress_ng
from compare import Comparison
from suite import Skipped

SUITES = {suite.NAME: suite for suite in (suite_perl, suite_stress_ng, suite_gcc, suite_sqlite, suite_redis, suite_cpython)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", required=True, metavar="PATH.so", help="the library to preload")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(SUITES), help=f"just these of: {' '.join(SUITES)}")
    parser.add_argument("--quick", action="store_true", help="a slice of each, some minutes in all")
    parser.add_argument("--items", nargs="+", metavar="ITEM", help="just these files or units of the suite (with --only)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th item of what would be run")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="N", help="no new item after so long, for each suite")
    parser.add_argument("--check", choices=["fast", "full", "both"], help="settings to try (default: as the suite has it)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="items at once (default: processors)")
    parser.add_argument("--work", metavar="DIR", help="where sources are kept (default: others-work beside the library)")
    parser.add_argument("--json", metavar="FILE", help="writes the results there")
    options = parser.parse_args()
    if not os.path.exists(options.lib):
        parser.error(f"--lib {options.lib}: there is no such file; build it with: meson compile -C build")
    if options.items and len(options.only or []) != 1:
        parser.error("--items needs --only with the one suite whose items they are")
    if options.every < 1 or options.jobs < 1:
        parser.error(f"--every {options.every} --jobs {options.jobs}: both are at least 1")
    return options


def chosen(suite, options, work):
    everything = suite.items(work)
    if options.items:
        for item in options.items:
            if item not in everything:
                sys.exit(f"run.py: {suite.NAME} has no item '{item}'; it has, for example: {' '.join(everything[:5])}")
        return options.items
    first = suite.quick(everything)
    # The slice comes first: a run that is cut short by --minutes has seen it.
    return (first if options.quick else first + [item for item in everything if item not in set(first)])[::options.every]


def show(name, setting, wanted, outcome, seconds):
    verdict = "failed" if outcome.only else "passed"
    print(f"{verdict:8}{name:10}{setting or 'default':12}{outcome.items:5} of {wanted} items {outcome.ran:7} ran {len(outcome.both):4} failed in both "
          f"{len(outcome.only):3} only preloaded {len(outcome.judged):3} judged {len(outcome.flaky):3} flaky {seconds:6.0f} s", flush=True)
    for item, case in outcome.only:
        print(f"    only preloaded: {item}: {case}")
    for item, case, why in outcome.judged:
        print(f"    judged: {item}: {case}: {why}")
    for item, cases in outcome.flaky:
        print(f"    flaky, the same when repeated: {item}: {'; '.join(cases[:3])}", flush=True)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    library = os.path.abspath(options.lib)
    work = os.path.abspath(options.work or os.path.join(os.path.dirname(library), "others-work"))
    os.makedirs(work, exist_ok=True)
    total = {"passed": 0, "failed": 0, "skipped": 0}
    report = []
    for name, suite in SUITES.items():
        if options.only and name not in options.only:
            continue
        start = time.monotonic()
        try:
            suite.prepare(work)
            items = chosen(suite, options, work)
            if not items:
                raise Skipped("it has no items")
        except Skipped as reason:
            total["skipped"] += 1
            print(f"skipped {name}: {reason}", flush=True)
            continue
        except (OSError, subprocess.SubprocessError) as error:
            total["failed"] += 1
            print(f"failed  {name}: it cannot be made ready: {error}", flush=True)
            continue
        settings = {"fast": [None], "full": ["check=full"], "both": [None, "check=full"],
                    None: [None, "check=full"] if suite.FULL else [None]}[options.check]
        # A few items need not start every program.
        executables = suite.EXECUTABLES[:1] if options.items else suite.EXECUTABLES
        outcomes = Comparison(suite, work, library, settings, options.jobs, options.minutes * 60).run(items, executables)
        for setting, outcome in outcomes.items():
            total["failed" if outcome.only else "passed"] += 1
            show(name, setting, len(items), outcome, time.monotonic() - start)
            report.append({"suite": name, "setting": setting or "", "wanted": len(items),
                           "seconds": round(time.monotonic() - start), **dataclasses.asdict(outcome)})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    sys.exit(1 if total["failed"] else 0)


if __name__ == "__main__":
    main()
