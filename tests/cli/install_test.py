#!/usr/bin/env python3
"""`cmake --install` leaves all that a program of somebody else's needs to classify images, and nothing large.

usage: install_test.py CONVOY [unittest arguments]
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from networks import DIGITS  # noqa: E402
from patience import patience  # noqa: E402

CONVOY = pathlib.Path()
MOST_BYTES = 20_000_000
CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(client LANGUAGES CXX)
find_package(convoy 0.1 REQUIRED)
add_executable(client client.cpp)
target_link_libraries(client PRIVATE convoy::convoy)
"""
CLIENT = """
#include <convoy/convoy.h>
#include <iostream>
int main(int, char** arguments) try {
  convoy::Classifier classifier(arguments[1]);
  const std::vector<std::uint8_t> black(2 * 28 * 28, 0);
  for (const auto& scores : classifier.classify(black, 3))
    for (const convoy::ClassScore& score : scores) std::cout << score.name << ' ' << score.probability << '\\n';
  try {
    classifier.classify(std::span(black).first(1000), 3);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\\n';
  }
} catch (const std::exception& error) {
  std::cerr << "client: " << error.what() << '\\n';
  return 3;
}
"""


def problem():
    """Why these tests cannot run, if so."""
    cache = CONVOY.parent / "CMakeCache.txt"
    if not cache.exists() or not shutil.which("cmake"):
        return "no build folder or no cmake"
    text = cache.read_text()
    if not re.search(r"^CMAKE_BUILD_TYPE:\w+=Release$", text, re.M):
        return "no release build"
    return "" if re.search(r"^CONVOY_SHARED:BOOL=ON$", text, re.M) else "CONVOY_SHARED is off"


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if problem():
            raise unittest.SkipTest(problem())
        folder = tempfile.TemporaryDirectory(prefix="convoy-install-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.prefix = cls.folder / "prefix"
        subprocess.run(["cmake", "--install", CONVOY.parent, "--prefix", cls.prefix, "--strip"], check=True,
                       capture_output=True, timeout=patience(60))

    def call(self, command, returncode=0, **options):
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=patience(120), **options)
        self.assertEqual(result.returncode, returncode, result.stdout + result.stderr)
        return result

    def test_a_client(self):
        source, build, run = self.folder / "client", self.folder / "build", self.folder / "run"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(CMAKE)
        (source / "client.cpp").write_text(CLIENT)
        (self.folder / "digits.yaml").write_text(DIGITS)
        convoy = self.prefix / "bin" / "convoy"
        self.call([convoy, "train", self.folder / "digits.yaml", "--output", run])
        self.call(["cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}"])
        self.call(["cmake", "--build", build])
        result = self.call([build / "client", run])
        self.assertRegex(result.stderr, "^1000 bytes are no whole number of images")
        lines = result.stdout.splitlines()
        self.assertEqual(len(lines), 6)
        self.assertEqual(lines[:3], lines[3:])  # the same image twice
        probabilities = [float(line.split()[1]) for line in lines[:3]]
        self.assertEqual(probabilities, sorted(probabilities, reverse=True))
        self.assertTrue(0 < sum(probabilities) <= 1.0001)
        wrong = self.call([build / "client", self.folder / "nothing"], returncode=3)
        self.assertRegex(wrong.stderr, r"client: .*nothing")

    def test_the_program_finds_its_plugins(self):
        built = sorted(path.name for path in (CONVOY.parent / "lib" / "convoy").glob("convoy_mpi_*.so"))
        self.assertEqual(sorted(path.name for path in (self.prefix / "lib" / "convoy").iterdir()) if built else [], built)
        for name in built:
            mpi = name.removeprefix("convoy_mpi_").removesuffix(".so")
            said = self.call([self.prefix / "bin" / "convoy", "--version"], env=dict(os.environ, CONVOY_MPI=mpi)).stdout
            self.assertNotIn("has no convoy_mpi", said)

    def test_only_its_own_functions_show(self):
        if not shutil.which("nm"):
            self.skipTest("no nm")
        library = next(path for path in self.prefix.rglob("libconvoy.so*") if not path.is_symlink())
        names = self.call(["nm", "-DC", "--defined-only", library]).stdout.splitlines()
        ours = [line.split(maxsplit=2)[2] for line in names if "convoy::" in line]
        strangers = [name for name in ours if "convoy::Classifier::" not in name and "std::" not in name]
        self.assertTrue(any("Classifier::classify(" in name for name in ours))
        self.assertEqual(strangers, [])

    def test_it_is_small(self):
        files = [path for path in self.prefix.rglob("*") if path.is_file() and not path.is_symlink()]
        sizes = {str(path.relative_to(self.prefix)): path.stat().st_size for path in files}
        self.assertLess(sum(sizes.values()), MOST_BYTES, json.dumps(sizes, indent=1))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CONVOY = pathlib.Path(sys.argv.pop(1)).resolve()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    unittest.main()
