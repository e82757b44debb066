#!/usr/bin/env python3
"""Something else where a file should be read: pipes that nobody writes to, sockets, devices without end, folders, files that may
not be read. Every command says what it is and ends; none waits or reads on.

usage: inputs_test.py CONVOY [unittest arguments]
"""
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import png, write_mnist  # noqa: E402
from depth import DEEP  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from patience import patience  # noqa: E402

NET = """
name: net
data: {source: synthetic, synthetic: {image: [3, 8, 8], classes: 2, train: 20, test: 10}}
model: {input: [3, 8, 8], layers: [flatten, linear: 2]}
train: {epochs: 1, global_batch: 10, tensorboard: false}
device: cpu
"""
FOLDER = NET.replace("synthetic, synthetic: {image: [3, 8, 8], classes: 2, train: 20, test: 10}", "folder, path: pictures")
PACKED = NET.replace("synthetic, synthetic: {image: [3, 8, 8], classes: 2, train: 20, test: 10}", "packed, path: all.pack")
CIFAR = NET.replace("[3, 8, 8]", "[3, 32, 32]").replace("linear: 2", "linear: 10").replace(
    "synthetic, synthetic: {image: [3, 32, 32], classes: 2, train: 20, test: 10}", "cifar10, path: cifar")
MNIST = NET.replace("[3, 8, 8]", "[1, 28, 28]").replace("linear: 2", "linear: 10").replace(
    "synthetic, synthetic: {image: [1, 28, 28], classes: 2, train: 20, test: 10}", "mnist, path: mnist")


def pipe(path):
    os.mkfifo(path)


def a_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)
    os.chdir(here)


def device(path):
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # as /dev/zero


def unreadable(path):
    path.write_bytes(b"x")
    path.chmod(0)


KINDS = {"it is a pipe": pipe, "it is a socket": a_socket, "it is a device": device, "folder": pathlib.Path.mkdir,
         "Permission denied": unreadable}


class Inputs(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NET)
        self.write(FOLDER, "folder.yaml")
        self.write(PACKED, "packed.yaml")
        self.write(CIFAR, "cifar.yaml")
        self.write(MNIST, "mnist.yaml")
        write_mnist(self.folder / "mnist")
        (self.folder / "cifar").mkdir()
        for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            (self.folder / "cifar" / f"{name}.bin").write_bytes(bytes(3073))
        for part in ("train", "val"):
            for kind in "ab":
                folder = self.folder / "pictures" / part / kind
                folder.mkdir(parents=True)
                for i in range(5):
                    (folder / f"{i}.png").write_bytes(png(9, 9, lambda y, x: (i * 20, y * 9, ord(kind))))
        (self.folder / "x.png").write_bytes(png(8, 8, lambda y, x: (1, y, x)))
        self.succeed("data", "pack", "pictures", "all.pack", "--size", "9")
        self.succeed("train", "net.yaml", "--output", "run")
        self.succeed("export", "run", "--output", "w.safetensors")

    def kinds(self):
        for said, make in KINDS.items():
            if make is device and os.geteuid() != 0:
                continue
            yield said, make

    def put(self, make, name):
        """That in the file's place; returns what starts a program for which a file without permission is one."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        make(path)
        if make is not unreadable or os.geteuid() != 0:
            return {}
        subprocess.run(["chown", "-R", "nobody", self.folder], check=True)
        os.chown(path, 0, 0)
        return {"user": "nobody"}

    def ends(self, code, said, name, *arguments, **options):
        """Soon, with one line that names the file and says this."""
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=patience(20))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.fail("it waits")
        self.assertIn(process.returncode, code, out + err)
        lines = [line for line in (out + err).splitlines() if name in line and said in line]
        self.assertEqual(len(lines), 1, out + err)
        self.assertNotIn("filesystem error", lines[0])
        return out + err

    def each_kind(self, name, commands, but=None):
        whole = self.folder.with_name(self.folder.name + "-whole")
        shutil.copytree(self.folder, whole)
        for kind, make in self.kinds():
            if make is but:
                continue
            for command in commands:
                with self.subTest(kind=make.__name__, file=name, command=command):
                    options = self.put(make, name)
                    self.ends((1, 2), kind, pathlib.Path(name).name, *command.split(), **options)
                    shutil.rmtree(self.folder)
                    shutil.copytree(whole, self.folder)
        shutil.rmtree(whole)

    def test_configurations(self):
        commands = ["check net.yaml", "train net.yaml", "data info net.yaml", "bench data net.yaml", "plan net.yaml"]
        self.folder.joinpath("net.yaml").rename(self.folder / "good.yaml")
        for kind, make in self.kinds():
            if make is pathlib.Path.mkdir:
                kind = "directory"
            for command in commands if DEEP else commands[:3]:
                if (make, command) == (pathlib.Path.mkdir, "data info net.yaml"):
                    continue  # a folder of pictures may be meant
                with self.subTest(kind=make.__name__, command=command):
                    options = self.put(make, "net.yaml")
                    self.ends((1, 2), kind, "net.yaml", *command.split(), **options)

    def test_weights(self):
        self.each_kind("w.safetensors", ["predict w.safetensors x.png", "export w.safetensors --output y.safetensors",
                                         "eval w.safetensors", "train net.yaml --init w.safetensors",
                                         "train net.yaml --resume w.safetensors"][:5 if DEEP else 2])

    def test_files_of_data_sets(self):
        self.each_kind("mnist/train-images-idx3-ubyte", ["train mnist.yaml"], but=pathlib.Path.mkdir)
        self.each_kind("mnist/t10k-labels-idx1-ubyte.gz", ["data info mnist.yaml"], but=pathlib.Path.mkdir)
        self.each_kind("cifar/data_batch_3.bin", ["check cifar.yaml", "train cifar.yaml"][:2 if DEEP else 1])
        self.each_kind("all.pack", ["train packed.yaml", "data info packed.yaml"])

    def test_pictures(self):
        self.each_kind("x.png", ["predict run x.png"], but=pathlib.Path.mkdir)  # a folder's pictures may be meant
        self.each_kind("SUMS", ["data fetch mnist --sums SUMS --output got"])

    def test_checkpoints_are_skipped(self):
        self.succeed("train", "net.yaml", "--output", "run", "--resume", "auto", "train.epochs=2")
        for kind, make in self.kinds():
            with self.subTest(kind=make.__name__):
                options = self.put(make, "run/checkpoints/epoch-0002.safetensors")
                if make is unreadable:  # a file that is one, but cannot be read
                    self.ends((0,), kind, "epoch-0002", "predict", "run", "x.png", **options)
                else:
                    self.ends((0,), " %", "x.png", "predict", "run", "x.png", **options)
        self.put(pipe, "run/checkpoints/epoch-0099.safetensors")
        self.put(pipe, "run/checkpoints/epoch-0002.safetensors")
        self.ends((0,), "resuming after epoch 1", "epoch-0001", "train", "net.yaml", "--output", "run", "--resume", "auto",
                  "train.epochs=3")

    def test_files_of_runs(self):
        for name in ("config.yaml", "metrics.jsonl", "failure.json", "train.log"):
            for kind, make in self.kinds():
                with self.subTest(kind=make.__name__, file=name):
                    shutil.copytree(self.folder / "run", self.folder / "runs" / "r")
                    options = self.put(make, f"runs/r/{name}")
                    result = self.launch("runs", **options)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertNotIn("filesystem error", result.stdout + result.stderr)
                    shutil.rmtree(self.folder / "runs")

    def test_what_the_shell_hands_over(self):
        for command in ("convoy check <(cat net.yaml)", "cat net.yaml | convoy check /dev/stdin",
                        "convoy predict <(cat run/checkpoints/epoch-0001.safetensors) x.png"):
            with self.subTest(command=command):
                result = self.shell(command)
                self.assertEqual(result.returncode, 0, result.stderr)
        result = self.shell("convoy check <(cat /dev/zero)")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("more than the 1048576 bytes", result.stdout + result.stderr)

    def shell(self, command):
        path = f"{pathlib.Path(self.program).parent}:{os.environ['PATH']}"
        return subprocess.run(["bash", "-c", command], cwd=self.folder, capture_output=True, text=True,
                              env=dict(os.environ, PATH=path), timeout=patience(60))

    def test_a_silent_pipe_ends_by_a_signal(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        for command in ("train", "check"):
            process = self.start(command, f"/dev/fd/{read}", pass_fds=[read])
            time.sleep(0.5)
            self.assertIsNone(process.poll(), "it reads")
            process.terminate()
            self.assertNotEqual(process.wait(timeout=patience(5)), 0)
            process.communicate()


class Packed(ProgramTest):
    def pack(self, *pixels):
        for n, pixel in enumerate(pixels):
            for kind in "ab":
                folder = self.folder / f"p{n}" / kind
                folder.mkdir(parents=True)
                for i in range(40):
                    (folder / f"{i}.png").write_bytes(png(40, 40, lambda y, x: (pixel, y, i)))

    def test_damage_is_found(self):
        self.pack(1)
        self.succeed("data", "pack", "p0", "x.pack", "--size", "16")
        self.assertIn("all 80 images were read, none is damaged", self.succeed("data", "info", "--verify", "x.pack").stdout)
        with open(self.folder / "x.pack", "r+b") as file:
            for image in (3, 50):
                file.seek(4096 + image * 768 + 99)
                file.write(b"\xff")
        result = self.launch("data", "info", "--verify", "x.pack")
        self.assertEqual(result.returncode, 1)
        self.assertIn("x.pack: 2 of 80 images are damaged", result.stderr)
        self.assertIn("image 50 ", result.stdout)
        self.write(PACKED.replace("all.pack", "x.pack, validation: 0.1"))
        result = self.launch("train", "net.yaml", ranks=2)
        self.assertEqual(result.returncode, 1)
        self.assertIn("x.pack: a damaged packed file: the pixels of image", result.stderr)
        self.assertIn("all 80 images were read", self.succeed("data", "info", "--verify", "p0").stdout)
        (self.folder / "p0" / "a" / "7.png").write_bytes(b"no")
        result = self.launch("data", "info", "--verify", "p0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("p0: 1 of 80 images are damaged", result.stderr)

    def test_cut_short_under_a_run(self):
        self.pack(1)
        self.succeed("data", "pack", "p0", "x.pack", "--size", "16")
        self.write(PACKED.replace("all.pack", "x.pack, validation: 0.1, resident: false"))
        process = self.start("train", "net.yaml", "train.epochs=1000000", "checkpoint.every_epochs=1000000", "--output", "run",
                             ranks=2)
        metrics = self.folder / "run" / "metrics.jsonl"
        deadline = time.monotonic() + patience(60)
        while not (metrics.exists() and metrics.stat().st_size > 0):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        os.truncate(self.folder / "x.pack", 5000)
        out, err = process.communicate(timeout=patience(60))
        self.assertEqual(process.returncode, 1, out + err)
        self.assertIn("cannot read x.pack: it ends at byte", err)
        reason = (self.folder / "run" / "failure.json").read_text()
        self.assertIn("x.pack", reason)
        self.assertIn('"rank"', reason)

    def test_two_packers_of_one_file(self):
        self.pack(1, 200)
        for n in (0, 1):
            self.succeed("data", "pack", f"p{n}", f"{n}.pack", "--size", "64")
        whole = [(self.folder / f"{n}.pack").read_bytes() for n in (0, 1)]
        self.assertNotEqual(whole[0], whole[1])
        done = threading.Event()
        torn = []

        def watch():  # at no moment is it anything but one of the two
            while not done.is_set():
                try:
                    content = (self.folder / "both.pack").read_bytes()
                except FileNotFoundError:
                    continue
                if content not in whole:
                    torn.append(len(content))
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for turn in range(20 if DEEP else 3):
                packers = [self.start("data", "pack", f"p{n}", "both.pack", "--size", "64") for n in (0, 1)]
                for packer in packers:
                    out, err = packer.communicate(timeout=patience(60))
                    self.assertEqual(packer.returncode, 0, err)
        finally:
            done.set()
            watcher.join()
        self.assertEqual(torn, [])
        self.assertIn((self.folder / "both.pack").read_bytes(), whole)
        self.assertEqual([p.name for p in self.folder.glob("*.tmp")], [])


if __name__ == "__main__":
    main()
