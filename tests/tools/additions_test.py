#!/usr/bin/env python3
"""How much has to be touched to add something, and that it then works: each patch of tests/additions adds one thing.

usage: additions_test.py CONVOY [--build] [unittest arguments]

Without --build the patches are counted and tried on the tree. With it, or with CONVOY_DEEP set, a copy of the tree takes all of
them, is built, and runs the tests that go over every activation, layer, optimizer and data set, and a step of training.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from depth import DEEP  # noqa: E402
from patience import patience  # noqa: E402

PATCHES = ROOT / "tests" / "additions"
# What is added -> at most so many new files, changed files, and lines of the latter.
LIMITS = {
    "activation": (0, 1, 30),  # a struct of a file that is there
    "layer": (4, 1, 2),        # its header and its name in the list
    "optimizer": (2, 2, 3),    # likewise, and the declaration of its keys
    "data_set": (1, 1, 1),
}
BUILD = "--build" in sys.argv or DEEP


def tracked():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    return [path for path in out.stdout.decode().split("\0") if path and (ROOT / path).is_file()]


def apply(patch, folder):
    # `git apply` outside of a repository, so that it looks at files alone
    return subprocess.run(["git", "apply", "--whitespace=error", str(patch)], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "GIT_CEILING_DIRECTORIES": str(pathlib.Path(folder).parent)})


@unittest.skipUnless(shutil.which("git") and (ROOT / ".git").exists(), "no clone of the repository")
class Additions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-additions-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        for path in tracked():
            (cls.folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, cls.folder / path)
        cls.applied = {name: apply(PATCHES / f"{name}.patch", cls.folder) for name in LIMITS}

    def test_what_has_to_be_touched(self):
        self.assertEqual(sorted(LIMITS), sorted(path.stem for path in PATCHES.glob("*.patch")))
        for name, (files, others, lines) in LIMITS.items():
            with self.subTest(added=name):
                self.assertEqual(self.applied[name].returncode, 0, self.applied[name].stderr)
                parts = re.split(r"^diff --git ", (PATCHES / f"{name}.patch").read_text(), flags=re.MULTILINE)[1:]
                new = [part for part in parts if re.search(r"^new file", part, re.MULTILINE)]
                changed = [part for part in parts if part not in new]
                self.assertLessEqual(len(new), files)
                self.assertLessEqual(len(changed), others)
                self.assertLessEqual(sum(len(re.findall(r"^\+(?!\+\+)", part, re.MULTILINE)) for part in changed), lines)

    @unittest.skipUnless(BUILD, "a build of the whole tree: --build or CONVOY_DEEP")
    def test_it_builds_and_works(self):
        def run(*command, seconds):
            done = subprocess.run([str(part) for part in command], cwd=self.folder, capture_output=True, text=True, errors="replace",
                                  timeout=patience(seconds))
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
            return done.stdout
        run("git", "init", "-q", ".", seconds=60)
        # Nothing of this is measured: compilers need not optimise.
        run("cmake", "--preset", "cpu", "-DCMAKE_CXX_FLAGS_RELEASE=-O0", "-DCONVOY_WERROR=ON",
            "-DCONVOY_TESTS_ONLY=/tests/(kernels/(op_|elementwise|optimizer)|layers/|data/sets/)", seconds=300)
        run("cmake", "--build", "build/cpu", "-j", str(os.cpu_count() or 2), "--target", "convoy", "convoy_tests", seconds=3600)
        tests = run("build/cpu/tests/convoy_tests", "--gtest_filter=*softsign*:*channel_gain*:*signum*:*kmnist*:*Every*", seconds=600)
        for added in ("softsign", "channel_gain", "signum"):
            self.assertRegex(tests, rf"\[       OK \] .*{added}")
        (self.folder / "net.yaml").write_text(
            "data: {source: digits}\nmodel:\n  input: [1, 28, 28]\n"
            "  layers: [conv: {out: 4, kernel: 3}, channel_gain, softsign, globalavgpool, linear: 10]\n"
            "train: {epochs: 1, global_batch: 500}\noptimizer: {name: signum, lr: 0.001}\n")
        run("build/cpu/convoy", "train", "net.yaml", "--output", "run", seconds=300)
        run("build/cpu/convoy", "train", "net.yaml", "train.epochs=2", "--resume", "auto", "--output", "run", seconds=300)
        for key in ("softsign", "channel_gain"):
            self.assertIn(key, run("build/cpu/convoy", "keys", key, seconds=60))
        self.assertIn("signum", run("build/cpu/convoy", "keys", "optimizer", seconds=60))
        self.assertIn("kmnist", run("build/cpu/convoy", "keys", "data", seconds=60))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + [word for word in sys.argv[2:] if word != "--build"])
