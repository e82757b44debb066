#!/usr/bin/env python3
"""Every command and every piece of Python in README.md and docs/ does what it says, in order, on small data.

usage: snippets_test.py CONVOY [unittest arguments]

A command runs as it stands, with little data and few steps (`SMALL`). Those that cannot run here are in `NOT_RUN`, each with its
reason; what they name must exist all the same. A block that is no command is in `NOT_COMMANDS`.
"""
import functools
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import snippets  # noqa: E402
import stand_ins  # noqa: E402
from patience import patience  # noqa: E402, which stand_ins has found

ROOT = stand_ins.ROOT
CONVOY = ""
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PACKAGES = [name for name in ("numpy", "onnxruntime", "PIL") if importlib.util.find_spec(name) is None]

# (beginning of the first line, why the block is none)
NOT_COMMANDS = [
    (r"pictures/(train/)?cat/", "how folders are arranged"),
    (r"(comparing with onnxruntime|loading data)", "what a command prints"),
    (r"YAML ──", "a drawing"),
    (r"model: \{name: ", "a configuration; models_test.py"),
    (r"augment: \[", "a part of a configuration; parse_test.cpp"),
    (r"title: ", "a study's file; study_test.cpp"),
]
# (beginning of the command, why it does not run here)
NOT_RUN = [
    (r"tools/(quickstart|test|distros|setup|wheel)\b", "installs packages and builds"),
    (r"(git|cmake|pip|apt-get|dnf|sudo|docker|apptainer|spack|module)\b", "builds, or needs the network"),
    (r"python3 -m (pip|venv)\b", "needs the network"),
    (r"convoy train \$\(python3 -c 'import convoy;", "needs the wheel; tools/wheel_check"),
    (r"\S*convoy data fetch\b", "needs the network"),
    (r"([A-Z_]+=\S+ )?(sbatch|srun|scancel|scontrol|squeue)\b", "needs Slurm"),
    (r"slurm/submit\b", "needs Slurm"),
    (r"bench/compare_\w+\.py\b", "needs PyTorch"),
    (r"tools/scaling_check\b", "takes minutes; scaling_check_test.py"),
    (r"(nsys|ncu|nvidia-smi)\b", "needs a GPU"),
    (r"tensorboard\b", "a server"),
    (r"p?kill\b", "it would stop runs of others; stop_test.py"),
    (r".*\.\.\.$", "is not whole"),
]
# (first line, why the Python does not run here)
PYTHON_NOT_RUN = [(r"import convoy$", "needs the wheel; tools/wheel_check")]
# Names of data and files in place of the reader's own.
PLACES = {"PICTURES": "pictures", "CONFIG": "configs/quickstart.yaml", "FILE": "file.out", "RUN": "runs/quickstart"}
DATA = {"mnist": "mnist", "cifar10": "cifar10", "pets": "pictures", "scratch": "pictures", "folder": "pictures"}
# What makes a configuration small.
SMALL = {
    "quickstart": ["data={source: synthetic, synthetic: {image: [1, 28, 28], classes: 10, train: 40, test: 10}}"],
    "mnist": [],
    "cifar10": [],
    "scratch": ["model.input=[3,48,48]"],
    "pets": ["model.input=[3,48,48]"],
}
SMALL_TRAINING = ["train.epochs=1", "train.global_batch=8", "schedule.warmup_epochs=0"]
SECONDS = {"bench step", "bench data", "bench scaling"}


def kind_of(command):
    """Which of `SMALL` a command's configuration is."""
    return next((kind for kind in SMALL if re.search(rf"\b{kind}\w*\.yaml", command)), None)


def subcommand(command):
    """("bench step", or "train"), or None where the command is another program's."""
    match = re.search(r"(?:^|[\s/|])convoy (bench \w+|data \w+|completion|[a-z]+)", command)
    return match and match[1]


@functools.lru_cache(maxsize=None)
def help_of(name):
    return subprocess.run([CONVOY, *name.split(), "--help"], capture_output=True, text=True, timeout=patience(60))


class Snippets(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-docs-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        programs = stand_ins.make(self.folder, CONVOY)
        self.environment = dict(os.environ, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", OMPI_ALLOW_RUN_AS_ROOT="1", CONVOY_PYTHON=sys.executable,
                                OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", PATH=f"{programs}:{os.environ['PATH']}")
        self.exports = []

    def read(self, document):
        return (ROOT / document).read_text()

    # What a command is made into.

    def as_run(self, command):
        name = subcommand(command)
        command, options = snippets.without_optional(command)
        self.check_options(name, options)
        if "data.source=packed" in command:
            command = re.sub(r"\bCONFIG\b", "pets.yaml", command)
        for place, value in PLACES.items():
            command = re.sub(rf"\b{place}\b", value, command)
        kind = kind_of(command)
        data = next((data for part, data in DATA.items() if kind and kind.startswith(part)), "pictures")
        command = re.sub(r"\bDIR\b", data, command)
        command = re.sub(r"mpirun -np \d+", "mpirun --oversubscribe -np 2", command)
        more = SMALL.get(kind, []) if name else []
        if kind and name in ("train", "check", "bench scaling", "bench step", "bench losses"):
            more = more + SMALL_TRAINING
        if name in SECONDS:
            more = more + ["--seconds", "0.1"]
        if name == "bench allreduce":
            more = ["--largest", "64KiB"] if "KiB" in help_of(name).stdout else ["--largest", "65536"]
        return " ".join([command, *(f"'{word}'" for word in more)])

    def check_options(self, name, options):
        if name is None or not options:
            return
        text = help_of(name).stdout
        for option in options:
            self.assertRegex(text, rf"(?<![\w-]){option}(?![\w-])", f"convoy {name} has no {option}")

    def check_names(self, command):
        """Of a command that does not run: its files are in the repository, its keys in the program."""
        command, _ = snippets.without_optional(command)
        for path in re.findall(r"(?<![\w/.-])(?:configs|tools|slurm|bench|notebooks)/[\w./-]+", command):
            self.assertTrue((ROOT / path).exists(), f"{path} is not in the repository")
        for preset in re.findall(r"--preset (\w+)", command):
            presets = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
            self.assertIn(preset, [entry["name"] for entry in presets])
        config = re.search(r"configs/\w+\.yaml", command)
        overrides = [f"'{word}'" for word in re.findall(r"\b[a-z_]+(?:\.\w+)+=[^\s']+", command) if "DIR" not in word]
        if config and overrides:
            result = self.shell(f"convoy plan {config[0]} {' '.join(overrides)} train.precision=fp32 device=cpu > /dev/null")
            self.assertEqual(result.returncode, 0, result.stderr)
        if name := subcommand(command):
            self.check_options(name, set(re.findall(r"(?<!\S)--[a-z-]+", command.partition(f"convoy {name}")[2])))

    def shell(self, command):
        script = "\n".join(["set -e -o pipefail", *self.exports, command])
        return subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              timeout=patience(120), stdin=subprocess.DEVNULL)

    def make_weights(self, network):
        """What `convoy models fetch` would download, with weights that know nothing."""
        config = (f"{{model: {{name: {network}, input: [3, 32, 32]}}, train: {{global_batch: 2}}, optimizer: {{lr: 1e-9}}, device: cpu, "
                  "data: {source: synthetic, synthetic: {image: [3, 32, 32], classes: 1000, train: 2, test: 2}}}")
        (self.folder / "fetched.yaml").write_text(config)
        text = (ROOT / "configs" / "models" / f"{network}.yaml").read_text()
        file = re.search(r'url: ".*/([^/"]+)"', text)[1]
        return self.shell("convoy train fetched.yaml --output fetched > /dev/null\n"
                          f"convoy export fetched --output {file} --format safetensors")

    def run_command(self, command):
        for beginning, _ in NOT_RUN:
            if re.match(beginning, command):
                return self.check_names(command)
        if PACKAGES and "--verify" in command:
            command = command.replace("--verify", "")
        text = self.as_run(command)
        fetched = re.match(r"convoy models fetch (\w+)$", command)
        result = self.make_weights(fetched[1]) if fetched else self.shell(text)
        self.assertEqual(result.returncode, 0, f"{text}\n{result.stdout}{result.stderr}")
        if re.match(r"(export|cd)\b", command):
            self.exports.append(command)
        return result

    def run_python(self, lines):
        if PACKAGES or any(re.match(beginning, lines[0]) for beginning, _ in PYTHON_NOT_RUN):
            return
        (self.folder / "snippet.py").write_text("\n".join(lines))
        result = subprocess.run([sys.executable, "snippet.py"], cwd=self.folder, env=self.environment, capture_output=True,
                                text=True, timeout=patience(120))
        self.assertEqual(result.returncode, 0, result.stderr)
        (self.folder / "snippet.out").write_text(result.stdout)

    def run_document(self, document):
        for number, lines in snippets.blocks(self.read(document)):
            if snippets.is_python(lines):
                with self.subTest(place=f"{document}:{number}"):
                    self.run_python(lines)
            elif not any(re.match(beginning, lines[0]) for beginning, _ in NOT_COMMANDS):
                for line, command in snippets.commands(number, lines):
                    with self.subTest(place=f"{document}:{line}", command=command):
                        self.run_command(command)

    def test_inline(self):
        """`convoy NAME --option` within sentences: there are such."""
        for document in DOCUMENTS:
            for command in snippets.inline_commands(self.read(document)):
                name = subcommand(command.replace("\\|", "|").split("|")[0])
                with self.subTest(document=document, command=command):
                    if name is not None and "..." not in name:
                        self.assertEqual(help_of(name).returncode, 0, f"there is no convoy {name}")
                        self.check_options(name, set(re.findall(r"(?<!\S)--[a-z-]+", command)) - {"--help"})

    def test_the_tutorial_answers_as_predict(self):
        """Its Python prints what `convoy predict` prints of the same picture."""
        self.run_document("docs/tutorial.md")
        if PACKAGES:
            self.skipTest(f"no {' '.join(PACKAGES)}")
        printed = (self.folder / "snippet.out").read_text().split("\n")[:-1]
        answer = json.loads(self.shell("convoy predict runs/pets new/one.jpg --json").stdout)["top"]
        self.assertEqual(len(printed), len(stand_ins.CLASSES))
        for line, score in zip(printed, answer):
            name, percent, _ = line.split(" ")
            self.assertEqual(name, score["class"])
            self.assertAlmostEqual(float(percent), 100 * score["probability"], delta=0.2)


def add_documents():
    for document in DOCUMENTS:
        if document != "docs/tutorial.md":  # which is a test by itself
            name = "test_" + pathlib.Path(document).stem.replace("-", "_")
            setattr(Snippets, name, functools.partialmethod(Snippets.run_document, document))


add_documents()

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
