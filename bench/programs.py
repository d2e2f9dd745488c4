"""The real programs of the section `times`: where Debian puts them, their inputs, and their command lines.

Inputs are written into the run's directory, the same for the same scale. Each program writes its result to stdout, so
that its digest can be compared. Python is run with PYTHONMALLOC=malloc, so that the allocator serves every object
and CPython's own pools do not stand between; cc1 is run itself, without gcc's driver; clang compiles in its first process.
"""

import glob
import os

import inputs
from launch import Missing
from redis_server import Redis
from work import Work

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PYTHON_ENVIRONMENT = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def debian(pattern, package):
    """The file that matches, the last of several, or Missing."""
    files = sorted(glob.glob(pattern))
    if not files:
        raise Missing(f"no {pattern} (Debian package {package})")
    return files[-1]


def written(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def script(name):
    return os.path.join(HERE, name)


def python(load):
    def make(directory, scale):
        return {"command": [debian("/usr/bin/python3", "python3"), script(f"python_{load}.py"), scale],
                "environment": PYTHON_ENVIRONMENT}
    return make


def gcc(directory, scale):
    source = written(directory, "gcc.i", inputs.c_source(scale * 0.6))
    return {"command": [debian("/usr/lib/gcc/*-linux-gnu/*/cc1", "gcc"), "-fpreprocessed", "-quiet", "-O2", source,
                        "-o", "-"]}


def clang(directory, scale):
    source = written(directory, "clang.i", inputs.c_source(scale * 0.6))
    return {"command": [debian("/usr/bin/clang", "clang"), "-O1", "-S", "-x", "cpp-output", source, "-o", "-"]}


def sqlite(directory, scale):
    with open(script("orders.sql"), encoding="utf-8") as file:
        text = file.read().replace("@ROWS@", str(max(1, round(220000 * scale))))
    return {"command": [debian("/usr/bin/sqlite3", "sqlite3"), ":memory:"],
            "stdin": written(directory, "orders.sql", text)}


def lua(directory, scale):
    return {"command": [debian("/usr/bin/lua5.4", "lua5.4"), script("tables.lua"), scale]}


def z3(directory, scale):
    return {"command": [debian("/usr/bin/z3", "z3"), written(directory, "jobs.smt2", inputs.z3_problem(scale))]}


def ghostscript(directory, scale):
    return {"command": [debian("/usr/bin/gs", "ghostscript"), "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=bit",
                        "-r100", f"-dPAGES={max(1, round(70 * scale))}", "-sOutputFile=-", script("pages.ps")]}


def perl(directory, scale):
    return {"command": [debian("/usr/bin/perl", "perl"), script("words.pl"), scale],
            "environment": {"PERL_HASH_SEED": "0"}}


PROGRAMS = (
    ("python-records", python("records"), True),
    ("python-text", python("text"), False),
    ("python-trees", python("trees"), True),
    ("python-tasks", python("tasks"), False),
    ("python-tables", python("tables"), False),
    ("gcc", gcc, True),
    ("clang", clang, False),
    ("sqlite", sqlite, True),
    ("lua", lua, True),
    ("perl", perl, False),
    ("z3", z3, False),
    ("ghostscript", ghostscript, False),
)


def programs(directory, scale, wanted):
    """(Work for each program that is installed and wanted, lines about those left out)"""
    found, left_out = [], []
    for name, make, quick in PROGRAMS:
        if not wanted(name, quick):
            continue
        try:
            found.append(Work(name, "program", quick=quick, **make(directory, scale)))
        except Missing as reason:
            left_out.append(f"{name} is left out: {reason}")
    if wanted("redis", True):
        try:
            found.append(Redis(debian("/usr/bin/redis-server", "redis-server"),
                               debian("/usr/bin/redis-benchmark", "redis-tools"),
                               debian("/usr/bin/redis-cli", "redis-tools"), scale))
        except Missing as reason:
            left_out.append(f"redis is left out: {reason}")
    return found, left_out
