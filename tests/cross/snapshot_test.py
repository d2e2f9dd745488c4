#!/usr/bin/env python3
"""A program of another machine, or of another C library, under the library that was built for it: it allocates, takes a
snapshot of itself, and the report tells what it did.

usage: snapshot_test.py --library LIBRARY --program PROGRAM --command COMMAND [--emulator EMULATOR] [--callers]
    COMMAND     the command tidemark; under the emulator, too
    --callers   no unwinder is there: who called malloc is all that is known of a stack
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

BLOCKS, BLOCK = 1000, 1000  # as in target.c
STACK = ["innermost", "in_the_middle", "outermost", "main"]


def check(what, good):
    if not good:
        sys.exit(f"snapshot_test: not true: {what}")


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != 0 or "tidemark:" in done.stderr or "ERROR" in done.stderr:
        sys.exit(f"snapshot_test: {' '.join(command)}: exit status {done.returncode}; it said:\n{done.stdout}{done.stderr}")
    return done.stdout


def check_report(report, callers):
    check(f"the rows of the ledger sum to {report['rss_bytes']} bytes",
          sum(row["bytes"] for row in report["ledger"]) == report["rss_bytes"])
    live = sum(row["bytes"] for row in report["ledger"] if row["group"] == "live")
    check(f"{live} bytes are live, {BLOCKS * BLOCK} or a little more", BLOCKS * BLOCK <= live < BLOCKS * BLOCK * 3 // 2)
    site = next((site for site in report["sites"] if site.get("function") == STACK[0]), None)
    check(f"there is a site {STACK[0]} among {[site.get('name') for site in report['sites']]}", site)
    check(f"{site['live_blocks']} blocks are its", site["live_blocks"] == BLOCKS)
    names = [frame.get("function") for frame in site["frames"]]
    expected = STACK[:1] if callers else STACK
    check(f"its stack {names} begins with {expected}", names[:len(expected)] == expected)
    # One stack, however often it came by.
    check(f"{report['recording']['frames']} frames are in the table", report["recording"]["frames"] < 100)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--library", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--emulator")
    parser.add_argument("--callers", action="store_true")
    options = parser.parse_args()
    library = os.path.abspath(options.library)
    with tempfile.TemporaryDirectory(prefix="tidemark-cross.") as directory:
        environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "LD_LIBRARY_PATH")}
        settings = dict(environment, TIDEMARK=f"sites=all,out={directory}/%n.heap")
        command = [os.path.abspath(options.command), "report", "--json"]
        program = [os.path.abspath(options.program)]
        if options.emulator:
            program = [options.emulator, "-E", f"LD_PRELOAD={library}", *program]
            command = [options.emulator, *command]
        else:
            settings["LD_PRELOAD"] = library
        path = run(program, settings).strip()
        check(f"the snapshot {path} lies in {directory}", path.startswith(directory))
        check_report(json.loads(run([*command, path], environment)), options.callers)


if __name__ == "__main__":
    main()
