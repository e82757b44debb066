#!/usr/bin/env python3
"""`convoy study` from its file to its page, and `convoy report` of ordinary runs.

usage: study_test.py CONVOY [unittest arguments]

The page is opened in a headless Chromium where there is one.
"""
import csv
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, finish, main  # noqa: E402
from patience import patience  # noqa: E402

NETWORK = """
data: {source: synthetic, synthetic: {image: [1, 28, 28], classes: 10, train: 2000, test: 100}}
model: {input: [1, 28, 28], layers: [conv: {out: 4, kernel: 3}, relu, maxpool: 4, flatten, linear: 10]}
train: {epochs: 1, global_batch: 500, tensorboard: false}
optimizer: {name: adam, lr: 0.01}
device: cpu
"""
STUDY = """
title: Two kernels
networks: {net: net.yaml}
vary: {model.layers.0.conv.kernel: [3, 5]}
engines: [{reference: {batch: 2}}, {cpu: {threads: [1, 2], batch: 20}}, cuda, {pytorch-cpu: {threads: 1}}]
seconds: 0.05
rounds: 2
"""
CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
NO_TORCH = {"CONVOY_PYTHON": "/bin/false"}  # PyTorch's own speed is not tried here, and importing it takes long


class Study(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write(NETWORK)
        self.write(STUDY, "study.yaml")

    def study(self, *arguments, **options):
        return finish(self.start("study", "study.yaml", "--output", "out", *arguments, variables=NO_TORCH, **options))

    def results(self):
        return json.loads((self.folder / "out" / "study.json").read_text())

    def test_from_the_file_to_the_page(self):
        done = self.study()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("left out: cuda fp32", done.stdout)
        self.assertIn("left out: PyTorch cpu", done.stdout)
        results = self.results()
        self.assertEqual(len(results["correctness"]), 6)
        self.assertTrue(all(row["passed"] for row in results["correctness"]), results["correctness"])
        self.assertEqual([len(row["rounds"]) for row in results["speeds"]], [2] * 6)
        self.assertEqual({row["network"] for row in results["runs"]}, {"kernel 3", "kernel 5"})
        self.assertEqual(results["failures"], [])
        with open(self.folder / "out/tables/speeds.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 6)
        self.assertEqual([row["times reference"] for row in rows if row["engine"] == "reference"], ["1", "1"])
        page = (self.folder / "out/index.html").read_text()
        self.assertEqual(re.findall(r"(?:src|href)=\"(?!data:)", page), [])
        self.look_at(page)

        # Nothing is done twice.
        before = {path: path.stat().st_mtime_ns for path in (self.folder / "out/speeds").iterdir()}
        again = self.study()
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("[", again.stdout)
        self.assertEqual(before, {path: path.stat().st_mtime_ns for path in (self.folder / "out/speeds").iterdir()})

        # What is lost is done again, and nothing else.
        lost = next((self.folder / "out/speeds").glob("*.json"))
        lost.unlink()
        self.assertEqual(self.study().stdout.count("speed of"), 1)

    def look_at(self, page):
        """Every chart is there, without an error, on a telephone's width, by day and by night."""
        charts = page.count("<svg")
        self.assertGreaterEqual(charts, 6)
        if CHROMIUM is None:
            print("no Chromium: the page was not opened", file=sys.stderr)
            return
        # The page itself has no script; this one measures, in a copy.
        probe = """<script>addEventListener("load", () => {
          const drawn = [...document.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().height > 20);
          const wide = document.documentElement.scrollWidth > innerWidth;
          const style = getComputedStyle(document.body);
          document.title = "charts " + drawn.length + ", wide " + wide + ", " + style.backgroundColor + " " + style.color +
            ", requests " + performance.getEntriesByType("resource").length;
        });</script>"""
        (self.folder / "probe.html").write_text(page.replace("</head>", probe + "</head>"))
        seen = {}
        for scheme in ("light", "dark"):
            dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else ["--blink-settings=preferredColorScheme=1"]
            shown = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=390,800", *dark,
                                    "--enable-logging=stderr", "--dump-dom", f"file://{self.folder}/probe.html"],
                                   capture_output=True, text=True, timeout=patience(120))
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertNotIn("CONSOLE", shown.stderr)
            title = re.search(r"<title>(charts .*?)</title>", shown.stdout)
            self.assertIsNotNone(title, shown.stdout[:2000])
            self.assertIn(f"charts {charts}, wide false", title[1])
            self.assertIn("requests 0", title[1])
            seen[scheme] = title[1]
        self.assertIn("rgb(255, 255, 255)", seen["light"])
        self.assertNotIn("rgb(255, 255, 255)", seen["dark"])

    def test_it_goes_on_where_it_was_stopped(self):
        process = self.start("study", "study.yaml", "--output", "out", variables=NO_TORCH)
        deadline = time.monotonic() + patience(60)
        while not list(self.folder.glob("out/speeds/*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=patience(60))
        self.assertEqual(process.returncode, 75, err)
        self.assertIn("the same command goes on", out)
        done = self.study()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.results()["speeds"]), 6)

    def test_a_cell_that_fails_is_named_and_the_rest_goes_on(self):
        self.write(STUDY.replace("seconds:", "set: [data.source=mnist, data.path=none]\nseconds:"), "study.yaml")
        done = self.study()
        self.assertEqual(done.returncode, 1, done.stderr)
        results = self.results()
        self.assertEqual(len(results["speeds"]), 6)  # of random images
        self.assertEqual(results["runs"], [])
        self.assertTrue(any("training of kernel 3" in line and "none" in line for line in results["failures"]), results["failures"])
        self.assertIn("Failed: training of kernel 3", (self.folder / "out/index.html").read_text())

    def test_another_study_is_not_mixed_in(self):
        (self.folder / "out").mkdir()
        (self.folder / "out/study.yaml").write_text("title: other\n")
        done = self.study()
        self.assertEqual(done.returncode, 2)
        self.assertIn("holds another study", done.stderr)
        (self.folder / "out/study.yaml").rename(self.folder / "out/letter.txt")
        done = self.study()
        self.assertEqual(done.returncode, 2)
        self.assertIn("letter.txt", done.stderr)

    def test_results_of_an_older_configuration_are_not_mixed_in(self):
        quick = STUDY.replace("engines: [{reference: {batch: 2}}, {cpu: {threads: [1, 2], batch: 20}}, cuda, {pytorch-cpu: {threads: 1}}]",
                              "engines: [cpu]\ncompare: false\ntrain: false")
        self.write(quick, "study.yaml")
        self.assertEqual(self.study().returncode, 0)
        self.assertEqual(self.study().returncode, 0)
        self.write(NETWORK.replace("relu", "tanh"))
        done = self.study()
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("before its file or a configuration was changed", done.stderr)

    def test_a_second_one_in_a_folder_is_refused(self):
        first = self.start("study", "study.yaml", "--output", "out", variables=NO_TORCH)
        deadline = time.monotonic() + patience(60)
        while not (self.folder / "out/study.yaml").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        second = self.study()
        self.assertNotEqual(second.returncode, 0)
        self.assertIn("belongs to another run", second.stderr)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=patience(60))

    def test_under_mpirun_it_says_what_to_do(self):
        done = self.study(ranks=2)
        self.assertEqual(done.returncode, 2)
        self.assertIn("run it without mpirun", done.stderr)

    def test_a_report_of_runs(self):
        for seed in (1, 2):
            self.succeed("train", "net.yaml", f"seed={seed}", "train.epochs=3", "--output", f"runs/seed-{seed}")
        self.succeed("report", "runs/seed-1", "runs/seed-2", "--output", "report")
        page = (self.folder / "report/index.html").read_text()
        self.assertIn("Accuracy over seconds", page)
        self.assertIn("seed-2", page)
        rows = [row for row in map(json.loads, (self.folder / "runs/seed-1/metrics.jsonl").read_text().splitlines()) if "event" not in row]
        epochs = json.loads((self.folder / "report/study.json").read_text())["runs"][0]["epochs"]
        for i, epoch in enumerate(epochs):  # since the training began
            self.assertAlmostEqual(epoch["seconds"], sum(row["seconds"] for row in rows[:i + 1]))
        self.assertEqual(len(epochs), 3)
        done = finish(self.start("report", "nothing", "--output", "report"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nothing", done.stderr)


if __name__ == "__main__":
    main()
