"""Programs that run to an end: each function does the same work in a Run and returns what must not differ."""

import glob
import hashlib
import os

from harness import Failed, Skipped, tool

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def work(name):
    return os.path.join(HERE, "work", name)


def bash(run):
    out = run.run([tool("bash"), work("shell.sh")])
    run.require_loaded("bash")
    return out


def perl(run):
    out = run.run([tool("perl"), work("words.pl")])
    run.require_loaded("perl")
    return out


def sqlite3(run):
    with open(work("tables.sql"), encoding="utf-8") as file:
        out = run.run([tool("sqlite3"), run.path("tables.db")], text=file.read())
    run.require_loaded("sqlite3")
    return out


def python(run):
    out = run.run([PYTHON, work("service.py")], environment={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
    run.require_loaded("python3")
    return out


def python_own_pools(run):
    out = run.run([PYTHON, work("service.py")], environment={"PYTHONHASHSEED": "0"})
    run.require_loaded("python3")
    return out


def python_suite(module):
    """A module of CPython's own test suite: every test and how it ended."""

    def check(run):
        if not glob.glob("/usr/lib/python3*/test/test_dict.py"):
            raise Skipped("libpython3.11-testsuite is not installed")
        out = run.run([PYTHON, work("suite.py"), module],
                      environment={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
        run.require_loaded("python3")
        return out

    check.__doc__ = f"{module} of CPython's test suite, PYTHONMALLOC=malloc"
    return check


def generated_c():
    """About 6,000 lines of C with loops, tables and calls, the same at every call."""
    parts = ["#include <stdint.h>\n#include <stdio.h>\n"]
    for i in range(250):
        cases = "\n".join(f"    case {j}: x = x * {2 * j + 3}u ^ (x >> {j % 31 + 1}); break;" for j in range(16))
        parts.append(f"""struct record_{i} {{ uint32_t a, b[{i % 7 + 1}]; struct record_{i} *next; }};
static uint32_t step_{i}(struct record_{i} *r, uint32_t x)
{{
    switch (x % 16) {{
{cases}
    }}
    for (struct record_{i} *p = r; p != 0; p = p->next)
        x += p->a * p->b[x % {i % 7 + 1}];
    return x{f' + step_{i - 1}(0, x)' if i else ''};
}}
""")
    parts.append("int main(void) { printf(\"%u\\n\", step_249(0, 12345)); return 0; }\n")
    return "".join(parts)


def c_compiler(name, inner):
    def check(run):
        compiler = tool(name)
        run.write("big.c", generated_c())
        result = []
        for level in ("-O0", "-O2"):
            run.run([compiler, level, "-c", "big.c", "-o", "big.o"])
            result.append(digest(run.path("big.o")))
        run.run([compiler, "big.o", "-o", "big"])
        result.append(run.run([run.path("big")]))
        run.require_loaded(inner)
        return "\n".join(result)

    check.__doc__ = f"{name} compiles, links and runs 6,000 lines"
    return check


def cxx_compiler(name, inner):
    def check(run):
        compiler = tool(name)
        with open(work("templates.cc"), encoding="utf-8") as file:
            run.write("templates.cc", file.read())
        run.run([compiler, "-std=c++17", "-O2", "-c", "templates.cc", "-o", "templates.o"])
        result = digest(run.path("templates.o"))
        run.run([compiler, "templates.o", "-o", "templates", "-pthread"])
        out = run.run([run.path("templates")])
        run.require_loaded(inner, "templates")
        return result + "\n" + out

    check.__doc__ = f"{name} compiles a file of templates; the result runs"
    return check


def git(run):
    program = tool("git")
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "C",
        "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    }

    def do(*arguments):
        return run.run([program, "-C", run.path("repository"), *arguments], environment=environment)

    os.mkdir(run.path("repository"))
    do("init", "-q", "-b", "main")
    for i in range(30):
        for j in range(20):
            run.write(f"repository/file{j}", "".join(f"{i * j * k % 977} line {k}\n" for k in range(100 + 10 * i)))
        do("add", ".")
        do("commit", "-q", "-m", f"commit {i}")
    result = [do("rev-parse", "HEAD"), do("log", "--stat", "--oneline"), do("diff", "--stat", "HEAD~20", "HEAD")]
    do("gc", "-q", "--aggressive", "--prune=now")
    do("repack", "-q", "-a", "-d", "-f", "--threads=2")
    result += [do("fsck", "--full", "--no-progress"), do("blame", "file3"), do("grep", "-c", "line 7")]
    do("clone", "-q", ".", run.path("copy"))
    result.append(digest(run.path("copy/file19")))
    run.require_loaded("git")
    return "\n".join(result)


def node(run):
    out = run.run([tool("node"), work("objects.js")])
    run.require_loaded("node")
    return out


def java(run):
    compiler, machine = tool("javac"), tool("java")
    with open(work("Maps.java"), encoding="utf-8") as file:
        run.write("Maps.java", file.read())
    run.run([compiler, "Maps.java"])
    out = run.run([machine, "-Xmx256m", "-cp", run.directory, "Maps"])
    run.require_loaded("java", "javac")
    if "done" not in out:
        raise Failed("java: the program did not come to its end")
    return out
