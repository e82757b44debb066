#!/usr/bin/env python3
"""Faults of single ranks under mpirun: all ranks are gone in time, and the run's folder says whose fault it was.

usage: faults_test.py CONVOY [unittest arguments]
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import launch  # noqa: E402
from data_files import write_mnist  # noqa: E402
from networks import SMALL  # noqa: E402
from patience import patience  # noqa: E402
from run_files import epochs_in  # noqa: E402

CONVOY = ""
TIMEOUT = round(patience(3))  # distributed.timeout
NET = SMALL.replace("epochs: 2, global_batch: 1000", "epochs: 100000, global_batch: 500") + f"distributed: {{timeout: {TIMEOUT}}}\n"

# What rank $FAULTY meets: MPI's sums fail from the 40th on, a step of the second epoch never ends or takes SLOW_SECONDS, or the
# 20th sum comes out otherwise than on the other ranks.
PLANTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int here(const char* what) {
  const char* faulty = getenv("FAULTY");
  const char* rank = getenv("OMPI_COMM_WORLD_RANK");
  return faulty && rank && !strcmp(faulty, rank) && !strcmp(getenv("FAULT"), what);
}
static int sums;
int MPI_Iallreduce(const void* in, void* out, int n, MPI_Datatype t, MPI_Op op, MPI_Comm c, MPI_Request* r) {
  if (here("sum") && ++sums == 40) return MPI_ERR_INTERN;
  if (here("weight") && t == MPI_FLOAT && ++sums == 20) {
    int status = PMPI_Iallreduce(in, out, n, t, op, c, r);
    if (!status) status = MPI_Wait(r, MPI_STATUS_IGNORE);
    *(float*)out += 0.25f;
    return status;
  }
  return PMPI_Iallreduce(in, out, n, t, op, c, r);
}
static int rows;
/* Called for the loss of each row by the thread that computes, which waits for nobody at that moment. An epoch has 35000 rows on
   each of two ranks. */
float logf(float x) {
  if (++rows == 60000 && here("stuck")) pause();
  if (rows == 60000 && here("slow")) sleep(atoi(getenv("SLOW_SECONDS")));
  float (*real)(float) = dlsym(RTLD_NEXT, "logf");
  return real(x);
}
"""


class Run:
    """`convoy train` on several ranks, each of which leaves its process id behind."""

    def __init__(self, folder, ranks, *arguments, **environment):
        self.folder, self.ranks = folder, ranks
        self.output = folder / "run"
        for rank in range(ranks):
            (folder / f"pid.{rank}").unlink(missing_ok=True)
        command = [*launch.mpirun(ranks), "bash", "-c",
                   'echo $$ >"pid.$OMPI_COMM_WORLD_RANK"; test -d "at.$OMPI_COMM_WORLD_RANK" && cd "at.$OMPI_COMM_WORLD_RANK"; exec "$@"',
                   "bash", CONVOY, "train", str(folder / "net.yaml"), "--output", str(self.output), *arguments]
        self.process = subprocess.Popen(command, cwd=folder, env=launch.environment(**environment), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def pid(self, rank):
        return int((self.folder / f"pid.{rank}").read_text())

    def signal(self, rank, number):
        os.kill(self.pid(rank), number)

    def wait_for_epochs(self, count):
        """Until so many epochs are in the metrics."""
        deadline = time.monotonic() + patience(120)
        while self.process.poll() is None and time.monotonic() < deadline:
            if epochs_in(self.output) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(f"not trained: {self.end()}")

    def alive(self):
        """Ranks whose process is there and no zombie."""
        def lives(rank):
            try:
                return pathlib.Path(f"/proc/{self.pid(rank)}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
            except (FileNotFoundError, ProcessLookupError):
                return False
        return [rank for rank in range(self.ranks) if lives(rank)]

    def end(self, limit=patience(60)):
        """(status, stderr, seconds from now until launcher and ranks were gone)."""
        start = time.monotonic()
        try:
            self.said, errors = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there after {limit} s") from None
        while self.alive() and time.monotonic() - start < limit:
            time.sleep(0.02)
        return self.process.returncode, errors, time.monotonic() - start

    def kill(self):
        self.process.kill()
        for rank in self.alive():
            os.kill(self.pid(rank), signal.SIGKILL)
        self.process.communicate()

    def failure(self):
        return json.loads((self.output / "failure.json").read_text())


class Faults(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-faults-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "net.yaml").write_text(NET)

    def start(self, ranks, *arguments, **environment):
        run = Run(self.folder, ranks, *arguments, **environment)
        self.addCleanup(run.kill)
        return run

    def plant(self, fault, rank):
        """Variables that plant a fault in one rank."""
        (self.folder / "planted.c").write_text(PLANTED)
        library = self.folder / "planted.so"
        build = subprocess.run(["mpicc", "-shared", "-fPIC", "-o", str(library), str(self.folder / "planted.c"), "-ldl"],
                               capture_output=True, text=True)
        if build.returncode != 0:
            self.skipTest(f"cannot build what plants the fault: {build.stderr}")
        return {"LD_PRELOAD": str(library), "FAULT": fault, "FAULTY": str(rank)}

    def expect_end(self, run, rank, reason, limit):
        """All are gone within the limit; the record and one line of stderr name the rank."""
        status, errors, seconds = run.end()
        print(f"{self.id().rsplit('.', 1)[1]}: all gone after {seconds:.2f} s (limit {limit})", file=sys.stderr)
        self.assertNotEqual(status, 0)
        self.assertEqual(run.alive(), [])
        self.assertLessEqual(seconds, limit, errors)
        failure = run.failure()
        self.assertEqual(failure["rank"], rank, failure)
        self.assertIn(reason, failure["reason"])
        self.assertTrue(failure["host"] and failure["device"], failure)
        self.assertGreater(failure["step"], 0)
        said = [line for line in errors.splitlines() if f"rank {rank} on host" in line and reason in line]
        self.assertEqual(len(said), 1, errors)
        return failure

    def test_a_rank_that_is_killed(self):
        rank = random.randrange(3)
        run = self.start(3)
        run.wait_for_epochs(1)
        run.signal(rank, signal.SIGKILL)
        failure = self.expect_end(run, rank, "without a goodbye", patience(5))
        self.assertNotEqual(failure["witness"], rank)

    def test_a_rank_that_is_stopped(self):
        run = self.start(2)
        run.wait_for_epochs(1)
        run.signal(1, signal.SIGSTOP)
        self.expect_end(run, 1, "no sign of life", TIMEOUT + patience(2))

    def test_rank_zero_stopped_and_the_run_resumed(self):
        run = self.start(2)
        run.wait_for_epochs(1)
        run.signal(0, signal.SIGSTOP)
        failure = self.expect_end(run, 0, "no sign of life", TIMEOUT + patience(2))
        self.assertEqual(failure["witness"], 1)
        done = epochs_in(run.output)
        status, errors, _ = self.start(2, "--resume", "auto", f"train.epochs={done + 1}").end(patience(300))
        self.assertEqual(status, 0, errors)
        self.assertFalse((run.output / "failure.json").exists(), "a resumed run removes the old record")

    def test_all_ranks_paused_and_continued(self):
        run = self.start(2)
        run.wait_for_epochs(1)
        for rank in (0, 1):
            run.signal(rank, signal.SIGSTOP)
        time.sleep(TIMEOUT + 1)
        for rank in (1, 0):
            run.signal(rank, signal.SIGCONT)
        done = epochs_in(run.output)
        run.wait_for_epochs(done + 2)
        self.assertEqual(run.alive(), [0, 1])
        self.assertFalse((run.output / "failure.json").exists())

    def test_an_error_on_one_rank(self):
        run = self.start(2, **self.plant("sum", 1))
        status, errors, _ = run.end(patience(300))
        self.assertEqual(status, 1, errors)
        failure = run.failure()
        self.assertEqual((failure["rank"], failure["witness"]), (1, 1))
        self.assertIn("MPI: ", failure["reason"])
        self.assertIn("rank 1 error MPI: ", errors)

    def test_a_step_that_never_ends(self):
        run = self.start(2, f"distributed.step_timeout={round(patience(8))}", **self.plant("stuck", 1))
        run.wait_for_epochs(1)
        failure = self.expect_end(run, 1, "has not moved on", patience(60))
        self.assertEqual(failure["witness"], 0)

    def test_a_slow_step(self):
        run = self.start(2, f"distributed.step_timeout={round(patience(8))}", SLOW_SECONDS=str(round(patience(14))), **self.plant("slow", 1))
        run.wait_for_epochs(1)
        failure = self.expect_end(run, 1, "has not moved on", patience(60))
        self.assertEqual(failure["witness"], 0)

    def test_a_slow_step_that_may_take_long(self):
        run = self.start(2, "train.epochs=10", f"distributed.step_timeout={round(patience(60))}", SLOW_SECONDS="14", **self.plant("slow", 1))
        start = time.monotonic()
        status, errors, _ = run.end(patience(300))
        self.assertEqual(status, 0, errors)
        self.assertGreater(time.monotonic() - start, 10, "the fault was not met")

    def test_an_altered_weight(self):
        run = self.start(3, "distributed.verify_every=5", **self.plant("weight", 1))
        status, errors, _ = run.end(patience(300))
        self.assertEqual(status, 1, errors)
        failure = run.failure()
        self.assertEqual(failure["rank"], 1, failure)
        self.assertRegex(failure["reason"], r"after step 20 the weights of rank 1 \(host \S+\) are not those of the others: "
                         r"2\.(weight|bias) is the first tensor")
        self.assertEqual(errors.count("is the first tensor that differs"), 1, "one line, of one rank")

    def test_an_altered_weight_is_no_checkpoint(self):
        run = self.start(2, "distributed.verify_every=100000", "checkpoint.every_steps=3", **self.plant("weight", 1))
        status, errors, _ = run.end(patience(300))
        self.assertEqual(status, 1, errors)
        self.assertIn("after step 21 the weights of", run.failure()["reason"])
        checkpoints = sorted(path.name for path in (run.output / "checkpoints").glob("*.safetensors"))
        self.assertIn("epoch-0001-step-00000018.safetensors", checkpoints)
        self.assertEqual([name for name in checkpoints if "step-00000021" in name], [])

    def test_data_that_one_rank_lacks(self):
        (self.folder / "run").mkdir()
        (self.folder / "run" / "failure.json").write_text("of an earlier run")
        (self.folder / "at.1").mkdir()  # rank 1 starts there and finds no such folder
        write_mnist(self.folder / "images")
        run = self.start(2, "data={source: mnist, path: images}")
        status, errors, _ = run.end()
        self.assertEqual(status, 1, errors)
        self.assertEqual(errors.count("images is not a folder"), 1, "one line, of one rank")
        failure = run.failure()
        self.assertEqual(failure["rank"], 1)
        self.assertIn("images is not a folder", failure["reason"])


if __name__ == "__main__":
    CONVOY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
