#!/usr/bin/env python3
"""The batch scripts under a Slurm of the test's own: preempted, requeued and resumed runs end as undisturbed ones.

usage: slurm_test.py CONVOY [unittest arguments]
"""
import csv
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import deep  # noqa: E402
from patience import patience  # noqa: E402
from run_files import differing, read_metrics  # noqa: E402
from slurm.cluster import Cluster, Unavailable  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONVOY = ""
# Some seconds of training on two ranks of one thread, with a checkpoint every few steps.
STEADY = """
name: steady
data: {source: mnist, path: images}
model:
  input: [1, 28, 28]
  layers:
    - maxpool: 4
    - conv: {out: 16, kernel: 3, pad: same}
    - batchnorm: {group: 5}
    - relu
    - flatten
    - linear: 10
train: {epochs: 5, global_batch: 20}
optimizer: {name: sgd, lr: 0.01, momentum: 0.9}
checkpoint: {every_steps: 50, keep: 0}
"""
LAST = "epoch-0005.safetensors"
# Says how it was started instead of training.
ECHO = """#!/usr/bin/env bash
echo "node $SLURM_NODEID gpus ${CUDA_VISIBLE_DEVICES:-none} threads $OMP_NUM_THREADS: $*"
"""
# The first start does not listen to signals yet.
DEAF = """#!/usr/bin/env bash
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 0
echo started
exec sleep 60
"""


def write_images(folder, counts, dice):
    """Files as MNIST's: noise, with a bright bar that moves down with the class."""
    folder.mkdir()
    for part, count in counts.items():
        labels = bytes(index % 10 for index in range(count))
        with open(folder / f"{part}-images-idx3-ubyte", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 28, 28))
            for label in labels:
                image = bytearray(dice.randbytes(28 * 28))
                image[label * 72:label * 72 + 56] = b"\xff" * 56
                file.write(image)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)


class Slurm(unittest.TestCase):
    unavailable = None  # why there is no Slurm

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-slurm-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        try:
            cls.cluster = Cluster(cls.folder, nodes=2, gpus=2)
        except Unavailable as reason:
            cls.unavailable = f"no Slurm: {reason}"
            return
        cls.addClassCleanup(cls.cluster.stop)
        # runs/ and logs should not land in this clone, nor its site.sh count.
        cls.root = cls.folder / "root"
        shutil.copytree(ROOT / "slurm", cls.root / "slurm", ignore=shutil.ignore_patterns("site.sh"))
        (cls.root / "net.yaml").write_text(STEADY)
        write_images(cls.root / "images", {"train": 6000, "t10k": 500}, random.Random(1))
        cls.undisturbed = None

    def setUp(self):
        if self.unavailable:
            self.skipTest(self.unavailable)

    def submit(self, script, *arguments, options=(), **environment):
        settings = dict(CONVOY=CONVOY, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        return self.cluster.submit("--cpus-per-task=1", *options, f"slurm/{script}", *arguments, cwd=self.root,
                                   **settings | environment)

    def log(self, job):
        path = self.root / f"slurm-{job}.out"
        return path.read_text(errors="replace") if path.exists() else "(no log)"

    def expect_end(self, job, state="COMPLETED"):
        found = self.cluster.wait_for(job, ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"))
        self.assertEqual(found["JobState"], state, self.log(job))
        return found

    def write_program(self, name, text):
        """A program that stands in for convoy."""
        program = self.root / name
        program.write_text(text)
        program.chmod(0o755)
        return str(program)

    def whole(self):
        """The folder of an undisturbed run on two ranks."""
        if self.undisturbed is None:
            job = self.submit("train_cpu.sbatch", "net.yaml", "--output", "whole")
            self.assertEqual(self.expect_end(job)["Restarts"], "0")
            type(self).undisturbed = self.root / "whole"
        return self.undisturbed

    def await_steps(self, job, run):
        """Until the job is in the middle of its first epochs."""
        deadline = time.monotonic() + patience(60)
        while not (run / "checkpoints" / "epoch-0001-step-00000050.safetensors").exists():
            self.assertLess(time.monotonic(), deadline, self.log(job))
            time.sleep(0.005)

    def signal(self, job):
        """What Slurm does before the time is up."""
        self.cluster.command("scancel", "--batch", "--signal=USR1", job)

    def preempted(self, launcher, preempt=None):
        """A run that has to stop in its midst."""
        whole = self.whole()
        job = self.submit("train_cpu.sbatch", "net.yaml", LAUNCHER=launcher)
        run = self.root / "runs" / f"convoy-{job}"
        self.await_steps(job, run)
        (preempt or self.signal)(job)
        found = self.expect_end(job)
        log = self.log(job)
        self.assertEqual(found["Restarts"], "1", log)
        # After one, if the request came while the epoch was validated.
        self.assertEqual(len(re.findall("stopped on request (in|after) epoch", log)), 1, log)
        self.assertIn("resuming", log)
        self.assertEqual(log.count(f": {launcher} "), 2, log)
        self.assertEqual(differing(run / "checkpoints" / LAST, whole / "checkpoints" / LAST), [])
        accuracies = [read_metrics(folder)[-1]["val_accuracy"] for folder in (run, whole)]
        self.assertEqual(accuracies[0], accuracies[1])
        return log

    def test_preempted_under_srun(self):
        self.preempted("srun")

    @deep
    def test_preempted_under_mpirun(self):
        self.preempted("mpirun")

    def submit_urgent(self, _):
        """A job that needs all nodes and may take them from others."""
        self.cluster.submit("--partition=urgent", "--nodes=2", "--exclusive", "--output=urgent.out", "--wrap=sleep 1", cwd=self.root)

    @deep
    def test_preempted_by_another_job(self):
        # Slurm sends SIGTERM to the ranks, and not to the script. Under mpirun these are not Slurm's to signal.
        self.preempted("srun", self.submit_urgent)
        self.cluster.configure("SlurmctldParameters=preempt_send_user_signal")
        for launcher in ("srun", "mpirun"):
            with self.subTest(launcher):
                self.preempted(launcher, self.submit_urgent)

    @deep
    def test_two_nodes(self):
        whole = self.whole()
        for launcher in ("srun", "mpirun"):
            with self.subTest(launcher):
                job = self.submit("train_cpu.sbatch", "net.yaml", LAUNCHER=launcher, options=["--nodes=2", "--ntasks-per-node=1"])
                found = self.expect_end(job)
                self.assertEqual(found["NodeList"], "node[0-1]")
                run = self.root / "runs" / f"convoy-{job}"
                self.assertEqual(differing(run / "checkpoints" / LAST, whole / "checkpoints" / LAST), [])

    def test_an_array_of_two_values(self):
        array = self.submit("sweep.sbatch", "net.yaml", "optimizer.lr=0.05", "optimizer.lr=0.01 seed=2", "--", "train.epochs=1",
                            options=["--array=0-1"])
        for index, rate in ((0, "0.05"), (1, "0.01")):
            found = self.cluster.wait_for(f"{array}_{index}", ("COMPLETED", "FAILED"))
            log = self.log(f"{array}-{index}")
            self.assertEqual(found["JobState"], "COMPLETED", log)
            run = self.root / "runs" / f"sweep-{array}" / str(index)
            config = (run / "config.yaml").read_text()
            self.assertRegex(config, f"lr: {rate}")
            self.assertRegex(config, f"(?m)^seed: {index + 1}$")
            self.assertEqual([row["epoch"] for row in read_metrics(run) if "event" not in row], [1])
        (table,) = re.findall(r"Submitted batch job (\d+)", self.log(f"{array}-0") + self.log(f"{array}-1"))
        self.expect_end(table)
        self.assertRegex(self.log(table), r"(?s)0: optimizer.lr=0.05\n1: optimizer.lr=0.01 seed=2\n.*best val")
        with open(self.root / "runs" / f"sweep-{array}" / "table.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(sorted(pathlib.Path(row["folder"]).name for row in rows), ["0", "1"])
        for row in rows:
            self.assertGreater(float(row["best_val_accuracy"]), 0.5)

    def test_from_another_folder_with_the_settings_of_a_site(self):
        """Paths are those of the clone that the script lies in; partition, account and program come from slurm/site.sh."""
        clone, elsewhere = self.folder / "a clone", self.folder / "elsewhere"
        elsewhere.mkdir()
        shutil.copytree(self.root / "slurm", clone / "slurm")
        (clone / "configs").mkdir()
        (clone / "configs" / "net.yaml").write_text(STEADY)
        program = self.write_program("echo", ECHO)
        (clone / "slurm" / "site.sh").write_text(
            f'echo "unset: $UNSET_SOMEWHERE"\nexport SBATCH_PARTITION=urgent\nCONVOY="env LOADED=1 {program}"\nLAUNCHER=srun\n')
        done = subprocess.run([clone / "slurm" / "submit", "--parsable", "--ntasks-per-node=1", "--cpus-per-task=1", "train_cpu",
                               "configs/net.yaml", "seed=3"], cwd=elsewhere, env=self.cluster.environment, capture_output=True,
                              text=True, timeout=patience(60))
        self.assertEqual(done.returncode, 0, done.stderr)
        job = done.stdout.split()[-1]
        found = self.cluster.wait_for(job, ("COMPLETED", "FAILED"))
        log = (elsewhere / f"slurm-{job}.out").read_text()
        self.assertEqual((found["JobState"], found["Partition"]), ("COMPLETED", "urgent"), log)
        self.assertIn(f": train {clone}/configs/net.yaml seed=3 device=cpu --output runs/convoy-{job} --resume auto\n", log)

    def test_without_a_program(self):
        """It says where it looked, and how to come by one."""
        job = self.submit("train_cpu.sbatch", "net.yaml", CONVOY="")
        found = self.cluster.wait_for(job, ("COMPLETED", "FAILED"))
        self.assertEqual(found["JobState"], "FAILED")
        self.assertRegex(self.log(job), f"error: {self.root}/build/cpu/convoy is not there; build it .* CONVOY=PATH in .*site.sh")

    @deep
    def test_an_array_longer_than_its_values(self):
        array = self.submit("sweep.sbatch", "net.yaml", "optimizer.lr=0.05", options=["--array=1"])
        found = self.cluster.wait_for(f"{array}_1", ("COMPLETED", "FAILED"))
        self.assertEqual(found["JobState"], "FAILED")
        self.assertIn("task 1 of the array has no value", self.log(f"{array}-1"))

    @deep
    def test_a_cancelled_job_stays_cancelled(self):
        job = self.submit("train_cpu.sbatch", "net.yaml", "train.epochs=1000")
        self.await_steps(job, self.root / "runs" / f"convoy-{job}")
        self.cluster.command("scancel", job)
        self.expect_end(job, "CANCELLED")
        time.sleep(1)
        self.assertEqual(self.cluster.job(job)["JobState"], "CANCELLED", self.log(job))

    @deep
    def test_preempted_before_the_program_listens(self):
        program = self.write_program("deaf", DEAF)
        for launcher in ("srun", "mpirun"):
            with self.subTest(launcher):
                job = self.submit("train_cpu.sbatch", "net.yaml", CONVOY=program, LAUNCHER=launcher)
                deadline = time.monotonic() + patience(60)
                while "started" not in self.log(job):
                    self.assertLess(time.monotonic(), deadline, self.log(job))
                    time.sleep(0.01)
                self.signal(job)
                self.assertEqual(self.expect_end(job)["Restarts"], "1", self.log(job))

    @deep
    def test_a_job_that_fails_is_not_requeued(self):
        job = self.submit("train_cpu.sbatch", "net.yaml", "train.epoch=1")
        found = self.expect_end(job, "FAILED")
        self.assertEqual((found["Restarts"], found["ExitCode"]), ("0", "2:0"), self.log(job))
        self.assertIn('did you mean "epochs"?', self.log(job))

    @deep
    def test_gpu_scripts_start_a_task_per_gpu(self):
        program = self.write_program("echo", ECHO)
        for script, options, nodes in (("train_gpu.sbatch", [], "00"),
                                       ("train_gpu_nodes.sbatch", ["--gpus-per-node=2", "--ntasks-per-node=2"], "0011")):
            with self.subTest(script):
                job = self.submit(script, "net.yaml", "seed=3", options=options, CONVOY=program, LAUNCHER="srun")
                self.expect_end(job)
                said = sorted(line for line in self.log(job).splitlines() if line.startswith("node "))
                expected = f"gpus 0,1 threads 1: train net.yaml seed=3 device=cuda --output runs/convoy-{job} --resume auto"
                self.assertEqual(said, [f"node {node} {expected}" for node in nodes], self.log(job))


if __name__ == "__main__":
    CONVOY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
