#!/usr/bin/env python3
"""What the program needs to start, and what it opens when: MPI's library and plugin, NCCL, cuBLAS.

usage: libraries_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, environment, main  # noqa: E402
from networks import SMALL  # noqa: E402

PLUGINS = ("convoy_mpi_openmpi.so", "convoy_mpi_mpich.so")
LAUNCHERS = {"convoy_mpi_openmpi.so": ("mpirun.openmpi", "--oversubscribe", "--bind-to", "none"), "convoy_mpi_mpich.so": ("mpirun.mpich",)}


def needed_by(file):
    """Names of the libraries without which the loader does not start it."""
    text = subprocess.run(["readelf", "-d", file], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text)


class Libraries(ProgramTest):
    def setUp(self):
        super().setUp()
        self.plugins = [path for name in PLUGINS if (path := pathlib.Path(self.program).parent / "lib" / "convoy" / name).exists()]
        self.write(SMALL)

    def copy(self, *plugins):
        """The program in a folder of its own, with these plugins beside it."""
        folder = self.folder / "copy"
        folder.mkdir()
        for file in (self.program, *plugins):
            shutil.copy2(file, folder)
        return str(folder / pathlib.Path(self.program).name)

    def run_ranks(self, launcher, *command, **variables):
        if shutil.which(launcher[0]) is None:
            self.skipTest(f"no {launcher[0]} here")
        return subprocess.run([*launcher, "-np", "2", *command], cwd=self.folder, env=environment(**variables), capture_output=True,
                              text=True, timeout=120)

    def complaint(self, result):
        """The one text that the ranks end with, each for itself."""
        self.assertNotEqual(result.returncode, 0, result.stdout)
        lines = {line for line in result.stderr.splitlines() if line.startswith("error: ")}
        self.assertEqual(len(lines), 1, result.stdout + result.stderr)
        return lines.pop()

    def test_the_program_starts_without_them(self):
        for file in (self.program, *self.plugins):
            needed = needed_by(file)
            self.assertTrue(any(name.startswith("libc.") for name in needed), needed)
            for name in needed:
                self.assertNotRegex(name, r"mpi|nccl|cublas|cuda", file)

    def test_one_rank_trains_without_mpi(self):
        program = self.copy()
        result = subprocess.run([program, "train", "net.yaml", "--output", "run"], cwd=self.folder, env=environment(),
                                capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertTrue((self.folder / "run" / "metrics.jsonl").read_text())

    def test_a_missing_plugin_is_named(self):
        program = self.copy()
        said = subprocess.run([program, "--version"], env=environment(), capture_output=True, text=True, check=True).stdout
        line = next(line for line in said.splitlines() if line.startswith("MPI "))
        self.assertIn(f"has no {PLUGINS[0]}", line)
        for name, launcher in LAUNCHERS.items():
            with self.subTest(launcher=launcher[0]):
                self.assertRegex(self.complaint(self.run_ranks(launcher, program, "check", "net.yaml")),
                                 rf"has no {name}, so it cannot run on several ranks of .*: build Convoy where .* is installed")

    def test_the_launchers_mpi_is_taken(self):
        losses = []
        for plugin in self.plugins:
            with self.subTest(plugin=plugin.name):
                program = self.copy(*self.plugins) if not losses else str(self.folder / "copy" / pathlib.Path(self.program).name)
                folder = plugin.stem
                result = self.run_ranks(LAUNCHERS[plugin.name], program, "train", "net.yaml", "--output", folder)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                self.assertIn("2 ranks", result.stdout)
                epochs = [json.loads(line) for line in (self.folder / folder / "metrics.jsonl").read_text().splitlines()]
                losses.append([epoch["train_loss"] for epoch in epochs if "train_loss" in epoch])
                self.assertTrue(losses[-1])
                said = self.run_ranks(LAUNCHERS[plugin.name], program, "check", "net.yaml").stdout
                self.assertRegex(said, r"MPI (Open MPI|MPICH|Intel).* \d+\.\d.*, /.*libmpi" if plugin.name == PLUGINS[1]
                                 else r"MPI Open MPI v?\d+\.\d.*, .*libmpi\.so\.40")
        for other in losses[1:]:
            for mine, theirs in zip(losses[0], other, strict=True):
                self.assertAlmostEqual(mine, theirs, places=4)

    def test_the_users_choice_of_another_mpi_is_noticed(self):
        if len(self.plugins) < 2:
            self.skipTest("needs the plugins of two MPIs")
        result = self.run_ranks(LAUNCHERS[PLUGINS[0]], self.program, "check", "net.yaml", CONVOY_MPI="mpich")
        self.assertRegex(self.complaint(result), r"the launcher started 2 ranks, but MPI \(MPICH .*\) sees one: .*CONVOY_MPI")

    def test_an_unknown_choice_is_refused(self):
        result = subprocess.run([self.program, "--version"], env=environment(CONVOY_MPI="lam"), capture_output=True, text=True)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("it may be openmpi, mpich, or the path", result.stderr)

    def test_a_library_is_taken_from_the_folder_that_is_named(self):
        """As Python's packages have them; a file there that is no library does not stop the program."""
        for plugin, launcher in LAUNCHERS.items():
            with self.subTest(plugin=plugin):
                said = self.run_ranks(launcher, self.program, "--version").stdout
                found = re.search(r"^MPI .*, (/\S+)$", said, re.MULTILINE)
                if not found:
                    self.skipTest(f"no library for {plugin} here")
                library = pathlib.Path(found[1])
                wheel = self.folder / "wheel"
                wheel.mkdir(exist_ok=True)
                (wheel / library.name).symlink_to(library)
                result = self.run_ranks(launcher, self.program, "check", "net.yaml", CONVOY_LIBRARY_PATH=f"/nowhere:{wheel}")
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                self.assertIn(f", {wheel / library.name}", result.stdout)
                (wheel / library.name).unlink()
                (wheel / library.name).write_text("no library " * 100)
                result = self.run_ranks(launcher, self.program, "check", "net.yaml", CONVOY_LIBRARY_PATH=str(wheel))
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                self.assertIn(f", {library}", result.stdout)


if __name__ == "__main__":
    main()
