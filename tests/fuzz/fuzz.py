#!/usr/bin/env python3
"""Runs the fuzz targets: for a test, for longer, and to bring what was found into the corpus.

    fuzz.py test KIND BINARY CORPUS RUNS LEAST   what `meson test` runs (KIND: plain, libfuzzer, afl)
    fuzz.py run [--with libfuzzer|afl] [--seconds N] [TARGET...]
                                                 builds with that fuzzer and fuzzes each target so long
    fuzz.py keep [--most BYTES] TARGET...        puts into corpus/ what `run` found, as few and as small
                                                 files as cover the same

`run` works in build-fuzz-libfuzzer/ or build-fuzz-afl/ of the source tree, with each target's findings in
work/TARGET there; inputs that crash, hang or leak are listed at the end, and the exit status is 1 if there are any.
"""
import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(HERE, "corpus")
COMPILERS = {"libfuzzer": ("clang", "clang++"), "afl": ("afl-clang-fast", "afl-clang-fast++")}
# The longest inputs that are worth making, in bytes.
LONGEST = {"alloc": 1500, "alloc_full": 1500, "config": 1200, "names": 600, "perf_map": 2000, "process": 16384,
           "remote": 4096, "diff": 20000, "snapshot": 16384, "symbols": 24576}
# Kept small, so that the corpora stay well under 1 MiB together.
MOST = {"symbols": 200000, "diff": 120000, "snapshot": 100000, "alloc": 100000}
FILES = 200  # of a corpus: each is run in every test
SANITIZERS = "allocator_may_return_null=1:symbolize=1"


def files_in(directory):
    return sorted(os.path.join(directory, name) for name in os.listdir(directory))


def environment(leaks):
    return dict(os.environ, ASAN_OPTIONS=f"{SANITIZERS}:detect_leaks={int(leaks)}",
                UBSAN_OPTIONS="print_stacktrace=1")


def test(kind, binary, corpus, runs, least):
    """One short run that is the same each time."""
    with tempfile.TemporaryDirectory(prefix="tidemark-fuzz.") as new:
        if kind == "plain":
            command = [binary, "--runs", runs, "--seed", "1", "--least", least, corpus]
        elif kind == "afl":  # its driver runs files that it is given
            command = [binary, *files_in(corpus)]
        else:  # libFuzzer writes new inputs into the first directory
            command = [binary, f"-runs={len(files_in(corpus)) + int(runs)}", "-seed=1", "-timeout=100",
                       "-len_control=0", f"-max_len={LONGEST[target_of(binary)]}", new, corpus]
        status = subprocess.run(command, env=environment(False), check=False).returncode
    if status != 0:
        print(f"fuzz.py: {' '.join(command[:1])} ended with {status}", file=sys.stderr)
    return 0 if status == 0 else 1


def target_of(binary):
    return os.path.basename(binary).removesuffix("_fuzz")


def build(fuzzer, targets):
    """The directory of the binaries."""
    directory = os.path.join(ROOT, f"build-fuzz-{fuzzer}")
    cc, cxx = COMPILERS[fuzzer]
    if not shutil.which(cc):
        package = {"libfuzzer": "clang and libclang-rt-14-dev", "afl": "afl++"}[fuzzer]
        sys.exit(f"fuzz.py: {cc} is not installed; install {package}")
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        subprocess.run(["meson", "setup", directory, ROOT], env=dict(os.environ, CC=cc, CXX=cxx), check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", directory, *[f"tests/fuzz/{target}_fuzz" for target in targets]], check=True,
                   stdout=subprocess.DEVNULL)
    return directory


def run_libfuzzer(binary, target, work, seconds, leaks):
    found = os.path.join(work, "found")
    crashes = os.path.join(work, "crashes")
    for directory in (found, crashes):
        os.makedirs(directory, exist_ok=True)
    command = [binary, f"-max_total_time={seconds}", f"-max_len={LONGEST[target]}", "-len_control=0", "-timeout=60",
               "-rss_limit_mb=4096", "-print_final_stats=1", f"-artifact_prefix={crashes}/", found,
               os.path.join(CORPUS, target)]
    with open(os.path.join(work, "log"), "w", encoding="utf-8") as log:
        subprocess.run(command, env=environment(leaks), stdout=log, stderr=log, cwd=work, check=False)
    with open(os.path.join(work, "log"), encoding="utf-8", errors="replace") as log:
        executions = [line.split()[1] for line in log if "number_of_executed_units" in line]
    return (executions or ["an unknown number of"])[0], files_in(crashes)


def run_afl(binary, target, work, seconds):
    out = os.path.join(work, "out")
    env = dict(environment(False), AFL_NO_UI="1", AFL_SKIP_CPUFREQ="1", AFL_AUTORESUME="1",
               AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES="1", AFL_NO_AFFINITY="1")
    env["ASAN_OPTIONS"] += ":abort_on_error=1:symbolize=0"
    command = ["afl-fuzz", "-V", str(seconds), "-m", "none", "-t", "20000", "-G", str(LONGEST[target]), "-i",
               os.path.join(CORPUS, target), "-o", out, "--", binary]
    with open(os.path.join(work, "log"), "w", encoding="utf-8") as log:
        subprocess.run(command, env=env, stdout=log, stderr=log, cwd=work, check=False)
    executions = "an unknown number of"
    stats = os.path.join(out, "default", "fuzzer_stats")
    if os.path.exists(stats):
        with open(stats, encoding="utf-8") as file:
            executions = dict(line.split(":", 1) for line in file)["execs_done        "].strip()
    wrong = [path for kind in ("crashes", "hangs") if os.path.isdir(os.path.join(out, "default", kind))
             for path in files_in(os.path.join(out, "default", kind)) if not path.endswith("README.txt")]
    return executions, wrong


def run(options):
    directory = build(options.fuzzer, options.targets)
    wrong = []
    for target in options.targets:
        binary = os.path.join(directory, "tests", "fuzz", f"{target}_fuzz")
        work = os.path.join(directory, "work", target)
        os.makedirs(work, exist_ok=True)
        if options.fuzzer == "afl":
            executions, new = run_afl(binary, target, work, options.seconds)
        else:
            executions, new = run_libfuzzer(binary, target, work, options.seconds, options.leaks)
        print(f"{target}: {executions} executions in {options.seconds} s, {len(new)} inputs went wrong", flush=True)
        wrong += new
    for path in wrong:
        print(f"wrong: {path}")
    return 1 if wrong else 0


def keep(options):
    """libFuzzer's merge: of the smallest inputs first, those that bring something new."""
    directory = build("libfuzzer", options.targets)
    for target in options.targets:
        corpus = os.path.join(CORPUS, target)
        os.makedirs(corpus, exist_ok=True)
        places = [corpus] + [place for place in (
            os.path.join(ROOT, "build-fuzz-libfuzzer", "work", target, "found"),
            os.path.join(ROOT, "build-fuzz-afl", "work", target, "out", "default", "queue")) if os.path.isdir(place)]
        binary = os.path.join(directory, "tests", "fuzz", f"{target}_fuzz")
        with tempfile.TemporaryDirectory(prefix="tidemark-fuzz.") as merged:
            subprocess.run([binary, "-merge=1", "-timeout=60", f"-max_len={LONGEST[target]}", merged, *places],
                           env=environment(False), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            take(merged, corpus, options.most or MOST.get(target, 50000))
        print(f"{target}: {len(files_in(corpus))} files")


def take(merged, corpus, most):
    """Replaces the corpus by what fits of the merged one, but for files with a name of their own, which are kept."""
    named = [path for path in files_in(corpus) if not re.fullmatch("[0-9a-f]{16}", os.path.basename(path))]
    total = sum(os.path.getsize(path) for path in named)
    known = set()
    for path in named:
        with open(path, "rb") as file:
            known.add(file.read())
    for path in files_in(corpus):
        if path not in named:
            os.unlink(path)
    new = sorted(files_in(merged), key=os.path.getsize, reverse=True)
    step = len(new) // FILES + 1
    while total + sum(os.path.getsize(path) for path in new[::step]) > most and step < len(new):
        step += 1
    for path in new[::step]:  # long and short ones
        with open(path, "rb") as file:
            content = file.read()
        if content not in known:
            with open(os.path.join(corpus, hashlib.sha256(content).hexdigest()[:16]), "wb") as file:
                file.write(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("test")
    for name in ("kind", "binary", "corpus", "runs", "least"):
        one.add_argument(name)
    long = commands.add_parser("run")
    long.add_argument("--with", dest="fuzzer", choices=sorted(COMPILERS), default="libfuzzer")
    long.add_argument("--seconds", type=int, default=600)
    long.add_argument("--leaks", action="store_true", help="also look for leaks (libfuzzer; needs ptrace)")
    more = commands.add_parser("keep")
    more.add_argument("--most", type=int, help="bytes of a corpus")
    for command in (long, more):
        command.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    if options.command == "test":
        return test(options.kind, options.binary, options.corpus, options.runs, options.least)
    options.targets = options.targets or sorted(LONGEST)
    unknown = [target for target in options.targets if target not in LONGEST]
    if unknown:
        sys.exit(f"fuzz.py: there is no target '{unknown[0]}'; there are {', '.join(sorted(LONGEST))}")
    return run(options) if options.command == "run" else keep(options)


if __name__ == "__main__":
    sys.exit(main())
