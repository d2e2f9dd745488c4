"""Programs that do with memory, with the loader or with processes what few do: each case runs one with the library
preloaded, and looks at what it says. The programs check themselves and end with the line "ok".

usage: strange.py CASE TIDEMARK LIBRARY DIRECTORY     DIRECTORY: where the programs are built
"""
import os
import subprocess
import sys

SKIP = 77
CASE, TIDEMARK, LIBRARY, DIRECTORY = sys.argv[1], *map(os.path.abspath, sys.argv[2:5])


def skip(why):
    print("skipped:", why)
    sys.exit(SKIP)


def built(name):
    return os.path.join(DIRECTORY, "strange_" + name)


def plain_environment(**more):
    kept = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "TIDEMARK")}
    return {**kept, **more}


def run(*command, preload=LIBRARY, **more):
    """What came of it: status, stdout and stderr as text. preload="": without the library."""
    environment = plain_environment(**({"LD_PRELOAD": preload} if preload else {}), **more)
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


def expect(true, what, ended):
    if not true:
        print(f"{CASE}: {what}; status {ended.returncode}\n{ended.stdout}{ended.stderr}")
        sys.exit(1)


def well(*command, silent=True, **more):
    """Runs a program that says "ok", with nothing on stderr, without the library and with it."""
    plain = run(*command, **{**more, "preload": more.get("preload", LIBRARY).replace(LIBRARY, "").strip()})
    expect(plain.returncode in (0, SKIP), "it fails without the library", plain)
    if plain.returncode == SKIP:
        skip(plain.stdout)
    ended = run(*command, **more)
    expect(ended.returncode == 0 and ended.stdout == "ok\n", "it fails under the library", ended)
    expect(not silent or not ended.stderr, "it says something on stderr", ended)
    return ended


def deepbind():
    well(built("deepbind"), "libstrange_plugin.so")


def foreign():
    behind = os.path.join(DIRECTORY, "libstrange_behind.so")
    both = f"{LIBRARY} {behind}"
    well(built("foreign"), preload=both)
    for address in ("static", "stack", "mapping", "wild"):
        ended = run(built("foreign"), address, preload=both)
        expect("tidemark: free(0x" in ended.stderr, f"free of a {address} address is not noticed", ended)


def namespace():
    plugin = os.path.join(DIRECTORY, "runpath/libstrange_plugin.so")
    for more in ((), (LIBRARY,)):
        ended = run(built("namespace"), plugin, *more)
        expect(ended.returncode == 0 and ended.stdout == "ok\n", "it fails", ended)
        expect(ended.stderr.count("another namespace") == 1, "the block left alone is not told once", ended)


CASES = {function.__name__: function for function in (deepbind, foreign, namespace)}

if __name__ == "__main__":
    CASES[CASE]()
