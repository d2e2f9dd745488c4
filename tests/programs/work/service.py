# Work for python: dicts, lists, strings, json, regular expressions, threads, subprocesses, big integers, sqlite.
import concurrent.futures
import hashlib
import json
import random
import re
import sqlite3
import subprocess
import sys
import zlib

draw = random.Random(7)
records = [{"id": i, "name": f"record {i}", "tags": [f"tag{draw.randrange(50)}" for _ in range(draw.randrange(6))],
            "value": draw.random()} for i in range(60000)]
text = json.dumps(records)
print(len(text), hashlib.sha256(text.encode()).hexdigest())
kept = {r["id"]: r for r in json.loads(text) if r["id"] % 37 == 0}
del records
print(len(kept), sum(len(r["tags"]) for r in kept.values()))
print(len(re.findall(r'"tag(\d)\1"', text)), zlib.crc32(zlib.compress(text.encode(), 6)))


def task(seed):
    numbers = random.Random(seed)
    table = {numbers.randrange(10**9): bytes(numbers.randrange(2000)) for _ in range(5000)}
    for key in list(table)[::2]:
        del table[key]
    return sum(len(value) for value in table.values())


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(list(pool.map(task, range(12))))
print(hashlib.sha256(str(3**8000).encode()).hexdigest())
database = sqlite3.connect(":memory:")
database.execute("create table t (a integer, b text)")
database.executemany("insert into t values (?, ?)", ((i, "x" * (i % 100)) for i in range(20000)))
print(database.execute("select count(*), sum(length(b)) from t where a % 3 = 1").fetchone())
out = subprocess.run([sys.executable, "-c", "print(sum(i * i for i in range(100000)))"], capture_output=True, check=True)
print(out.stdout.decode().strip())
matrix = [[(i * j) % 7 for j in range(200)] for i in range(200)]
print(sum(sum(a * b for a, b in zip(row, column)) for row in matrix[:20] for column in zip(*matrix)))
