"""Processes that train in PyTorch, and their speed beside Convoy's."""
import json
import pathlib
import queue
import statistics
import subprocess
import sys
import tempfile
import threading

from convoy_runs import Failure, tail


class Worker:
    """A process of bench/SCRIPT that trains. Throws Failure when it dies or says nothing for `patience` seconds."""

    def __init__(self, script, task, patience):
        self.patience = patience
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        path = pathlib.Path(__file__).with_name(script)
        self.process = subprocess.Popen([sys.executable, str(path), json.dumps(task)], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("@"):
                self.lines.put(json.loads(line[1:]))
        self.lines.put(None)

    def answer(self):
        try:
            line = self.lines.get(timeout=self.patience)
        except queue.Empty:
            raise Failure(f"no answer in {self.patience} s") from None
        if line is None:
            self.process.wait()
            self.errors.seek(0)
            raise Failure(tail(self.errors.read(), 3) or f"ended with {self.process.returncode}")
        return line

    def measure(self, seconds):
        try:
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has died, and answer() says of what
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()  # at whose end it ends
            self.process.wait(timeout=20)
        except (subprocess.TimeoutExpired, OSError):
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.errors.close()


def time_beside(start, seconds, rounds, convoy_speed):
    """Figures of the worker that `start` makes, with Convoy's speed after each round; "error" in them when it failed."""
    result = {"rounds": [], "convoy_rounds": []}
    try:
        with start() as worker:
            result.update(worker.answer())
            for _ in range(rounds):
                figures = worker.measure(seconds)
                result["rounds"].append(figures.pop("images_per_second"))
                result.update(figures)
                result["convoy_rounds"].append(convoy_speed())
    except Failure as failure:
        result["error"] = str(failure)
    if result["convoy_rounds"]:
        result["images_per_second"] = statistics.median(result["rounds"])
        pairs = zip(result["rounds"], result["convoy_rounds"])
        result["convoy_ratio"] = statistics.median(ours / theirs for theirs, ours in pairs)
    return result
