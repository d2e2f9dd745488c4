"""The Debian package: dpkg-buildpackage builds it, lintian has nothing to say, it installs, and its own test passes as it is
installed; and an installation under a prefix of the user's works. Takes minutes: `scripts/test --package` runs it.

The package is installed into a throw-away overlay of this machine's root directory, seen by this test alone; that needs
root.

usage: debian_test.py SOURCE MESON
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, MESON = sys.argv[1:3]
SKIPPED = 77

ENVIRONMENT = {key: value for key, value in os.environ.items()
               if not key.startswith(("TIDEMARK", "LD_", "MESON", "NINJA", "CC", "CXX", "CFLAGS")) and key != "DESTDIR"}

# In mount and process namespaces of its own: $1 is the package, $2 the source tree, $3 an empty directory.
INSTALL_AND_TEST = r"""
set -eu
mount -t tmpfs tmpfs "$3"
mkdir "$3/upper" "$3/work" "$3/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$3/upper,workdir=$3/work" "$3/root"
mount -t proc proc "$3/root/proc"
mount --rbind /dev "$3/root/dev"
mount -t tmpfs tmpfs "$3/root/tmp"
cp "$1" "$3/root/tmp/tidemark.deb"
cp "$2/debian/tests/run-and-report" "$3/root/tmp/test"
chroot "$3/root" sh -euc 'dpkg -i /tmp/tidemark.deb; cd /tmp; ./test; dpkg --purge tidemark; test ! -e /usr/bin/tidemark'
"""


def run(*words, **options):
    done = subprocess.run(words, env=ENVIRONMENT, stdin=subprocess.DEVNULL, text=True, errors="replace", check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)[:200]}: exit status {done.returncode}; it said: {done.stdout[-5000:]}")
    return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="tidemark-package.")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.tree = cls.directory + "/tidemark"
        shutil.copytree(SOURCE, cls.tree, symlinks=True, ignore=lambda directory, names: [
            name for name in names if name == ".git" or name == "__pycache__" or
            (directory == SOURCE and name.startswith("build"))])
        cls.said = run("dpkg-buildpackage", "-us", "-uc", cwd=cls.tree)
        cls.package, = glob.glob(cls.directory + "/tidemark_*.deb")

    def test_builds_without_a_warning(self):
        self.assertEqual(re.findall(r".*warning: .*", self.said), [])

    def test_lintian(self):
        changes, = glob.glob(self.directory + "/*.changes")
        said = run("lintian", "--allow-root", "--no-cfg", "--display-info", "--tag-display-limit", "0", changes)
        # It tells, besides its tags, what its readelf says of inputs for the fuzzers, which are broken on purpose.
        broken = re.compile(r".*: Warning while running readelf on ?tests/fuzz/corpus/")
        self.assertEqual([line for line in said.splitlines() if not broken.match(line)], [])
        overrides = os.path.join(self.tree, "debian/source/lintian-overrides")
        self.assertEqual(glob.glob(self.tree + "/debian/**/*lintian-overrides", recursive=True), [overrides])
        with open(overrides, encoding="utf-8") as file:
            self.assertTrue(all(line.startswith("#") or "[tests/fuzz/corpus/*]" in line for line in file))

    def test_contents(self):
        listed = {line.split()[5].removeprefix(".") for line in run("dpkg-deb", "-c", self.package).splitlines()}
        multiarch = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
        self.assertLessEqual({
            "/usr/bin/tidemark", f"/usr/lib/{multiarch}/tidemark/libtidemark.so", "/usr/include/tidemark.h",
            f"/usr/lib/{multiarch}/pkgconfig/tidemark.pc", "/usr/share/man/man1/tidemark.1.gz",
            "/usr/share/man/man7/libtidemark.7.gz", "/usr/share/bash-completion/completions/tidemark"}, listed)

    def test_installed(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: an overlay of / is mounted")
        place = tempfile.mkdtemp(dir=self.directory)
        said = run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSTALL_AND_TEST, "sh", self.package,
                   self.tree, place)
        self.assertIn("RSS is", said)

    def test_prefix(self):
        prefix, build = self.directory + "/prefix", self.directory + "/build"
        run(*MESON.split(), "setup", "--prefix", prefix, "--libdir", "lib", build, self.tree)
        run("ninja", "-C", build, "preload/libtidemark.so", "profiler/tidemark")
        run(*MESON.split(), "install", "-C", build, "--no-rebuild")
        maps = run(prefix + "/bin/tidemark", "run", "--", "cat", "/proc/self/maps")
        self.assertIn(f" {prefix}/lib/tidemark/libtidemark.so\n", maps)
        ENVIRONMENT["PKG_CONFIG_PATH"] = prefix + "/lib/pkgconfig"
        self.addCleanup(ENVIRONMENT.pop, "PKG_CONFIG_PATH")
        self.assertEqual(run("pkg-config", "--cflags", "tidemark").strip(), f"-I{prefix}/include")


if __name__ == "__main__":
    for tool in ("dpkg-buildpackage", "dh", "lintian"):
        if shutil.which(tool) is None:
            print(f"{tool} is not installed: scripts/install-packages package")
            sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1])
