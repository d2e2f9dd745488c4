#!/usr/bin/env python3
"""Breaks the allocator's sources, one place at a time, and sees that the models find it.

A mutant is a piece of a source's text and what stands there instead; the piece has to be there
exactly once, or the list below is out of date, and the test fails. Each mutant is compiled, linked
with the rest and with its model, and run: the model has to fail, and to say what was expected.
"""

import argparse
import concurrent.futures
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

# Who is compiled anew where a header is broken: those that the models of it run.
USERS = {
    "allocator/lock.h": ["allocator/lock.c", "tests/model/lock.c"],
    "allocator/gate.h": ["allocator/heap.c", "allocator/heap_return.c", "allocator/heap_purge.c",
                         "tests/model/gate.c"],
    # Parts of their models.
    "profiler/record/live.c": ["tests/model/page.c"],
    "profiler/record/request.c": ["tests/model/request.c"],
    "profiler/record/sites.c": ["tests/model/tables.c"],
}

RACE = "nothing orders them"
LOST = "a block was lost"
GIVEN = "memory that was given back"
STUCK = "nobody is left to wake it"

# (what is broken, source, the text, what it becomes, model, scenarios, what the model says)
MUTANTS = [
    ("a lock is left without release", "allocator/lock.h",
     "atomic_exchange_explicit(&lock->word, 0, memory_order_release)",
     "atomic_exchange_explicit(&lock->word, 0, memory_order_relaxed)",
     "lock", "three-threads", RACE),
    ("a lock is taken without acquire", "allocator/lock.c",
     "atomic_exchange_explicit(&lock->word, 2, memory_order_acquire)",
     "atomic_exchange_explicit(&lock->word, 2, memory_order_relaxed)",
     "lock", "three-threads", RACE),
    ("who leaves a lock wakes nobody", "allocator/lock.h",
     "0, memory_order_release) == 2, 0)", "0, memory_order_release) == 3, 0)",
     "lock", "three-threads", STUCK),
    ("everybody passes through the locks of a thread that forks", "allocator/lock.c",
     "return atomic_load_explicit(&tm_lock_forker, memory_order_relaxed) == &this_thread;",
     "return atomic_load_explicit(&tm_lock_forker, memory_order_relaxed) != NULL;",
     "lock", "passing-through", RACE),
    ("nobody passes through a lock", "allocator/lock.c",
     "return atomic_load_explicit(&tm_lock_forker, memory_order_relaxed) == &this_thread;",
     "return false;",
     "lock", "passing-through", STUCK),
    ("a pool is disowned without release", "allocator/share.c",
     "atomic_compare_exchange_strong_explicit(&pool->remote, &seen, in_use,\n"
     "                                                    memory_order_release",
     "atomic_compare_exchange_strong_explicit(&pool->remote, &seen, in_use,\n"
     "                                                    memory_order_relaxed",
     "pools", "thread-ends", RACE),
    ("a full pool is left without release", "allocator/heap.c",
     "&seen, in_use, memory_order_release,", "&seen, in_use, memory_order_relaxed,",
     "pools", "full", RACE),
    ("a full pool is left whatever came back meanwhile", "allocator/heap.c",
     "if (atomic_compare_exchange_strong_explicit(&pool->remote, &seen, in_use, "
     "memory_order_release,\n                                                "
     "memory_order_relaxed))\n        return true;",
     "atomic_store_explicit(&pool->remote, in_use, memory_order_release);\n"
     "    if (seen != 0)\n        return true;",
     "pools", "full", None),
    ("a pool comes home without acquire", "allocator/heap_return.c",
     "&pool->remote, &seen, TM_REMOTE_OWNED,\n"
     "                                                 memory_order_acq_rel",
     "&pool->remote, &seen, TM_REMOTE_OWNED,\n"
     "                                                 memory_order_release",
     "pools", "home", RACE),
    ("a block is handed back without release", "allocator/heap_return.c",
     "memory_order_acq_rel, memory_order_acquire", "memory_order_acquire, memory_order_acquire",
     "pools", "full", RACE),
    ("blocks that were handed back are taken without acquire", "allocator/pool.c",
     "atomic_exchange_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire)",
     "atomic_exchange_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_relaxed)",
     "pools", "full", RACE),
    ("blocks that were handed back are looked at, then taken, in two steps", "allocator/pool.c",
     "remote = atomic_exchange_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire);",
     "remote = atomic_load_explicit(&pool->remote, memory_order_acquire);\n"
     "    atomic_store_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_relaxed);",
     "pools", "full", LOST),
    ("a pool out of the shared list is not asked for its owner", "allocator/share.c",
     "if ((before & TM_REMOTE_OWNED) == 0)", "if (before != 0)",
     "pools", "shared", None),
    ("a shared pool is taken without acquire", "allocator/share.c",
     "atomic_fetch_or_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire)",
     "atomic_fetch_or_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_relaxed)",
     "pools", "shared", RACE),
    ("an empty pool is given back while it is in the shared list", "allocator/heap_return.c",
     "if (tm_pool_empty(pool)) {\n        tm_share_unlist(pool);\n        tm_pool_give(pool);",
     "if (tm_pool_empty(pool)) {\n        tm_pool_give(pool);",
     "pools", "shared", GIVEN),
    ("a pool is touched after it was disowned", "allocator/share.c",
     "    if (!tm_share_disown(pool)) {\n",
     "    bool disowned = tm_share_disown(pool);\n    pool->counted = 0;\n    if (!disowned) {\n",
     "pools", "thread-ends", None),
    ("nobody looks after an ownerless pool whose blocks are back", "allocator/heap_return.c",
     "(home || tm_remote_count(next) == tm_remote_in_use(next) ||\n"
     "             tm_remote_count(next) == tm_remote_in_use(next) / 4 + 1)", "home",
     "pools", "full", LOST),
    ("a call for a trim does not bring what it is for", "allocator/heap_purge.c",
     "atomic_fetch_add_explicit(&tm_heap_calls, 1, memory_order_release)",
     "atomic_fetch_add_explicit(&tm_heap_calls, 1, memory_order_relaxed)",
     "calls", "call-for-trim", "not so"),
    ("a heap sees a call before it sees what it is for", "allocator/heap_purge.c",
     "now = atomic_load_explicit(&tm_heap_calls, memory_order_acquire)",
     "now = atomic_load_explicit(&tm_heap_calls, memory_order_relaxed)",
     "calls", "call-for-samples", "not so"),
    ("a heap is in the register before it is whole", "allocator/thread.c",
     "atomic_store_explicit(&tm_heaps, heap, memory_order_release)",
     "atomic_store_explicit(&tm_heaps, heap, memory_order_relaxed)",
     "calls", "first-heaps", RACE),
    ("a slow path does not look at the gate", "allocator/gate.h",
     "memory_order_acquire) != 0, 0)", "memory_order_acquire) < 0, 0)",
     "gate", "membarrier", RACE),
    ("the gate is closed without a fence in all threads", "allocator/gate.c",
     "TM_GATE_FENCE) == 0)", "TM_GATE_FENCE) > TM_GATE_FENCE)",
     "gate", "membarrier", RACE),
    ("without membarrier the gate is open", "allocator/gate.c",
     "_Atomic int tm_gate = TM_GATE_FENCE;", "_Atomic int tm_gate = 0;",
     "gate", "fenced", None),
    ("without membarrier `busy` is set without a fence", "allocator/gate.c",
     "atomic_store_explicit(busy, true, memory_order_seq_cst)",
     "atomic_store_explicit(busy, true, memory_order_relaxed)",
     "gate", "fenced", None),
    ("a slow path ends without release", "allocator/gate.h",
     "atomic_store_explicit(busy, false, memory_order_release);",
     "atomic_store_explicit(busy, false, memory_order_relaxed);",
     "gate", "membarrier", RACE),
    ("the gate is opened without release", "allocator/gate.c",
     "&tm_gate, ~TM_GATE_CLOSED, memory_order_release", "&tm_gate, ~TM_GATE_CLOSED, "
     "memory_order_relaxed",
     "gate", "membarrier", RACE),
    ("who waits at the gate is not woken", "allocator/gate.c",
     "tm_os_wake(&tm_gate, INT_MAX);", "",
     "gate", "membarrier", STUCK),
    ("a thread forks while others are on slow paths", "allocator/fork.c",
     "    tm_thread_wait_idle();\n", "",
     "gate", "child other-child", None),
    ("the child uses what was freed on other threads' fast paths", "allocator/heap_purge.c",
     "    leave_list(pool);\n    tm_pool_lose_free(pool);\n", "    leave_list(pool);\n",
     "gate", "child other-child child-torn other-child-torn", None),
    ("the child's locks stay as they were", "allocator/fork.c",
     "    tm_lock_reset(&tm_arena_lock);\n", "",
     "gate", "child", None),
    ("a request is taken off before it is met", "profiler/record/request.c",
     "__atomic_fetch_and(&state, ~(uint64_t)PENDING, __ATOMIC_ACQ_REL);\n        take(true, true);",
     "take(true, true);\n        __atomic_fetch_and(&state, ~(uint64_t)PENDING, __ATOMIC_ACQ_REL);",
     "request", "requests", "not so"),
    ("each request starts a writer", "profiler/record/request.c",
     "} else if ((flags & BUSY) == 0 && tm_helper_start", "} else if (tm_helper_start",
     "request", "requests", None),
    ("a request at the exit is not asked for like others", "profiler/record/request.c",
     "&state, &seen, mine | BUSY | PENDING, false", "&state, &seen, mine | BUSY, false",
     "request", "exit", "not so"),
    ("a frame is linked without release", "profiler/record/frames.c",
     "atomic_store_explicit(head, number, memory_order_release)",
     "atomic_store_explicit(head, number, memory_order_relaxed)",
     "tables", "two-stacks", RACE),
    ("frames are looked up without acquire", "profiler/record/frames.c",
     "atomic_load_explicit(head_of(ip, below), memory_order_acquire)",
     "atomic_load_explicit(head_of(ip, below), memory_order_relaxed)",
     "tables", "two-stacks", RACE),
    ("a frame is linked before it is counted", "profiler/record/frames.c",
     "    atomic_store_explicit(&count, number + 1, memory_order_release);\n"
     "    atomic_store_explicit(head, number, memory_order_release);\n",
     "    atomic_store_explicit(head, number, memory_order_release);\n"
     "    atomic_store_explicit(&count, number + 1, memory_order_release);\n",
     "tables", "two-stacks", "not so"),
    ("a frame's site is told without release", "profiler/record/sites.c",
     "atomic_store_explicit(&innermost->site, number, memory_order_release)",
     "atomic_store_explicit(&innermost->site, number, memory_order_relaxed)",
     "tables", "two-stacks one-stack", RACE),
    ("a stack gets two sites", "profiler/record/sites.c",
     "uint32_t number = atomic_load_explicit(&innermost->site, memory_order_relaxed);\n"
     "    if (number == 0 && site_count",
     "uint32_t number = 0;\n    if (site_count",
     "tables", "two-stacks", "not so"),
    ("the live page does not say that it is being written", "profiler/record/live.c",
     "    __atomic_store_n(&slot->sequence, sequence, __ATOMIC_RELAXED);\n", "",
     "page", "slot", "not so"),
    ("the live page is written before it says so", "profiler/record/live.c",
     "from[i], __ATOMIC_RELEASE", "from[i], __ATOMIC_RELAXED",
     "page", "slot", "not so"),
    ("the live page is said to be written before it is", "profiler/record/live.c",
     "__atomic_store_n(&slot->sequence, sequence + 1, __ATOMIC_RELEASE);",
     "__atomic_store_n(&slot->sequence, sequence + 1, __ATOMIC_RELAXED);",
     "page", "slot", "not so"),
]


def compile_mutant(options, work, source, text):
    """Compiles the source, or the header's users, as it is broken. Returns the objects."""
    tree = work / "tree"
    broken = tree / source
    broken.parent.mkdir(parents=True)
    broken.write_text(text)
    sources = USERS.get(source, [source])
    objects = []
    for name in sources:
        path = broken if name == source else options.root / name
        made = work / (name.replace("/", "-") + ".o")
        subprocess.run([*options.compiler, "-std=gnu17", "-D_GNU_SOURCE", "-w", f"-I{tree}",
                        f"-I{options.root}", *options.arguments, "-c", path, "-o", made],
                       check=True)
        objects.append(made)
    return objects


def judge(options, mutant):
    """What is wrong with how the model judged the mutant; None: nothing."""
    _, source, text, instead, model, scenario, says = mutant
    whole = (options.root / source).read_text()
    if whole.count(text) != 1:
        return f"the text is {whole.count(text)} times in {source}: change the list in mutants.py"
    with tempfile.TemporaryDirectory(prefix="tidemark-mutant.") as directory:
        work = pathlib.Path(directory)
        objects = compile_mutant(options, work, source, whole.replace(text, instead))
        parts, link_arguments = options.models[model]
        program = work / "mutant"
        subprocess.run([*options.compiler, "-o", program, *objects, "-Wl,--whole-archive", parts,
                        "-Wl,--no-whole-archive", "-Wl,--allow-multiple-definition",
                        *options.libraries, *link_arguments, "-pthread"],
                       check=True)
        result = subprocess.run([program, *scenario.split()], capture_output=True, text=True, check=False)
    first = result.stderr.splitlines()[:1]
    if result.returncode == 0:
        return f"the model '{model}', scenario '{scenario}', finds nothing"
    if says is not None and not re.search(says, result.stderr):
        return f"the model said {first}, and not '{says}'"
    print(f"  {first}")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", type=shlex.split, required=True)
    parser.add_argument("--arguments", type=shlex.split, required=True)
    parser.add_argument("--libraries", nargs="+", required=True)
    parser.add_argument("--model", action="append", metavar="NAME|PARTS|LINK",
                        help="a model, its library, and how that is linked")
    parser.add_argument("--only", default="", help="mutants with this in their description")
    options = parser.parse_args()
    options.models = {}
    for model in options.model:
        name, parts, link = model.split("|")
        options.models[name] = (parts, shlex.split(link))
    wrong = 0
    chosen = [mutant for mutant in MUTANTS if options.only in mutant[0]]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for mutant, reason in zip(chosen, pool.map(lambda one: judge(options, one), chosen)):
            print(f"{'found' if reason is None else 'WRONG'}: {mutant[0]}"
                  f"{'' if reason is None else ': ' + reason}", flush=True)
            wrong += reason is not None
    print(f"{len(chosen)} mutants, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
