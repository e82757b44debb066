#!/usr/bin/env python3
"""A run is killed right before or right after one of the calls that change files: every such call is tried. It may be rank
0 itself that dies then, the other rank, or mpirun. The run that goes on ends with the same weights and metrics as one that
nobody disturbed, and no checkpoint is ever found damaged.

usage: kill_points_test.py CONVOY [unittest arguments]
"""
import concurrent.futures
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from faulty_calls import FaultyTest  # noqa: E402
from launch import main  # noqa: E402
from run_files import differing, read_metrics  # noqa: E402

KILLS = 1000 if DEEP else 8
SEED = int(os.environ.get("CONVOY_TEST_SEED", random.SystemRandom().randrange(10**6)))


class KillPoints(FaultyTest):
    def one(self, number, ranks, whom, when, nth):
        """None, or what is wrong."""
        run = self.folder / f"run-{number}"
        what = f"{whom} of {ranks} ranks {when} call {nth}"
        status, _, err = self.run_with({"CALL": "save", "NTH": nth, "DO": when, "WHOM": whom, "RANK": 0, "BELOW": run},
                                       ["train", "net.yaml", "--output", run], ranks)
        # A sibling or mpirun may have been through when the signal came.
        if status == 0 and whom == "self":
            return f"{what}: nobody was killed: {err}"
        status, out, err = self.run_with({}, ["train", "net.yaml", "--output", run, "--resume", "auto"], ranks)
        if status != 0:
            return f"{what}: resumed with {status}: {out}{err}"
        if "skipping a checkpoint" in err:
            return f"{what}: a checkpoint was damaged: {err}"
        whole = self.folder / f"whole-{ranks}"
        for name in ("checkpoints/epoch-0003.safetensors", "checkpoints/best.safetensors"):
            if differing(run / name, whole / name):
                return f"{what}: other weights in {name}: {out}{err}"
        if read_metrics(run) != read_metrics(whole):
            return f"{what}: other metrics: {read_metrics(run)}"
        left = [path.name for path in run.rglob("*.tmp*")]
        if left:
            return f"{what}: {left} are left"
        return None

    def test_kills_at_every_call(self):
        points = []
        for ranks, victims in ((1, ["self"]), (2, ["self", "sibling", "launcher"])):
            whole = self.folder / f"whole-{ranks}"
            saves = self.calls(["train", "net.yaml", "--output", whole], ranks, below=whole)["save"]
            self.assertGreater(saves, 200)
            points += [(ranks, whom, when, nth) for whom in victims for when in ("kill-before", "kill-after")
                       for nth in range(1, saves + 1)]
        print(f"CONVOY_TEST_SEED={SEED}: {KILLS} of {len(points)} moments", file=sys.stderr)
        chosen = random.Random(SEED).sample(points, min(KILLS, len(points)))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            wrong = [problem for problem in pool.map(lambda pair: self.one(pair[0], *pair[1]), enumerate(chosen)) if problem]
        print(f"{len(chosen) - len(wrong)} of {len(chosen)} went on to the same bits", file=sys.stderr)
        self.assertEqual(wrong, [], "\n".join(wrong[:10]))


if __name__ == "__main__":
    main()
