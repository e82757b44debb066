#!/usr/bin/env python3
"""One byte of a checkpoint is changed, anywhere in it: whoever reads it says that it is damaged, and a run goes on from the
one before.

usage: checkpoint_flips_test.py CONVOY [unittest arguments]
"""
import concurrent.futures
import os
import pathlib
import random
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from depth import DEEP  # noqa: E402
from faulty_calls import NET  # noqa: E402
from launch import ProgramTest, main  # noqa: E402

FLIPS = 2000 if DEEP else 12
SEED = int(os.environ.get("CONVOY_TEST_SEED", random.SystemRandom().randrange(10**6)))


class CheckpointFlips(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NET.replace("TIMEOUT", "60"))
        self.succeed("train", "net.yaml", "--output", "run")
        self.last = self.folder / "run" / "checkpoints" / "epoch-0003.safetensors"

    def test_are_seen(self):
        content = self.last.read_bytes()
        dice = random.Random(SEED)

        def one(number):
            place, bit = dice_of[number]
            path = self.folder / f"flipped-{number}.safetensors"
            path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1:])
            result = self.launch("eval", path)
            path.unlink()
            if result.returncode == 1 and result.stderr.count(path.name) == 1:
                return None
            return f"byte {place} with {bit}: {result.returncode} {result.stdout[-200:]}{result.stderr}"

        # The head, where sizes and names stand, as often as all the rest.
        dice_of = [(dice.randrange(len(content) if number % 2 else 2048), 1 << dice.randrange(8)) for number in range(FLIPS)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            wrong = [problem for problem in pool.map(one, range(FLIPS)) if problem]
        print(f"CONVOY_TEST_SEED={SEED}: {FLIPS - len(wrong)} of {FLIPS} flips seen", file=sys.stderr)
        self.assertEqual(wrong, [], "\n".join(wrong[:10]))

    def test_a_run_goes_on_from_the_one_before(self):
        shutil.copytree(self.folder / "run", self.folder / "whole")
        content = bytearray(self.last.read_bytes())
        content[len(content) // 2] ^= 4
        self.last.write_bytes(content)
        result = self.succeed("train", "net.yaml", "--output", "run", "--resume", "auto")
        self.assertEqual(result.stderr.count("epoch-0003.safetensors"), 1, result.stderr)
        self.assertIn("after step 22 ", result.stdout)
        self.assertEqual(self.last.read_bytes()[-4096:], (self.folder / "whole/checkpoints" / self.last.name).read_bytes()[-4096:])


if __name__ == "__main__":
    main()
