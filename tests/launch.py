"""Starts the program that is tested, alone or as the ranks of one run.

A file of tests is called as FILE_test.py CONVOY [unittest arguments] and ends with `main()`.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from patience import patience


def environment(threads=1, **more):
    """Variables of a process that may be mpirun, which does not run as root without being told twice."""
    return dict(os.environ, OMP_NUM_THREADS=str(threads), OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                **more)


def mpirun(ranks):
    """What to put in front of a command that is to run on so many ranks, on however few cores."""
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks)]


def children(pid):
    """The processes that this one has started: of mpirun, its ranks."""
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(child) for child in listed.split()]


def finish(process):
    """Waits for what `ProgramTest.start` has started."""
    try:
        out, err = process.communicate(timeout=patience(120))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class ProgramTest(unittest.TestCase):
    """A test of the program, in a folder of its own."""
    program = ""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, text, name="net.yaml"):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def start(self, *arguments, ranks=1, threads=1, variables=None, **options):
        """Begins in the test's folder, with more `variables` in its environment; no mpirun where there is one rank."""
        command = [*(mpirun(ranks) if ranks > 1 else []), self.program, *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.folder, env=environment(threads, **(variables or {})), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def launch(self, *arguments, **options):
        return finish(self.start(*arguments, **options))

    def succeed(self, *arguments, **options):
        result = self.launch(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def refuse(self, code, parts, *arguments, ranks=(1, 2)):
        """On each of these rank counts the command exits with `code`, and one line, from one rank, holds all `parts`."""
        for count in ranks:
            with self.subTest(arguments=arguments, ranks=count):
                result = self.launch(*arguments, ranks=count)
                self.assertEqual(result.returncode, code, result.stderr)
                lines = [line for line in result.stderr.splitlines() if all(part in line for part in parts)]
                self.assertEqual(len(lines), 1, f"{parts} in: {result.stderr}{result.stdout}")
                self.assertFalse((self.folder / "runs").exists(), "nothing is half-written")


def main():
    if len(sys.argv) < 2:
        sys.exit(sys.modules["__main__"].__doc__)
    ProgramTest.program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
