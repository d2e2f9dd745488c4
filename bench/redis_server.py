"""redis as a piece of work: the server runs under the allocator, the client that drives it does not.

Wall time is the client's, a fixed number of requests of several kinds over a unix socket; CPU time, RSS and faults are
the server's, from its start to its end. redis-benchmark draws its keys anew in each run, so afterwards a script writes
values of its own, reads them back and answers with their digest: that is what must not differ.
"""

import os
import shutil
import socket as sockets
import subprocess
import tempfile
import time

from launch import Failed, check, finish, kill
from work import Work

CHECK = """
local digest = ''
for i = 1, 2000 do
    redis.call('set', 'check:' .. i, string.rep('v', i % 300) .. i)
    redis.call('append', 'check:' .. i, i * 7)
    redis.call('hset', 'checks', 'field' .. i % 500, i)
    redis.call('rpush', 'check list', i)
end
for i = 1, 2000 do digest = redis.sha1hex(digest .. redis.call('get', 'check:' .. i)) end
return {digest, redis.call('hlen', 'checks'), redis.call('llen', 'check list'), redis.call('hget', 'checks', 'field7')}
"""
KINDS = "set,get,lpush,lpop,sadd,hset,zadd"


def listens(path):
    with sockets.socket(sockets.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Redis(Work):
    def __init__(self, server, client, asker, scale):
        super().__init__("redis", "program", [server, "driven", "by", client], quick=True)
        self.server, self.client, self.asker = server, client, asker
        self.requests = max(1000, round(220_000 * scale))

    def run(self, launcher, allocator, limit):
        # A path of its own: that of a unix socket must be short.
        directory = tempfile.mkdtemp(prefix="tidemark-redis.")
        process = None
        try:
            socket, log = os.path.join(directory, "socket"), os.path.join(directory, "log")
            with open(log, "wb") as out:
                process, reading = launcher.start(
                    allocator, [self.server, "--port", "0", "--unixsocket", socket, "--dir", directory, "--save", "",
                                "--appendonly", "no", "--daemonize", "no"], stdout=out, stderr=out)
            try:
                self.wait_for(socket, process, limit)
                start = time.monotonic()
                self.drive(launcher, socket, limit)
                wall = time.monotonic() - start
                answer = self.ask(launcher, socket, "eval", CHECK, "0")
                self.ask(launcher, socket, "shutdown", "nosave")
            except BaseException:
                kill(process)
                os.close(reading)
                raise
            took = finish(process, reading, limit)
            with open(log, encoding="utf-8", errors="replace") as file:
                check([self.server], took, file.read().strip())
            took.update(server_wall=took["wall"], wall=wall, figures={}, digest=answer)
            return took
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def ask(self, launcher, socket, *words):
        done = subprocess.run([self.asker, "-s", socket, *words], env=launcher.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
        if done.returncode:
            raise Failed(f"redis-cli {words[0]}: exit status {done.returncode}: {done.stdout.strip()[:200]}")
        return done.stdout

    def wait_for(self, socket, process, limit):
        end = time.monotonic() + limit
        while not listens(socket):
            if process.poll() is not None:
                raise Failed(f"redis-server ended with status {process.returncode} before it listened")
            if time.monotonic() > end:
                raise Failed(f"redis-server did not listen within {limit} s")
            time.sleep(0.005)

    def drive(self, launcher, socket, limit):
        try:
            done = subprocess.run([self.client, "-s", socket, "-q", "-n", str(self.requests), "-r", "100000", "-P", "16",
                                   "-d", "120", "-t", KINDS], env=launcher.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"redis-benchmark was still running after {limit} s, killed") from None
        if done.returncode or "rror" in done.stdout:
            last = " | ".join(done.stdout.strip().splitlines()[-3:])
            raise Failed(f"redis-benchmark ended with status {done.returncode}: {last}")
