"""The allocation workloads of the section `times`: which programs of bench/workloads/ are run, and how.

A name that ends in -tN runs N threads; with more threads than cores the machine is oversubscribed, as servers are.
"""

import os

from work import Work

# name, program and its arguments, whether --quick runs it
ALLOCATION = (
    ("churn", "churn", True),
    ("churn-fifo", "churn --pattern fifo", False),
    ("churn-lifo", "churn --pattern lifo", False),
    ("churn-pair", "churn --pattern pair", True),
    ("churn-16", "churn --size 16", False),
    ("churn-1k", "churn --size 1K", False),
    ("churn-t2", "churn --threads 2", False),
    ("churn-t8", "churn --threads 8", True),
    ("strings", "strings", True),
    ("bigint", "bigint", True),
    ("aligned", "aligned", True),
    ("burst", "burst", True),
    ("burst-t8", "burst --threads 8", False),
    ("realloc-vector", "realloc --pattern vector", False),
    ("realloc-string", "realloc --pattern string", True),
    ("realloc-big", "realloc --pattern big", False),
    ("large", "large", True),
    ("refill", "refill", True),
    ("refill-t2", "refill --threads 2", False),
    ("refill-t8", "refill --threads 8", False),
    ("threads-t4", "threads --threads 4", True),
    ("larson-t2", "larson --threads 2", False),
    ("larson-t8", "larson --threads 8", True),
    ("xmalloc-t2", "xmalloc --threads 2", True),
    ("xmalloc-t8", "xmalloc --threads 8", False),
    ("mstress-t2", "mstress --threads 2", False),
    ("mstress-t8", "mstress --threads 8", True),
    ("rptest-t2", "rptest --threads 2", False),
    ("rptest-t8", "rptest --threads 8", True),
    ("cache-scratch-t2", "cache-scratch --threads 2", True),
    ("cache-thrash-t2", "cache-thrash --threads 2", False),
)


def allocation(build, scale):
    """Work for each, all of them; the programs are in the build directory."""
    found = []
    for name, line, quick in ALLOCATION:
        program, *arguments = line.split()
        path = os.path.join(build, "bench", "workloads", "bench-" + program)
        found.append(Work(name, "allocation", [path, "--scale", f"{scale:g}", *arguments], quick=quick))
    return found
