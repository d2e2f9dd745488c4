"""Source packages of Debian, by a list of sources of its own: what this machine's apt is set to stays as it is.

The archives are those that the machine installs from. Lists and trees are kept in the work directory, so that a second
run fetches nothing.
"""

import glob
import os
import shutil
import subprocess

from suite import Skipped


def archives():
    """(address, suite, component) of every Debian archive that this machine installs from."""
    words = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)",
                            "Created-By: Packages"], capture_output=True, text=True, check=False).stdout
    found = []
    for line in words.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[0] == "Debian" and tuple(fields[1:]) not in found:
            found.append(tuple(fields[1:]))
    return found


def apt(work, *arguments, cwd=None):
    place = os.path.join(work, "apt")
    os.makedirs(os.path.join(place, "lists", "partial"), exist_ok=True)
    sources = os.path.join(place, "sources.list")
    if not os.path.exists(sources):
        found = archives()
        if not found:
            raise Skipped("apt knows no archive of Debian to take sources from")
        with open(sources, "w", encoding="utf-8") as file:
            file.writelines(f"deb-src {' '.join(archive)}\n" for archive in found)
        print(f"sources come from a list of their own, {sources}: " + ", ".join(f"{a} {s}" for a, s, _ in found), flush=True)
    settings = {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null", "Dir::State::lists": f"{place}/lists",
                "Dir::Cache::srcpkgcache": "", "Dir::Cache::pkgcache": "", "APT::Sandbox::User": "root"}
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    result = subprocess.run(["apt-get", "-q", *options, *arguments], capture_output=True, text=True, cwd=cwd, check=False,
                            timeout=900)
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if line.startswith("E: ")] or ["no reason given"]
        raise Skipped(f"apt-get {' '.join(arguments)}: {said[0]}")


def tree(work, package):
    """Directory of the unpacked source of what is installed as, or from, `package`."""
    place = os.path.join(work, "sources", package)
    done = glob.glob(f"{place}/*/debian/rules")
    if not done:
        if shutil.which("dpkg-source") is None:
            raise Skipped("dpkg-source is not installed (package dpkg-dev)")
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        if not os.path.exists(os.path.join(work, "apt", "updated")):
            apt(work, "update")
            with open(os.path.join(work, "apt", "updated"), "w", encoding="ascii"):
                pass
        try:
            apt(work, "source", package, cwd=place)
        except Skipped:
            # A mirror may lack the newest, of the security archive: tests of the release fit as well.
            apt(work, "source", f"{package}/{archives()[0][1]}", cwd=place)
        done = glob.glob(f"{place}/*/debian/rules")
    if not done:
        raise Skipped(f"the source package of {package} has no tree")
    return os.path.dirname(os.path.dirname(done[0]))
