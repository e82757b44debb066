"""Small data in the places that the documents name, so that their commands run as they stand."""
import pathlib
import random
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from data_files import png, write_mnist  # noqa: E402

CLASSES = ("cat", "dog", "horse")


def picture(label, seed):
    """The bytes of a PNG of some size, with a colour and a grain that go with the class."""
    at = random.Random(100 * label + seed)
    height, width = at.randrange(40, 90), at.randrange(40, 90)
    return png(height, width, lambda y, x: tuple((60 * label + 40 * c + (1 + label) * (x + 2 * y) + seed) % 256
                                                 for c in range(3)))


def make_pictures(folder):
    """pictures/{train,val}/CLASS/*, some more in new/. PNG under the names of JPEG: contents decide."""
    for part, count in (("train", 6), ("val", 3)):
        for label, name in enumerate(CLASSES):
            (folder / "pictures" / part / name).mkdir(parents=True)
            for i in range(count):
                (folder / "pictures" / part / name / f"{i}.jpg").write_bytes(picture(label, i + 10 * count))
    (folder / "new").mkdir()
    for label, name in enumerate(("one.jpg", "two.jpg", "three.png")):
        (folder / "new" / name).write_bytes(picture(label, 99))


def make_cifar(folder, images=20):
    folder.mkdir()
    at = random.Random(1)
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        count = images // 5 if name.startswith("data") else images // 2
        (folder / name).write_bytes(b"".join(bytes([i % 10]) + at.randbytes(3072) for i in range(count)))


def make(folder, program):
    """A folder that looks like a clone in which everything was built, with data. Returns its folder of programs."""
    for name in ("configs", "tools", "slurm", "bench", "notebooks", "CMakePresets.json"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.cu", "*.cuh"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for preset in ("gpu", "cpu", "t4"):
        (folder / "build" / preset).mkdir(parents=True)
        (folder / "build" / preset / "convoy").symlink_to(program)
    make_pictures(folder)
    config = (ROOT / "configs" / "folder_small.yaml").read_text()
    for mine, yours in (("data/pictures", "pictures"), ("linear: 10", f"linear: {len(CLASSES)}"), ("folder-small", "pets")):
        config = config.replace(mine, yours)
    (folder / "pets.yaml").write_text(config)  # as the tutorial makes it
    write_mnist(folder / "mnist")
    make_cifar(folder / "cifar10")
    return folder / "build" / "cpu"
