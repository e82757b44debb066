"""Runs of the program in which one call fails, or at one call of which a process is killed; see preload/faulty_calls.cpp."""
import os
import pathlib
import subprocess

from launch import ProgramTest, environment, mpirun
from patience import patience

# A run of 24 steps that saves after every other one: some 350 calls that change files.
NET = """
name: net
data:
  source: synthetic
  synthetic: {image: [1, 8, 8], classes: 4, train: 96, test: 24}
model:
  input: [1, 8, 8]
  layers:
    - conv: {out: 4, kernel: 3, pad: same}
    - batchnorm: {group: 3}
    - relu
    - flatten
    - linear: 4
train: {epochs: 3, global_batch: 12}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
device: cpu
checkpoint: {every_steps: 2, keep: 3, best: true}
distributed: {timeout: TIMEOUT}
"""


def library(program):
    return pathlib.Path(program).parent / "tests" / "libfaulty_calls.so"


class FaultyTest(ProgramTest):
    def setUp(self):
        super().setUp()
        if not library(self.program).exists():
            self.skipTest(f"{library(self.program)} is not built")
        self.write(NET.replace("TIMEOUT", str(round(patience(5)))))

    def run_with(self, fault, arguments, ranks=1, limit=120):
        """Ends with (status, what was printed, what was complained of). `fault`: {"CALL": "write", "NTH": 3, ...}."""
        variables = {f"FAULTY_{key}": str(value) for key, value in fault.items()}
        if fault:
            variables["LD_PRELOAD"] = str(library(self.program))
        command = [*(mpirun(ranks) if ranks > 1 else []), "env", *(f"{name}={value}" for name, value in variables.items()),
                   self.program, *map(str, arguments)]
        # A session of its own, so that nothing of it is left when mpirun was killed.
        process = subprocess.Popen(command, cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            out, err = process.communicate(timeout=patience(limit))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            raise
        return process.returncode, out, err

    def calls(self, arguments, ranks=1, below=""):
        """{call: how many of them rank 0 makes, on files below a folder}, "save" among them: all that change files."""
        counts = self.folder / "counts"
        status, out, err = self.run_with({"COUNTS": counts, "RANK": 0, "BELOW": below}, arguments, ranks)
        self.assertEqual(status, 0, out + err)
        return {name: int(number) for name, number in map(str.split, counts.read_text().splitlines())}
