#!/usr/bin/env python3
"""`convoy train --profile`: what it prints, the trace it leaves, and that the run stays what it was; and what NVIDIA's
profilers see of a run on a GPU.

usage: profile_test.py CONVOY [unittest arguments]
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402
from run_files import checkpoints, differing, read_metrics  # noqa: E402

# Ten steps an epoch, the last of them short.
NET = """
name: net
data:
  source: synthetic
  synthetic: {image: [3, 8, 8], classes: 4, train: 150, test: 20}
model:
  input: [3, 8, 8]
  layers:
    - conv: {out: 6, kernel: 3, bias: false}
    - batchnorm
    - relu
    - maxpool: 2
    - dropout: 0.2
    - flatten
    - linear: 4
train: {epochs: 2, global_batch: 16}
optimizer: {name: adam, lr: 0.01}
device: cpu
"""


class ProfileTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NET)

    def train(self, output, *arguments, **options):
        result = self.succeed("train", "net.yaml", "--output", output, *arguments, **options)
        return self.folder / output, result.stdout

    def planned(self, *arguments, ranks=1):
        """(node, call) of rank 0's training steps, by the batch's size, as `convoy plan` prints them."""
        out = self.succeed("plan", "net.yaml", *arguments, ranks=ranks).stdout
        plans, columns = {}, None
        for line in out.splitlines():
            if line.startswith("training step"):
                columns = plans.setdefault(int(line.split(", ")[1].split()[0]), [])
            elif not line.startswith("  "):
                columns = None
            elif columns is not None and not line.startswith(("  node", "  " + str(len(columns)) + " calls")):
                node, call = re.match(r"  (.{12,}?) (\S+) +[\d.]+ +[\d.]+ \w+  ", line).groups()
                columns.append((node.strip(), call))
        return plans

    def events(self, run):
        return json.loads((run / "trace.json").read_text())["traceEvents"]

    def spans(self, run):
        """{(rank, lane): [(begin, end, name)]} in the order of time."""
        lanes = {}
        for event in self.events(run):
            if event["ph"] == "X":
                lanes.setdefault((event["pid"], event["tid"]), []).append(
                    (event["ts"], event["ts"] + event["dur"], event["name"]))
        return {lane: sorted(spans) for lane, spans in lanes.items()}

    def rows(self, out):
        """The table's lines of calls, and of sums, as lists of words."""
        lines = out[out.index("profile of "):].splitlines()
        sums = next(i for i, line in enumerate(lines) if line.startswith("  sums per kind"))
        end = next(i for i, line in enumerate(lines) if " all calls " in line)
        return [line.split() for line in lines[2:sums]], [line.split() for line in lines[sums + 1:end]], lines[end].split()


class Profile(ProfileTest):
    def test_every_call_is_in_the_trace_and_none_overlaps_another(self):
        run, out = self.train("run", "--profile", "--profile-steps", "3")
        (calls,) = [calls for size, calls in self.planned().items() if size == 16]
        self.assertGreater(len(calls), 10)
        lanes = self.spans(run)
        self.assertEqual(list(lanes), [(0, 0)])  # a CPU has one lane
        spans = lanes[0, 0]
        self.assertEqual([name for _, _, name in spans], [" ".join(call).strip() for call in calls] * 3)
        for before, after in zip(spans, spans[1:]):
            self.assertLessEqual(before[1], after[0] + 1e-3, (before, after))  # digits that JSON has left out

    def test_shares_are_of_the_whole(self):
        run, out = self.train("run", "--profile")
        self.assertIn("the mean of 5 steps", out)
        calls, kinds, whole = self.rows(out)
        self.assertEqual(len(calls), int(whole[0]))
        shares = [float(row[row.index("main") + 2]) for row in calls]
        self.assertAlmostEqual(sum(shares), 100, delta=0.005 * len(shares) + 1e-9)
        self.assertAlmostEqual(sum(float(row[4]) for row in kinds), 100, delta=0.005 * len(kinds) + 1e-9)
        self.assertEqual(sum(int(row[0]) for row in kinds), len(calls))
        self.assertEqual(whole[5], "100.00")
        lanes, (size,) = self.spans(run), {len(calls)}
        seconds = sum(end - begin for begin, end, _ in lanes[0, 0]) / 5 / 1e3
        self.assertAlmostEqual(seconds, float(whole[4]), delta=1e-3 * seconds + 1e-3)
        self.assertEqual(len(lanes[0, 0]), 5 * size)
        timed = [event["args"] for event in self.events(run) if event["ph"] == "X"]
        for what, rate in (("flops", float(whole[6])), ("bytes", float(whole[7]))):  # in 10^9 a second; one digit is shown
            amount = sum(arguments[what] for arguments in timed) / 5
            self.assertAlmostEqual(rate, amount / seconds / 1e6, delta=0.01 * rate + 0.06, msg=what)

    def test_the_run_keeps_every_bit(self):
        (plain, _), (profiled, out) = self.train("plain"), self.train("profiled", "--profile", "--profile-steps", "100")
        last = checkpoints(plain)[-1]
        self.assertEqual(differing(plain / "checkpoints" / last, profiled / "checkpoints" / last), [])
        self.assertEqual(read_metrics(plain), read_metrics(profiled))
        # As many as there are: of 20 steps the first two are no part of it, short batches have a plan of their own.
        plans = self.planned()
        spans = self.spans(profiled)[0, 0]
        self.assertEqual(len(spans), 16 * len(plans[16]) + 2 * len(plans[6]))
        self.assertIn("the mean of 16 steps", out)
        self.assertFalse((plain / "trace.json").exists())

    def test_two_ranks_share_a_trace(self):
        run, out = self.train("run", "--profile", "--profile-steps", "2", ranks=2)
        lanes = self.spans(run)
        self.assertEqual(sorted(lanes), [(0, 0), (1, 0)])
        first = min(spans[0][0] for spans in lanes.values())
        self.assertTrue(0 <= first < 1e5, f"the trace begins with the first rank's first call, not at {first} us")
        calls = [" ".join(call).strip() for call in self.planned(ranks=2)[16]]
        for spans in lanes.values():
            self.assertEqual([name for _, _, name in spans], calls * 2)
            self.assertTrue(any("all_reduce" in name for name in calls), calls)
        self.assertEqual(out.count("profile of "), 1)
        names = [event for event in self.events(run) if event["ph"] == "M"]
        self.assertEqual({event["pid"] for event in names}, {0, 1})

    def test_a_trace_that_cannot_be_written_does_not_end_a_run(self):
        run, _ = self.train("run", "train.epochs=1")
        (run / "trace.json").mkdir()
        _, out = self.train("run", "--resume", "auto", "--profile")
        self.assertIn("no trace:", out)
        self.assertEqual(len(read_metrics(run)), 3)  # two epochs and the summary

    def test_bad_number_of_steps(self):
        for arguments in (["--profile", "--profile-steps", "0"], ["--profile-steps", "3"]):
            self.assertEqual(self.launch("train", "net.yaml", *arguments).returncode, 2)


class Ranges(ProfileTest):
    """NVTX loads a library of the tests that writes down what it is told (tests/nvtx)."""

    def setUp(self):
        super().setUp()
        self.recorder = pathlib.Path(self.program).parent / "tests" / "libnvtx_ranges.so"
        if not self.recorder.exists():
            self.skipTest("built without CUDA, or without tests")
        if shutil.which("nvidia-smi") is None or subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode != 0:
            self.skipTest("no GPU")

    def ranges(self, output, *arguments):
        """What the main thread of a training began and ended: [(name, [(name, ...) within])], in order."""
        lines = self.folder / "ranges"
        self.train(output, "device=cuda", "train.epochs=1", *arguments,
                   variables={"NVTX_INJECTION64_PATH": str(self.recorder), "CONVOY_RANGES": str(lines)})
        open_ranges = [[]]
        for line in lines.read_text().splitlines():
            thread, what, name = line.split(" ", 2)
            self.assertEqual(thread, "0", line)
            if what == "push":
                open_ranges[-1].append((name, []))
                open_ranges.append(open_ranges[-1][-1][1])
            else:
                open_ranges.pop()
            self.assertTrue(open_ranges, "no end without a begin")
        self.assertEqual(len(open_ranges), 1, "every begin has its end")
        return open_ranges[0]

    def test_a_step_that_is_captured_has_a_range_for_each_call_and_later_ones_have_one_of_their_own(self):
        plans = self.planned("device=cuda")
        full, short = ([" ".join(call).strip() for call in plans[size]] for size in (16, 6))
        self.assertGreater(len(full), 10)
        for output, arguments, timed in ("plain", (), []), ("profiled", ("--profile", "--profile-steps", "2"), full):
            with self.subTest(output):
                steps = [calls for name, calls in self.ranges(output, *arguments) if name == "training step"]
                self.assertEqual([[name for name, _ in calls] for calls in steps], [full, [], timed, timed, *[[]] * 5, short])


if __name__ == "__main__":
    main()
