"""The machine that measures, described in a few words for the head of each output."""

import os
import platform
import subprocess

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"


def first_line(path, prefix=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line.strip() for line in file if line.startswith(prefix)), "")
    except OSError:
        return ""


def huge_pages():
    """always, madvise or never; "unknown" where the kernel does not say."""
    words = first_line(HUGE_PAGES).split()
    return next((word.strip("[]") for word in words if word.startswith("[")), "unknown")


def memory_bytes(field="MemTotal"):
    words = first_line("/proc/meminfo", field + ":").split()
    return int(words[1]) * 1024 if len(words) > 1 else 0


def debian():
    return first_line("/etc/os-release", "PRETTY_NAME=").partition("=")[2].strip('"') or platform.system()


def describe():
    model = first_line("/proc/cpuinfo", "model name").partition(":")[2].strip() or platform.machine()
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "memory_bytes": memory_bytes(),
            "kernel": platform.release(), "system": debian(), "huge_pages": huge_pages(),
            "overcommit": first_line("/proc/sys/vm/overcommit_memory"),
            "max_map_count": int(first_line("/proc/sys/vm/max_map_count") or 0), "load_at_start": os.getloadavg()[0]}


def revision(root):
    """The commit that is measured, with a + when files differ from it."""
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty=+"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or "no checkout"
