"""Servers: started on a unix socket or a free loopback port, asked over it, and ended in order."""

import glob
import hashlib
import os
import signal
import subprocess
import urllib.request

from harness import Failed, free_port, tool


def start_redis(run, *options):
    """The server and a function that asks it, both of them on a unix socket in the run's directory."""
    server, client = tool("redis-server"), tool("redis-cli")
    path = run.path("redis.sock")
    process = run.start(
        [server, "--port", "0", "--unixsocket", path, "--dir", run.directory, "--save", "", "--daemonize", "no",
         "--enable-debug-command", "yes", *options], stdout=subprocess.DEVNULL)

    def ask(*words, text=None):
        return run.run([client, "-s", path, *words], text=text)

    run.wait_for(lambda: os.path.exists(path) and "PONG" in run.run([client, "-s", path, "ping"], check=False),
                 "redis-server", process)
    return process, ask


def redis(run):
    """fills, expires, saves in the background, is ended and comes back with the same data"""
    process, ask = start_redis(run)
    lines = []
    for i in range(20000):
        lines.append(f"SET key:{i} {'v' * (i % 300)}{i}\n")
        lines.append(f"HSET hash:{i % 500} field{i} value{i * 7}\n")
        lines.append(f"RPUSH list:{i % 100} element{i}\n")
        lines.append(f"ZADD sorted:{i % 50} {i * 37 % 1000} member{i}\n")
    ask("--pipe", text="".join(lines))
    for i in range(0, 20000, 1000):
        ask("del", *(f"key:{k}" for k in range(i, i + 950)))
    result = [ask("debug", "digest"), ask("dbsize")]
    ask("bgsave")
    # While the child writes, the parent changes its data.
    ask("eval", "for i=1,20000 do redis.call('append','key:'..(i % 1000),'more') end return 1", "0")
    run.wait_for(lambda: "rdb_bgsave_in_progress:0" in ask("info", "persistence"), "redis bgsave", process)
    if "rdb_last_bgsave_status:ok" not in ask("info", "persistence"):
        raise Failed("redis: the background save failed")
    result += [ask("debug", "digest"), ask("dbsize"), ask("zrange", "sorted:7", "0", "20")]
    ask("bgrewriteaof")
    run.wait_for(lambda: "aof_rewrite_in_progress:0" in ask("info", "persistence"), "redis rewrite", process)
    ask("memory", "purge")
    run.require_loaded(os.path.basename(os.path.realpath(tool("redis-server"))), "redis-cli")
    result.append(f"ended with {run.stop(process)}")
    process, ask = start_redis(run)  # from the file that the child wrote
    result += [ask("debug", "digest"), ask("dbsize")]
    result.append(f"ended with {run.stop(process)}")
    return "\n".join(result)


def nginx(run):
    """serves files from two workers, compressed and not, reloads, ends"""
    program = tool("nginx", "/usr/sbin")
    port = free_port()
    os.mkdir(run.path("site"))
    for i in range(20):
        run.write(f"site/page{i}.txt", "".join(f"{i} line {k * k % 1009}\n" for k in range(200 * (i + 1))))
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        os.mkdir(run.path(name))
    user = "user root;\n" if os.geteuid() == 0 else ""
    run.write("nginx.conf", f"""{user}worker_processes 2; daemon off; pid {run.path('nginx.pid')};
error_log {run.path('error.log')};
events {{ worker_connections 256; }}
http {{
    access_log off; gzip on; gzip_min_length 100; gzip_types text/plain; default_type text/plain;
    client_body_temp_path {run.path('body')}; proxy_temp_path {run.path('proxy')};
    fastcgi_temp_path {run.path('fastcgi')}; uwsgi_temp_path {run.path('uwsgi')}; scgi_temp_path {run.path('scgi')};
    server {{ listen 127.0.0.1:{port}; root {run.path('site')}; location /list/ {{ alias {run.path('site')}/; autoindex on;
              autoindex_format json; }} }}
}}
""")
    process = run.start([program, "-p", run.directory, "-e", run.path("error.log"), "-c", run.path("nginx.conf")],
                        stderr=subprocess.DEVNULL)

    def fetch(path, compressed=False):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}",
                                         headers={"Accept-Encoding": "gzip"} if compressed else {})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def answers():
        try:
            return bool(fetch("page0.txt"))
        except OSError:
            return False

    run.wait_for(answers, "nginx", process)
    result = []
    for turn in range(3):
        for i in range(20):
            result.append(hashlib.sha256(fetch(f"page{i}.txt")).hexdigest())
            result.append(hashlib.sha256(fetch(f"page{i}.txt", compressed=True)).hexdigest())
        if turn == 1:
            process.send_signal(signal.SIGHUP)
    result.append(str(fetch("list/").count(b"page")))
    run.require_loaded("nginx")
    result.append(f"ended with {run.stop(process, signal.SIGQUIT)}")
    return "\n".join(result)


def postgres(run):
    """initdb, pgbench with four clients, sums, a vacuum and a clean end, as a user without rights"""
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    tools = {name: tool(name, *places) for name in ("initdb", "postgres", "psql", "pgbench")}
    for name in ("initdb", "postgres", "pgbench"):  # not a wrapper of the same name in PATH
        tools[name] = next((f"{place}/{name}" for place in places if os.path.exists(f"{place}/{name}")), tools[name])
    user = "nobody" if os.geteuid() == 0 else None
    home, sockets = run.path("home"), run.path("s")
    for place in (home, sockets):
        os.mkdir(place)
        os.chmod(place, 0o777)
    data = os.path.join(home, "data")
    env = {"HOME": home, "PGHOST": sockets, "PGUSER": "bench", "PGDATABASE": "postgres", "PGPORT": "5432"}

    def do(name, *arguments):
        return run.run([tools[name], *arguments], user=user, environment=env, cwd=home)

    do("initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    process = run.start(
        [tools["postgres"], "-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "fsync=off",
         "-c", "shared_buffers=32MB", "-c", "log_min_messages=fatal", "-c", "max_parallel_workers_per_gather=2",
         "-c", "min_parallel_table_scan_size=0", "-c", "parallel_setup_cost=0", "-c", "parallel_tuple_cost=0"],
        user=user, environment=env, cwd=home, stderr=subprocess.DEVNULL)

    def answers():
        return run.run([tools["psql"], "-Atc", "select 1"], user=user, environment=env, cwd=home,
                       check=False).strip() == "1"

    run.wait_for(answers, "postgres", process)
    do("pgbench", "-i", "-q", "-s", "2")
    do("pgbench", "-n", "-c", "4", "-j", "2", "-t", "300", "--random-seed=7")
    result = [do("psql", "-Atc", query) for query in (
        "select count(*), sum(delta) from pgbench_history",
        "select count(*), sum(abalance), sum(aid::numeric * abalance) from pgbench_accounts",
        "select sum(tbalance) from pgbench_tellers", "select sum(bbalance) from pgbench_branches",
        "select md5(string_agg(aid::text || abalance::text, ',' order by aid)) from pgbench_accounts",
        "select count(*) from (select distinct bid, abalance from pgbench_accounts) as t",
        "select count(*), sum(length(g::text)) from generate_series(1, 300000) as g",
        "vacuum full analyze",
    )]
    run.require_loaded("postgres", "pgbench", "psql", "initdb")
    result.append(f"ended with {run.stop(process, signal.SIGINT)}")
    return "\n".join(result)
