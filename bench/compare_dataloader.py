#!/usr/bin/env python3
"""Convoy's folder source beside PyTorch's DataLoader with torchvision: the same JPEG files, the same cores.

usage: compare_dataloader.py [--folder DIR] [--images N] [--cores N] [--rounds N] [--seconds S] [--size 224] [--convoy PROGRAM]
                             [--json FILE]

Each program makes batches of 64 random resized crops (scale 0.08 to 1, antialiased bilinear), as uint8, from a folder's train/.
Convoy uses `convoy bench data` with a thread per core. PyTorch uses a worker process per core, decodes with PIL and with
torchvision.io.decode_jpeg, and flips half of the images, which Convoy does on the device. Without --folder the script makes
pictures: about 256 x 256, with a photograph's spectrum. All programs are bound to the same cores and take turns, so that a slow
moment of the machine slows all. The script prints images per second (median and range of the rounds) and the ratio of Convoy to
the faster DataLoader.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from PIL import Image
from torchvision import io
from torchvision.transforms import v2

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 64
CONFIG = """
name: loader
data:
  source: folder
  path: {folder}
  validation: 0.1
  augment: [random_resized_crop: {{scale: [0.08, 1]}}, flip: horizontal]
model: {{input: [3, {size}, {size}], layers: [globalavgpool, flatten, linear: 1000]}}
train: {{global_batch: {batch}}}
device: cpu
"""


def picture(random):
    """Noise whose amplitude falls with frequency, as that of photographs does, under a few flat shapes."""
    height, width = (int(side) for side in random.integers(232, 281, 2))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    channels = []
    for _ in range(3):
        phase = np.exp(2j * np.pi * random.random(frequency.shape))
        channels.append(np.fft.irfft2(phase / frequency, s=(height, width)))
    image = np.stack(channels, axis=-1)
    image = 0.6 * image[..., :1] + 0.4 * image  # channels that resemble each other
    image = 128 + 48 * (image - image.mean()) / image.std()
    y, x = np.mgrid[0:height, 0:width]
    for _ in range(4):
        centre, radius = random.random(2) * (height, width), random.integers(10, 60)
        image[np.hypot(y - centre[0], x - centre[1]) < radius] += random.normal(0, 50, 3)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def make_folder(folder, count, classes=4):
    random = np.random.Generator(np.random.PCG64(1))
    for i in range(count):
        path = folder / "train" / f"class{i % classes}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(random).save(path, quality=90)


class Pictures(torch.utils.data.Dataset):
    """Random resized crops of files, decoded by PIL or by torchvision."""

    def __init__(self, files, size, decoder):
        self.files, self.decoder = files, decoder
        crop = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
        self.transform = v2.Compose(crop + ([v2.PILToTensor()] if decoder == "PIL" else []))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path = self.files[index]
        if self.decoder == "PIL":
            with Image.open(path) as image:
                return self.transform(image.convert("RGB"))
        return self.transform(io.decode_jpeg(io.read_file(path), mode=io.ImageReadMode.RGB))


class Loader:
    """A DataLoader that goes on, epoch after epoch, with workers that stay."""

    def __init__(self, files, size, decoder, workers):
        self.loader = torch.utils.data.DataLoader(Pictures(files, size, decoder), batch_size=BATCH, shuffle=True,
                                                  num_workers=workers, persistent_workers=True, prefetch_factor=4)
        self.batches = iter(self.loader)

    def next(self):
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches)
        return len(batch)

    def rate(self, seconds):
        """Images per second; an epoch's end, where workers run dry, lies within as it does in training."""
        for _ in range(4):  # what was made ready while others were timed
            self.next()
        start, images = time.monotonic(), 0
        while time.monotonic() - start < seconds:
            images += self.next()
        return images / (time.monotonic() - start)


def convoy_rate(program, config, cores, seconds):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [program, "bench", "data", config, "--threads", str(cores), "--seconds", str(seconds), "--json", report.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
        return json.load(open(report.name))["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, help="holds train/CLASS/*.jpg")
    parser.add_argument("--images", type=int, default=1000, help="number of pictures to make without --folder")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--convoy", default=ROOT / "build/cpu/convoy")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cores])  # and of all that this process starts
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder
        if folder is None:
            folder = pathlib.Path(temporary) / "pictures"
            make_folder(folder, options.images)
        files = sorted(str(path) for path in (folder / "train").glob("*/*.jp*g"))
        config = pathlib.Path(temporary) / "loader.yaml"
        config.write_text(CONFIG.format(folder=folder.resolve(), size=options.size, batch=BATCH))
        rates = {"Convoy": [], "DataLoader, PIL": [], "DataLoader, decode_jpeg": []}
        size_mean = statistics.mean(os.path.getsize(path) for path in files[:1000])
        print(f"{len(files)} files of {size_mean / 1024:.0f} KiB on average, {options.size} x {options.size}, {options.cores} cores")
        for _ in range(options.rounds):  # workers that wait take no core, but may still fill their queues: so each starts anew
            rates["Convoy"].append(convoy_rate(options.convoy, config, options.cores, options.seconds))
            for decoder, name in (("PIL", "DataLoader, PIL"), ("torchvision", "DataLoader, decode_jpeg")):
                loader = Loader(files, options.size, decoder, options.cores)
                rates[name].append(loader.rate(options.seconds))
                del loader
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(value for name, value in medians.items() if name != "Convoy")
    for name, values in rates.items():
        print(f"{name:<26}{medians[name]:8.0f} images/s  ({min(values):.0f} to {max(values):.0f})")
    print(f"ratio to the faster DataLoader: {medians['Convoy'] / best:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"cores": options.cores, "files": len(files), "size": options.size, "rates": rates,
                                            "ratio": medians["Convoy"] / best}, indent=1) + "\n")


if __name__ == "__main__":
    main()
