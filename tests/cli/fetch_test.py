#!/usr/bin/env python3
"""`convoy data fetch` against a server on this machine that also truncates, stalls, lies, redirects and fails.

usage: fetch_test.py CONVOY [unittest arguments]
"""
import contextlib
import gzip
import hashlib
import http.server
import io
import math
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from data_files import idx  # noqa: E402
from launch import ProgramTest, main  # noqa: E402
from patience import patience  # noqa: E402

IMAGES, LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
CONFIG = """
data: {source: mnist, path: %s}
model: {input: [1, 28, 28], layers: [flatten, linear: 10]}
"""


def digits(*sizes):
    return gzip.compress(idx((i % 10 for i in range(math.prod(sizes))), *sizes))


MNIST = {f"{part}-{name}": content for part, count in (("train", 30), ("t10k", 20))
         for name, content in ((IMAGES, digits(count, 28, 28)), (LABELS, digits(count)))}
FIRST = "train-" + IMAGES


def cifar_archive(format, leave_out=""):
    """An archive like CIFAR-10's, with a record in each file, and one file more."""
    members = {f"data_batch_{i}.bin": bytes([i]) + bytes(3072) for i in range(1, 6)}
    members.update({"test_batch.bin": bytes([9]) + bytes([1]) * 3072, "readme.html": b"<html>" * 500})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=format) as archive:
        folder = tarfile.TarInfo("cifar-10-batches-bin")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in members.items():
            if name == leave_out:
                continue
            entry = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            entry.size, entry.mtime = len(content), 1.5  # in pax, a fraction takes a header of its own
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue(), members


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, each by the next of its `manners`; the last one stays."""
    daemon_threads = True

    def __init__(self, files, **manners):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.requests, self.released = dict(files), [], threading.Event()
        self.manners = {name: list(manners.get("first" if name == FIRST else "others", ["well"])) for name in files}
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.shutdown()
        self.server_close()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def handle_error(self, *_):
        pass  # clients that hang up are what these tests are about


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        start = int(re.match(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        self.server.requests.append((self.path, start))
        if name not in self.server.files:
            return self.send_error(404)
        manners = self.server.manners[name]
        manner = manners.pop(0) if len(manners) > 1 else manners[0]
        getattr(self, "answer_" + manner)(name, self.server.files[name], start)

    def head(self, length, start=0, whole=0):
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.flush()

    def answer_well(self, name, content, start):
        self.head(len(content) - start, start, len(content))
        self.wfile.write(content[start:])

    def answer_without_ranges(self, name, content, start):
        self.answer_well(name, content, 0)

    def answer_truncated(self, name, content, start):
        self.head(len(content) - start, start, len(content))
        self.wfile.write(content[start:start + (len(content) - start) // 2])
        self.close_connection = True

    def answer_stalling(self, name, content, start):
        self.head(len(content) - start, start, len(content))
        self.wfile.write(content[start:start + 10])
        self.wfile.flush()
        self.server.released.wait(20)
        self.close_connection = True

    def answer_in_silence(self, name, content, start):
        self.server.released.wait(20)
        self.close_connection = True

    def answer_slowly(self, name, content, start):
        self.head(len(content))
        for i in range(10):
            self.wfile.write(content[len(content) * i // 10:len(content) * (i + 1) // 10])
            self.wfile.flush()
            time.sleep(0.05)

    def answer_claiming_more(self, name, content, start):
        self.head(len(content) + 1000 - start, start, len(content) + 1000)
        self.wfile.write(content[start:])
        self.close_connection = True

    def answer_claiming_less(self, name, content, start):
        self.head(len(content) - 10)
        self.wfile.write(content)
        self.close_connection = True

    def answer_wrongly(self, name, content, start):
        self.answer_well(name, content[:-1] + bytes([content[-1] ^ 1]), start)

    def send_on(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_elsewhere(self, name, content, start):
        self.send_on(f"/moved/{name}")

    def answer_to_a_file(self, name, content, start):
        self.send_on("file:///etc/hostname")

    def answer_500(self, name, content, start):
        self.send_error(500)

    def log_message(self, *_):
        pass


class Fetch(ProgramTest):
    def setUp(self):
        super().setUp()
        self.output = self.folder / "data" / "set"

    def command(self, server, name, files, timeout="1"):
        sums = self.folder / "sums"
        sums.write_text("".join(f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in files.items()))
        return ["data", "fetch", name, "--output", str(self.output), "--mirror", server.url("sets"),
                "--sums", str(sums), "--timeout", timeout]

    def fetch(self, server, name="mnist", files=MNIST, code=0, ranks=1):
        result = self.launch(*self.command(server, name, files), ranks=ranks)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def refuse_set(self, server, *parts, name="mnist", files=MNIST):
        """The command fails, says all of `parts`, and leaves not even the folder."""
        text = self.fetch(server, name, files, code=1)
        for part in parts:
            self.assertIn(part, text)
        self.assertFalse((self.folder / "data").exists(), list(self.folder.rglob("*")))
        return text

    def expect_mnist(self):
        self.assertEqual({path.name: path.read_bytes() for path in self.output.iterdir()}, MNIST)

    def test_fetches_checks_and_keeps(self):
        with Server(MNIST) as server:
            text = self.fetch(server)
            self.expect_mnist()
            self.assertEqual(len(server.requests), 4)
            self.assertIn("source: mnist", text)
            self.assertIn("already here", self.fetch(server))
            self.assertEqual(len(server.requests), 4, "nothing is downloaded twice")
            (self.output / FIRST).write_bytes(b"damaged")
            self.fetch(server)
            self.expect_mnist()
            self.assertEqual(len(server.requests), 5)
        config = self.folder / "net.yaml"
        config.write_text(CONFIG % self.output)
        text = self.succeed("data", "info", config).stdout
        self.assertIn("30 to train on, 20 for test", text)

    def test_goes_on_where_a_connection_broke(self):
        with Server(MNIST, first=["truncated", "well"]) as server:
            self.assertIn("trying again", self.fetch(server))
            self.expect_mnist()
            starts = [start for path, start in server.requests if path.endswith(FIRST)]
            self.assertEqual(starts, [0, len(MNIST[FIRST]) // 2])

    def test_begins_anew_where_a_server_cannot_go_on(self):
        with Server(MNIST, first=["truncated", "without_ranges"]) as server:
            self.fetch(server)
            self.expect_mnist()

    def test_mixed_halves_are_downloaded_again(self):
        with Server(MNIST, first=["truncated", "wrongly", "well"]) as server:
            self.assertIn("another file", self.fetch(server))
            self.expect_mnist()

    def test_leaves_a_server_that_stalls(self):
        with Server(MNIST, first=["stalling", "in_silence", "well"]) as server:
            self.assertIn("stuck after 10 bytes", self.fetch(server))
            self.expect_mnist()

    def test_server_that_errs_is_tried_again(self):
        with Server(MNIST, first=["500", "well"], others=["elsewhere", "well"]) as server:
            self.assertIn("HTTP status 500", self.fetch(server))
            self.expect_mnist()
            self.assertIn("/moved/train-" + LABELS, [path for path, _ in server.requests])

    def test_server_that_always_errs_is_given_up(self):
        with Server(MNIST, first=["500"]) as server:
            self.refuse_set(server, "cannot download", server.url("sets/" + FIRST), "HTTP status 500 (4 attempts)")
            self.assertEqual(len(server.requests), 4)

    def test_missing_file_is_not_tried_again(self):
        with Server({}) as server:
            self.refuse_set(server, "HTTP status 404")
            self.assertEqual(len(server.requests), 1)

    def test_wrong_bytes_are_named_and_removed(self):
        for manner in ("wrongly", "claiming_less"):
            with self.subTest(manner), Server(MNIST, first=[manner]) as server:
                self.refuse_set(server, "this is another file", hashlib.sha256(MNIST[FIRST]).hexdigest())
                self.assertEqual(len(server.requests), 1)

    def test_wrong_file_keeps_what_is_right(self):
        self.output.mkdir(parents=True)
        (self.output / "mine").write_text("x")
        with Server(MNIST, others=["wrongly"]) as server:
            self.fetch(server, code=1)
        self.assertEqual({path.name for path in self.output.iterdir()}, {"mine", FIRST})

    def test_length_that_is_never_reached_is_an_error(self):
        with Server(MNIST, first=["claiming_more"]) as server:
            self.refuse_set(server, "4 attempts")

    def test_redirects_lead_nowhere_else(self):
        with Server(MNIST, first=["elsewhere"]) as server:
            self.refuse_set(server, "redirects")
        with Server(MNIST, first=["to_a_file"]) as server:
            self.refuse_set(server, 'rotocol "file"')  # which libcurl calls disabled or not supported

    def test_unreachable_server(self):
        with Server(MNIST) as server:
            pass  # closed by now
        self.refuse_set(server, "cannot download", "connect")

    def test_interrupt_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number), Server(MNIST, first=["stalling"]) as server:
                process = self.start(*self.command(server, "mnist", MNIST, "60"))
                while process.poll() is None and not list(self.folder.rglob("*.tmp")):
                    time.sleep(0.02)
                process.send_signal(number)
                text = process.communicate(timeout=patience(20))[1]
                self.assertEqual(process.returncode, 75, text)
                self.assertIn("stopped on request", text)
                self.assertFalse((self.folder / "data").exists())

    def test_one_rank_downloads(self):
        with Server(MNIST) as server:
            self.fetch(server, ranks=2)
            self.expect_mnist()
            self.assertEqual(len(server.requests), 4)
            del server.files[FIRST]
            (self.output / FIRST).unlink()
            text = self.fetch(server, ranks=2, code=1)
            self.assertEqual(text.count("HTTP status 404"), 1, "the others do not repeat it")

    def test_archives_are_unpacked(self):
        for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            archive, members = cifar_archive(format)
            members.pop("readme.html")
            files = {"cifar-10-binary.tar.gz": archive}
            with self.subTest(format), Server(files) as server:
                self.fetch(server, "cifar10", files)
                found = {path.name: path.read_bytes() for path in self.output.iterdir()}
                record = found.pop("SHA256SUMS").decode()
                self.assertEqual(found, members)
                self.assertIn(hashlib.sha256(archive).hexdigest(), record)
                subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=self.output, check=True,
                               stdout=subprocess.DEVNULL)
                self.assertIn("already here", self.fetch(server, "cifar10", files))
                self.assertEqual(len(server.requests), 1)
                (self.output / "test_batch.bin").write_bytes(b"damaged")
                self.fetch(server, "cifar10", files)
                self.assertEqual((self.output / "test_batch.bin").read_bytes(), members["test_batch.bin"])
            shutil.rmtree(self.output)

    def test_archive_that_was_brought_is_used_and_stays(self):
        archive, _ = cifar_archive(tarfile.USTAR_FORMAT)
        files = {"cifar-10-binary.tar.gz": archive}
        self.output.mkdir(parents=True)
        (self.output / "cifar-10-binary.tar.gz").write_bytes(archive)
        with Server({}) as server:
            self.fetch(server, "cifar10", files)
            self.assertEqual(server.requests, [])
        self.assertTrue((self.output / "data_batch_1.bin").exists())
        self.assertTrue((self.output / "cifar-10-binary.tar.gz").exists())

    def test_archives_that_are_none(self):
        whole, _ = cifar_archive(tarfile.USTAR_FORMAT)
        plain = gzip.decompress(whole)
        changed = bytearray(plain)
        changed[512 + 3] ^= 1  # a letter of the second member's name
        for archive, message in ((cifar_archive(tarfile.USTAR_FORMAT, "data_batch_5.bin")[0], "no data_batch_5.bin"),
                                 (whole[:len(whole) // 2], "damaged or truncated"),
                                 (gzip.compress(plain[:3000]), "ends in the midst"),
                                 (gzip.compress(bytes(changed)), "not a tar archive, or a damaged one"),
                                 (gzip.compress(b"x" * 2000), "not a tar archive")):
            files = {"cifar-10-binary.tar.gz": archive}
            with self.subTest(message), Server(files) as server:
                self.refuse_set(server, message, name="cifar10", files=files)

    def test_sums_that_are_none(self):
        with Server(MNIST) as server:
            for name, part in (("other", "no sum of " + FIRST), ("x\nwrong", "sums:2: expected a line of sha256sum")):
                with self.subTest(part):
                    self.refuse_set(server, part, files={name: b""})

    def test_published_sums_are_the_default(self):
        with Server(MNIST) as server:
            result = self.launch("data", "fetch", "mnist", "--mirror", server.url())
            self.assertEqual(result.returncode, 1)
            self.assertIn("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", result.stderr)
            self.assertFalse((self.folder / "data").exists())

    def test_unknown_set(self):
        result = self.launch("data", "fetch", "mnits")
        self.assertEqual(result.returncode, 2)
        self.assertIn("there are mnist, fashion-mnist, cifar10, cifar100", result.stderr)

    def test_bar_on_a_terminal(self):
        with Server(MNIST, first=["slowly"]) as server:
            ours, theirs = pty.openpty()
            process = subprocess.Popen([self.program, *self.command(server, "mnist", MNIST)], cwd=self.folder, stderr=theirs)
            os.close(theirs)
            text = b""
            with contextlib.suppress(OSError):  # the other end is closed
                while True:
                    text += os.read(ours, 4096)
            os.close(ours)
            self.assertEqual(process.wait(timeout=patience(20)), 0)
            self.assertRegex(text.decode(), r"\[#+ +\] [\d.]+ K?i?B of")

    def test_missing_data_says_where_to_get_it(self):
        config = self.folder / "net.yaml"
        for present in (False, True):
            if present:
                self.output.mkdir(parents=True)
            for source in ("mnist", "fashion-mnist", "cifar10", "cifar100"):
                config.write_text(CONFIG % self.output)
                result = self.launch("train", config, f"data.source={source}")
                self.assertEqual(result.returncode, 1)
                self.assertIn(f"convoy data fetch {source} --output {self.output}", result.stderr)


if __name__ == "__main__":
    os.environ["no_proxy"] = "127.0.0.1"
    main()
