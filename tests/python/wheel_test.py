#!/usr/bin/env python3
"""What a wheel holds, and that it works in an environment of its own without a network. Of the wheel that CONVOY_WHEEL names, else,
with tools/test --deep, of one that tools/wheel makes. tools/wheel_check tries it in a root where nothing else is.

usage: wheel_test.py CONVOY [unittest arguments]
"""
import base64
import csv
import email
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from depth import DEEP  # noqa: E402
from networks import DIGITS  # noqa: E402
from patience import patience  # noqa: E402

MOST_BYTES = 80_000_000
# What every system has that is new enough for the wheel's tag.
BASE = re.compile(r"ld-linux-x86-64|lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\+\+|z)\.so")


@unittest.skipUnless(DEEP or os.environ.get("CONVOY_WHEEL"), "for tools/test --deep, or CONVOY_WHEEL=FILE")
class Wheel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="convoy-wheel-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        named = os.environ.get("CONVOY_WHEEL")
        if not named:
            subprocess.run([ROOT / "tools" / "wheel", "--cpu"], env=dict(os.environ, DIST=str(cls.folder)), check=True, timeout=patience(3600))
        cls.wheel = pathlib.Path(named) if named else next(cls.folder.glob("convoy-*.whl"))
        cls.content = cls.folder / "content"
        with zipfile.ZipFile(cls.wheel) as archive:
            archive.extractall(cls.content)

    def elf_files(self):
        for path in sorted(self.content.rglob("*")):
            if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
                yield path

    def test_it_is_small_and_holds_nothing_twice(self):
        self.assertLess(self.wheel.stat().st_size, MOST_BYTES)
        seen = {}
        for path in self.elf_files():
            self.assertNotIn(path.read_bytes(), seen, path)
            seen[path.read_bytes()] = path
        self.assertTrue((self.content / "convoy" / "share" / "convoy" / "configs" / "quickstart.yaml").exists())
        self.assertTrue((self.content / "convoy" / "lib" / "convoy" / "convoy_mpi_openmpi.so").exists())

    @unittest.skipUnless(shutil.which("readelf"), "no readelf")
    def test_libraries_are_inside_or_everywhere(self):
        inside = {path.name for path in self.elf_files()}
        for path in self.elf_files():
            dynamic = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
            for name in re.findall(r"NEEDED.*\[(.*)\]", dynamic):
                self.assertTrue(name in inside or BASE.match(name), f"{path.name} needs {name}")

    def test_its_metadata(self):
        self.assertRegex(self.wheel.name, r"^convoy-[\d.]+-py3-none-manylinux_2_\d+_x86_64\.whl$")
        (path,) = self.content.glob("*.dist-info/METADATA")
        metadata = email.message_from_string(path.read_text())
        self.assertEqual(sorted(metadata.get_all("Provides-Extra")), ["cuda12", "cuda13", "mpi"])
        self.assertEqual(metadata["Requires-Python"], ">=3.9")
        self.assertIn(metadata["Version"], (ROOT / "CMakeLists.txt").read_text())

    def test_its_record(self):
        """Each file with its hash and size, as installers may check them."""
        (path,) = self.content.glob("*.dist-info/RECORD")
        with open(path, encoding="utf-8", newline="") as file:
            record = {name: (digest, size) for name, digest, size in csv.reader(file)}
        for file in filter(pathlib.Path.is_file, self.content.rglob("*")):
            digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
            expected = ("", "") if file == path else (f"sha256={digest}", str(file.stat().st_size))
            self.assertEqual(record.pop(str(file.relative_to(self.content)), None), expected, file)
        self.assertEqual(record, {}, "files that are not there")

    def test_in_an_environment_of_its_own(self):
        place = self.folder / "env"
        venv.create(place, with_pip=True)
        subprocess.run([place / "bin" / "pip", "install", "-q", "--no-index", "--no-deps", self.wheel], check=True, timeout=patience(120))

        def call(command, *arguments):
            return subprocess.run([place / "bin" / command, *arguments], env={"PATH": "/usr/bin:/bin"}, cwd=self.folder,
                                  capture_output=True, text=True, timeout=patience(120))

        self.assertRegex(call("convoy", "--version").stdout, r"^convoy [\d.]+\n")
        self.assertEqual(call("convoy", "nonsense").returncode, 2)
        (self.folder / "digits.yaml").write_text(DIGITS)
        trained = call("python", "-c", "import convoy; print(len(list(convoy.train('digits.yaml', output='run'))), "
                       "convoy.load('run', device='cpu').classes)")
        self.assertEqual(trained.stdout, "1 ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']\n", trained.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.argv.pop(1)
    unittest.main()
