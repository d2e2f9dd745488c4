"""Redis' own tests, from its source package, with the server that is installed; each unit in a tree of its own.

The units are those that the source's list names, without the ones that take minutes by waiting (replication links that
time out, fuzzing for a fixed time).
"""

import os
import re
import shutil
import threading

import sources
from suite import Result, command, fresh, judge, tool

NAME = "redis"
TITLE = "redis' own tests"
EXECUTABLES = [os.path.basename(os.path.realpath(shutil.which("redis-server") or "redis-server"))]  # Debian has links
FULL = False
JUDGED = {}
LIMIT = 900
PROGRAMS = ["redis-server", "redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb", "redis-sentinel"]
LONG = ["integration/corrupt-dump-fuzzer", "integration/replication-2", "integration/replication-3", "integration/replication-4",
        "integration/replication-psync", "integration/psync2", "integration/psync2-pingoff", "integration/psync2-reg",
        "integration/block-repl", "integration/failover"]
PORTS = 400  # for one unit
FIRST_PORT, LAST_PORT = 12000, 22000
next_port = FIRST_PORT
port_lock = threading.Lock()


def prepare(work):
    tool("redis-server")
    tool("tclsh8.6")
    sources.tree(work, "redis")


def items(work):
    with open(os.path.join(sources.tree(work, "redis"), "tests", "test_helper.tcl"), encoding="utf-8") as file:
        names = re.search(r"set ::all_tests \{(.*?)\}", file.read(), re.DOTALL).group(1).split()
    return [name for name in names if name not in LONG]


def quick(everything):
    return [name for name in everything if name in ("unit/dump", "unit/type/hash", "unit/type/list-3", "unit/lazyfree", "unit/sort",
                                                    "unit/scripting", "integration/rdb")]


def ports():
    """The first of PORTS ports that no other unit has; the cluster bus takes those 10,000 above."""
    global next_port
    with port_lock:
        first = next_port
        next_port = first + PORTS if first + 2 * PORTS < LAST_PORT else FIRST_PORT
        return first


def once(run, work, item):
    place = fresh(run, item)
    os.mkdir(os.path.join(place, "src"))
    tree = sources.tree(work, "redis")
    shutil.copytree(os.path.join(tree, "tests"), os.path.join(place, "tests"))
    os.makedirs(os.path.join(place, "tests", "tmp"), exist_ok=True)
    for name in ("runtest", "redis.conf", "sentinel.conf", "utils", "deps"):
        os.symlink(os.path.join(tree, name), os.path.join(place, name))
    for name in PROGRAMS:
        if shutil.which(name):
            os.symlink(shutil.which(name), os.path.join(place, "src", name))
    status, text = command(run, ["./runtest", "--single", item, "--clients", "1", "--baseport", str(ports()), "--portcount", str(PORTS)],
                           place, LIMIT)
    result = Result()
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if found := re.match(r"\[ok\]: (.*?)( \(\d+ ms\))?$", line):
            result.ran += 1
        elif found := re.match(r"\[err\]: (.*?) in tests/", line):
            result.ran += 1
            result.failed.add(found.group(1))
        elif line.startswith("[exception]"):
            result.failed.add(re.sub(r"\d+", "N", line)[:120])
    shutil.rmtree(place, ignore_errors=True)
    return judge(result, status, text, LIMIT)
