#!/usr/bin/env python3
"""The model of a data-parallel step: its limits, a case worked out by hand, and what it reads.

usage: scaling_model_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import scaling_inputs  # noqa: E402
import scaling_model  # noqa: E402
from convoy_runs import run_convoy  # noqa: E402
from scaling_inputs import Curve, Row, Step  # noqa: E402
from scaling_model import make_buckets, simulate, sum_time  # noqa: E402

CONVOY = ""
# Forward, two calls of backward that leave 6 and 2 bytes, the update.
STEP = Step(calls=[2.0, 3.0, 4.0, 1.0], tensors=[(6, 1), (2, 2)], normalizations=[(1, 0)], join=3)
PLAN = """tiny: 7 parameters, 2 ranks

training step, 4 images over all ranks
  node         call                          MFLOP        bytes  shape
  0            linear.wgrad                   1.00        8.0 B  n=1 2 -> 1
  bucket 0     all_reduce                     0.00      128.0 B  count=16 f32
  1 calls, 1.00 MFLOP, 136 B moved

training step, 8 images over all ranks
  node         call                          MFLOP        bytes  shape
  1            batchnorm.statistics           1.00      1.0 KiB  n=4
  1            all_reduce                     0.00      2.0 KiB  count=128 f64
  1            join                           0.00          0 B  
  2            linear.dgrad                   4.00      1.0 KiB  n=4 2 -> 1
  2            linear.wgrad                   4.00      1.0 KiB  n=4 2 -> 1
  bucket 0     all_reduce                     0.00      512 B  count=64 f32
  0            conv.wgrad                     2.00      4.0 KiB  n=4
  bucket 1     all_reduce                     0.00      512 B  count=128 f32
  optimizer    join                           0.00          0 B  
  running averages batchnorm.running              0.03    113.1 KiB  count=9600
  optimizer    sgd                            1.00      1.0 KiB  count=64
  11 calls, 12.03 MFLOP, 122 KiB moved

evaluation step, 8 images over all ranks
"""


def slow(size):
    """One second and one for each byte."""
    return 1.0 + size


class Model(unittest.TestCase):
    def step_seconds(self, bucket_bytes=1, seconds_of=slow, contention=0.0, normalizations=()):
        return simulate(STEP, make_buckets(STEP.tensors, bucket_bytes), normalizations, seconds_of, contention)

    def test_two_buckets_worked_out_by_hand(self):
        # Calls end at 2, 5, 9. The sum of 6 bytes runs from 5 to 12, that of 2 bytes waits for it and ends at 15.
        self.assertEqual(self.step_seconds(), 15 + 1)
        # The call from 5 to 9 runs beside the first sum at half its speed: it ends at 5 + 7 + 0.5 = 12.5, and so the second
        # sum at 15.5.
        self.assertEqual(self.step_seconds(contention=0.5), 15.5 + 1)

    def test_one_bucket_is_exposed_as_a_whole(self):
        self.assertEqual(self.step_seconds(bucket_bytes=8), 9 + slow(8) + 1)

    def test_sums_of_batchnorm_are_waited_for(self):
        # From 2 to 4; then all is two seconds later.
        self.assertEqual(self.step_seconds(normalizations=STEP.normalizations), 15 + slow(1) + 1)

    def test_a_sum_of_batchnorm_waits_for_buckets_before_it(self):
        # Behind call 1: from 12 to 14; the call after it ends at 18, its bucket's sum at 21.
        self.assertEqual(self.step_seconds(normalizations=[(1, 1)]), 21 + 1)

    def test_sums_without_cost_leave_the_step_as_it_is(self):
        for contention in (0.0, 0.5):
            self.assertEqual(self.step_seconds(seconds_of=lambda size: 0.0, contention=contention,
                                               normalizations=STEP.normalizations), STEP.seconds())

    def test_what_is_unexplained_grows_with_each_doubling(self):
        case = {"batchnorm": "local", "batch": 4}
        for ranks, seconds in ((1, 10.0), (2, 10.2), (8, 10.6)):
            row = scaling_model.predict(case, STEP, ranks, {"sums": "switch", "contention": 0.0, "unexplained_seconds": 0.2},
                                        [Curve(2, [(1, 1e-12)])])
            self.assertAlmostEqual(row["step_seconds"], seconds)
            self.assertAlmostEqual(row["images_per_second"], 4 * ranks / seconds)

    def test_batchnorm_over_each_ranks_own_images_sums_nothing(self):
        assumption = {"sums": "switch", "contention": 0.0}
        times = [scaling_model.predict({"batchnorm": groups, "batch": 4}, STEP, 2, assumption, [Curve(2, [(1, 0.5), (8, 0.5)])],
                                       2**-20)["step_seconds"] for groups in ("local", "global")]
        self.assertEqual(times, [10.5, 11.0])

    def test_without_calls_all_sums_are_exposed(self):
        step = Step([0.0] * 4, STEP.tensors, STEP.normalizations, STEP.join)
        self.assertEqual(simulate(step, make_buckets(step.tensors, 1), step.normalizations, slow, 0.3), 7 + 3 + 2)

    def test_faster_sums_never_make_a_step_longer(self):
        for contention in (0.0, 0.2):
            times = [self.step_seconds(seconds_of=lambda size, speed=speed: (1 + size) / speed, contention=contention)
                     for speed in (0.5, 1, 2, 4, 8, 1e9)]
            self.assertEqual(times, sorted(times, reverse=True))
            self.assertAlmostEqual(times[-1], STEP.seconds(), places=6)

    def test_buckets_are_closed_when_they_are_full(self):
        tensors = [(3, 5), (2, 4), (1, 6), (9, 2), (1, 7)]
        self.assertEqual(make_buckets(tensors, 4), [(5, 5), (10, 6), (1, 7)])
        self.assertEqual(make_buckets(tensors, 100), [(16, 7)])
        self.assertEqual(make_buckets(tensors, 1), [(9, 2), (2, 4), (3, 5), (1, 6), (1, 7)])  # as they are completed

    def test_sums_over_more_ranks(self):
        two = Curve(2, [(100, 1.0), (10000, 5.0)])
        self.assertEqual(sum_time("switch", [two], 8)(10000), 5.0)
        self.assertAlmostEqual(sum_time("tree", [two], 8)(10000), 3 * 1.0 + 1.75 * 4)
        self.assertAlmostEqual(sum_time("ring", [two], 8)(10000), 7 * 1.0 + 1.75 * 4)
        eight = Curve(8, [(100, 4.0), (10000, 20.0)])
        self.assertAlmostEqual(sum_time("measured", [eight, two], 4)(100), 4.0 ** 0.5)
        self.assertEqual(sum_time("measured", [eight, two], 8)(10000), 20.0)
        self.assertAlmostEqual(sum_time("measured", [eight, two], 16)(100), 4.0 * 4 / 3)
        for kind in ("switch", "tree", "ring", "measured"):
            for curves in ([two], [two, eight]):
                self.assertAlmostEqual(sum_time(kind, curves, 2)(777), two(777))

    def test_a_curve_between_and_beyond_its_sizes(self):
        curve = Curve.read({"ranks": 8, "rows": [{"bytes": 10000, "bus_bytes_per_second": 3500}, {"bytes": 100, "seconds": 1.0}]})
        self.assertEqual([curve(1), curve(100), curve(10000), curve(30000)], [1.0, 1.0, 5.0, 15.0])
        self.assertAlmostEqual(curve(1000), 5 ** 0.5)

    def test_a_plan_and_a_profile_make_a_step(self):
        rows = scaling_inputs.read_plan(PLAN)
        self.assertEqual(rows[0], Row("1", "batchnorm.statistics", 1e6, 1024, "n=4"))
        self.assertEqual(rows[9].node, "running averages")
        # Fused with others, on two lanes, twice; the weights' gradient ends after the call that comes next.
        events = [("0+1", "conv.fprop+bn.stats", 0, 10), ("2", "linear.wgrad", 10, 25), ("2", "linear.dgrad", 10, 5),
                  ("0+9", "conv.wgrad+x", 15, 25), ("optimizer", "check_gradients", 40, 5), ("optimizer", "sgd", 45, 5)]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "trace.json"
            path.write_text(json.dumps({"traceEvents": [
                {"name": "rank 0", "ph": "M"}, *({"name": f"{node} {call}", "ph": "X", "ts": ts + begin, "dur": duration}
                                                 for begin in (100, 300) for node, call, ts, duration in events)]}))
            step = scaling_inputs.make_step(rows, scaling_inputs.read_trace(path), 100.0)
        self.assertEqual([round(seconds, 9) for seconds in step.calls], [20, 10, 40, 10, 10, 10])
        self.assertEqual(step.normalizations, [(1024, 0)])
        self.assertEqual(step.tensors, [(256, 2), (512, 3)])
        self.assertEqual(step.join, 4)

    def test_a_profile_of_another_network_is_noticed(self):
        with self.assertRaisesRegex(scaling_inputs.Failure, "no conv.wgrad of 0"):
            scaling_inputs.make_step(scaling_inputs.read_plan(PLAN), [("1", "batchnorm.statistics", 1.0), ("2", "linear.wgrad", 2.0)],
                                     1.0)

    def test_without_a_profile_flops_and_bytes_share_the_step_out(self):
        calls = scaling_inputs.estimate_calls([Row("0", "a", 8.0, 1.0, ""), Row("bucket 0", "all_reduce", 0.0, 9.0, ""),
                                               Row("0", "b", 1.0, 6.0, "")], 4.0, 2.0)
        self.assertEqual(calls, [("0", "a", 2.0), ("0", "b", 5.0)])


@unittest.skipUnless(shutil.which("mpirun"), "no mpirun")
class Plans(unittest.TestCase):
    def test_buckets_are_those_of_the_program(self):
        config = ROOT / "configs/cifar10_resnet18.yaml"
        rows = scaling_inputs.read_plan(scaling_inputs.print_plan(CONVOY, config, [], 8))
        step = scaling_inputs.make_step(rows, scaling_inputs.estimate_calls(rows, 1e12, 1e12), 1.0)
        self.assertEqual(len(step.normalizations), 40)  # each batchnorm, forward and backward
        for size in (1, 4):
            text = run_convoy(CONVOY, "plan", config, "device=cpu", "train.global_batch=16", f"train.bucket_mb={size}", ranks=2)
            expected = [row.summed_bytes() for row in scaling_inputs.read_plan(text)
                        if row.call == "all_reduce" and row.node.startswith("bucket")]
            self.assertGreater(len(expected), 3)
            self.assertEqual([bucket for bucket, _ in make_buckets(step.tensors, size * 2**20)], expected)

    def test_the_whole_of_it(self):
        inputs = json.loads((ROOT / "bench/data/h200.json").read_text())
        inputs["cases"] = [case for case in inputs["cases"] if case["batch"] == 128][:1]
        inputs["cases"][0]["measured"] = {"2": 110000}
        inputs["cases"][0]["trace"] = str(ROOT / "bench/data" / inputs["cases"][0]["trace"])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "inputs.json").write_text(json.dumps(inputs))
            result = subprocess.run([sys.executable, str(ROOT / "bench/scaling_model.py"), str(path / "inputs.json"), "--convoy",
                                     CONVOY, "--json", str(path / "out.json"), "--chart", str(path / "out.png")],
                                    capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            case, = json.loads((path / "out.json").read_text())["cases"]
            self.assertTrue((path / "out.png").exists() or "no chart" in result.stdout, result.stdout)
        self.assertIn("measured on 2 ranks", result.stdout)
        self.assertEqual([row["ranks"] for row in case["rows"]], [1, 2, 4, 8])
        self.assertAlmostEqual(case["rows"][0]["expected"]["images_per_second"], 58514)
        for row in case["rows"][1:]:
            speeds = [row[scenario]["images_per_second"] for scenario in scaling_model.SCENARIOS]
            self.assertEqual(speeds, sorted(speeds))
            self.assertLess(row["expected"]["efficiency"], 1)
            self.assertGreater(row["expected"]["efficiency"], 0.8)

    def test_a_missing_file_is_named(self):
        result = subprocess.run([sys.executable, str(ROOT / "bench/scaling_model.py"), "nowhere.json"], capture_output=True,
                                text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("nowhere.json", result.stderr)


if __name__ == "__main__":
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
