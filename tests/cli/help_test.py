#!/usr/bin/env python3
"""What the command line says of itself: --help of every subcommand, completion in shells, --version.

usage: help_test.py CONVOY [unittest arguments]
"""
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from patience import patience  # noqa: E402

CONVOY = ""


def run(*arguments):
    return subprocess.run([CONVOY, *arguments], capture_output=True, text=True, timeout=patience(60))


def help_of(path):
    """(subcommands, options) of a command's help: {name: description} each, "--name" for options."""
    result = run(*path, "--help")
    assert result.returncode == 0, result.stderr
    tables, title, last = {"Commands": {}, "Options": {}, "Arguments": {}}, None, None
    for line in result.stdout.splitlines():
        heading = re.fullmatch(r"([A-Z][a-z ]+):", line)
        if heading:
            title = heading[1] if heading[1] in tables else "Commands"
        elif line and not line.startswith(" "):
            title = None
        elif title and re.match(r"  \S", line):
            names, _, description = line.strip().partition("  ")
            last = " ".join(re.findall(r"-[\w-]+", names)) if title == "Options" else names
            tables[title][last] = description.strip()
        elif title and last and line.strip():
            tables[title][last] = (tables[title][last] + " " + line.strip()).strip()
    return tables


def every_command(path=()):
    tables = help_of(path)
    yield path, tables
    for name in tables["Commands"]:
        yield from every_command((*path, name))


class Help(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = dict(every_command())

    def test_exit_codes_stand_below_every_help(self):
        for path in self.commands:
            self.assertIn("Exit codes: 0 done", run(*path, "--help").stdout, path)

    def test_every_help_fits_a_screen(self):
        for path in self.commands:
            lines = run(*path, "--help").stdout.splitlines()
            self.assertLessEqual(len(lines), 42, path)
            self.assertLessEqual(max(map(len, lines)), 80, path)
            self.assertTrue(lines[0].startswith("Usage: " + " ".join(("convoy", *path))), lines[0])

    def test_the_usage_line_reads_as_one_types_it(self):
        for path, usage in ((("train",), "convoy train CONFIG [key=value ...] [options]"), (("eval",), "convoy eval RUN [key=value ...] [options]"),
                            (("predict",), "convoy predict RUN IMAGE|DIR|- ... [options]"), (("keys",), "convoy keys [SECTION] [options]"),
                            (("bench",), "convoy bench COMMAND ..."), ((), "convoy COMMAND ...")):
            self.assertEqual(run(*path, "--help").stdout.splitlines()[0], "Usage: " + usage)

    def test_a_terminal_wider_than_80_is_used_up_to_100(self):
        def widest(columns):
            script = f"stty cols {columns}; exec '{CONVOY}' train --help"
            result = subprocess.run(["script", "-qec", script, "/dev/null"], capture_output=True, text=True, timeout=patience(60))
            return max(len(line.rstrip()) for line in result.stdout.splitlines())
        if not shutil.which("script"):
            self.skipTest("no script(1)")
        self.assertIn(widest(300), range(90, 101))
        self.assertIn(widest(64), range(50, 65))

    def test_an_unknown_subcommand_is_named_with_what_may_be_meant(self):
        for arguments, message in ((["trian", "x.yaml"], 'unknown subcommand "trian" (did you mean "train"?)'),
                                   (["bench", "stpe"], 'unknown subcommand "stpe" (did you mean "step"?)')):
            result = run(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertIn(message, result.stderr)
        self.assertIn("did you mean `convoy train net.yaml`?", run("net.yaml").stderr)
        self.assertIn("convoy train: --resume needs a value; ", run("train", "net.yaml", "--resume").stderr)
        for path in ((), ("bench",)):  # their help
            result = run(*path)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertEqual(result.stderr, run(*path, "--help").stdout)

    def test_help_is_also_a_word(self):
        self.assertEqual(run("help").stdout, run("--help").stdout)
        self.assertEqual(run("help", "train").stdout, run("train", "--help").stdout)
        self.assertEqual(run("help", "data", "info").stdout, run("data", "info", "--help").stdout)

    def test_every_subcommand_option_and_argument_is_described(self):
        self.assertIn(("train",), self.commands)
        self.assertIn(("bench", "allreduce"), self.commands)
        for path, tables in self.commands.items():
            self.assertTrue(any(name.startswith("-h") for name in tables["Options"]), (path, tables))
            for entries in tables.values():
                for name, description in entries.items():
                    words = re.sub(r"\b(REQUIRED|TEXT|INT|UINT|FLOAT|Needs:.*|Excludes:.*|:|\.\.\.)", " ", description)
                    self.assertRegex(words, r"[a-z]{3,}", f"{' '.join(path)} {name} is not described")

    def test_help_leads_to_the_keys(self):
        text = run("train", "--help").stdout
        for part in ("--resume", "--output", "`convoy keys`"):
            self.assertIn(part, text)

    def test_keys_of_a_section_a_layer_or_a_name(self):
        text = run("keys").stdout
        for key in ("global_batch", "every_steps", "label_smoothing", "weight_decay", "warmup_epochs", "leaky_relu", "color_jitter"):
            self.assertIn(key, text)
        for topic, some, other in (("train", "train.epochs: 1 ", "optimizer.lr"), ("data", "random_erasing", "leaky_relu"), ("layers", "leaky_relu", "optimizer.lr"),
                                   ("model", "model.input", "optimizer.lr"), ("augment", "color_jitter", "data.source"), ("optimizer", "optimizer.lr", "train.epochs"),
                                   ("conv", "dilation: 1", "leaky_relu"), ("lr", "learning rate", "momentum"), ("device", "device: auto", "seed"),
                                   ("data.normalize", "data.normalize.std", "data.source"), ("repeat", "times: required", "leaky_relu")):
            result = run("keys", topic)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(some, result.stdout, topic)
            self.assertNotIn(other, result.stdout, topic)
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_an_unknown_section_lists_those_that_there_are(self):
        for topic, near in (("trian", 'did you mean "train"?'), ("batch_size", 'did you mean "train.global_batch"?'), ("zzzzzzz", "the sections are")):
            result = run("keys", topic)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn(near, result.stderr)
            self.assertIn("the sections are data, augment, model, layers, train, optimizer", result.stderr)

    def refused(self, *arguments):
        result = run(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        return result.stderr

    def test_an_option_that_is_a_key_is_told_how_to_set_it(self):
        for words, meant in ((("--lr", "0.1"), "optimizer.lr=0.1"), (("--epochs=5",), "train.epochs=5"), (("--batch-size", "64"), "train.global_batch=64"),
                             (("--learning-rate",), "optimizer.lr=VALUE"), (("--train.epochs", "3"), "train.epochs=3"), (("--device", "cpu"), "device=cpu")):
            message = self.refused("train", "x.yaml", *words)
            self.assertIn(f"convoy train: unknown option {words[0].partition('=')[0]!r};".replace("'", '"'), message)
            self.assertIn(f"(did you mean {meant}?)", message)
            self.assertIn("`convoy train --help` lists the arguments", message)

    def test_what_is_wrong_with_options_is_one_line(self):
        self.assertIn('(did you mean "--output"?)', self.refused("train", "x.yaml", "--ouput", "x"))
        self.assertIn('unknown option "-x"', self.refused("bench", "step", "x.yaml", "-x"))
        self.assertIn("convoy train: CONFIG is required", self.refused("train"))
        self.assertIn("--top", self.refused("predict", "run", "x.png", "--top", "many"))
        self.assertIn("--csv", self.refused("predict", "run", "x.png", "--csv", "--json"))

    def test_help_lists_exit_codes(self):
        text = run("--help").stdout
        for part in ("0 done", "1 the run failed", "2 wrong usage", "75 stopped on request", "128+n"):
            self.assertIn(part, " ".join(text.split()))

    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source <("$0" completion bash); COMP_WORDS=(convoy "$@"); COMP_CWORD=$#; _convoy; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(["bash", "-c", script, CONVOY, *words], capture_output=True, text=True, timeout=patience(60))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.split()

    def test_bash_offers_every_subcommand_and_option(self):
        for path, tables in self.commands.items():
            names = {name for names in tables["Options"] for name in names.split()}
            self.assertEqual(set(self.complete(*path, "-")), names, path)
            if tables["Commands"]:
                self.assertEqual(set(self.complete(*path, "")), set(tables["Commands"]), path)

    def test_bash_offers_values_and_keys(self):
        self.assertEqual(self.complete("tr"), ["train"])
        self.assertEqual(self.complete("train", "--out"), ["--output"])
        self.assertEqual(self.complete("train", "--resume", "x"), [])  # files, which bash knows best
        self.assertEqual(self.complete("train", ""), [])
        self.assertEqual(self.complete("train", "a.yaml", "train.epo"), ["train.epochs="])
        self.assertIn("optimizer.lr=", self.complete("bench", "step", "a.yaml", "optimizer.l"))
        self.assertEqual(self.complete("bench", "allreduce", "--device", "c"), ["cpu", "cuda"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])

    def test_other_shells_know_the_same_names(self):
        for shell in ("zsh", "fish"):
            result = run("completion", shell)
            self.assertEqual(result.returncode, 0, result.stderr)
            words = set(re.findall(r"[\w.-]+", result.stdout))
            for path, tables in self.commands.items():
                options = {name for names in tables["Options"] for name in names.split()}
                for name in [*tables["Commands"], *options]:
                    self.assertIn(name.lstrip("-") if shell == "fish" else name, words)
            self.assertIn("train.global_batch", words)
            if shutil.which(shell):
                check = subprocess.run([shell, "-n"], input=result.stdout, capture_output=True, text=True, timeout=patience(60))
                self.assertEqual((check.returncode, check.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh_offers_what_bash_does(self):
        script = ('compdef() {}; compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- "$@" }; _files() {};'
                  'source <("$0" completion zsh); words=(convoy "$@"); CURRENT=$#words; _convoy')
        for words, some in ((("",), "train"), (("train", "-"), "--resume"), (("bench", ""), "allreduce"), (("keys", "-"), "--markdown"),
                            (("train", "a.yaml", ""), "train.epochs"), (("bench", "allreduce", "--device", ""), "cuda")):
            result = subprocess.run(["zsh", "-f", "-c", script, CONVOY, *words], capture_output=True, text=True, timeout=patience(60))
            offered = set(result.stdout.split())
            self.assertIn(some, offered, (words, result.stderr))
            self.assertEqual(offered, {name.rstrip("=") for name in self.complete(*words)}, words)
        result = subprocess.run(["zsh", "-f", "-c", script, CONVOY, "train", ""], capture_output=True, text=True, timeout=patience(60))
        self.assertEqual(result.stdout.split(), [], "files, of which this test has none")

    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_fish_offers_what_bash_does(self):
        for words, some in ((("",), "train"), (("train", "--"), "--resume"), (("bench", ""), "allreduce"),
                            (("bench", "allreduce", "--device", ""), "cuda"), (("train", "a.yaml", "train.epo"), "train.epochs=")):
            script = f'"{CONVOY}" completion fish | source; complete -C "convoy {" ".join(words)}"'
            result = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=patience(60))
            offered = {line.split("\t")[0] for line in result.stdout.splitlines()}
            self.assertIn(some, offered, (words, result.stderr))
            self.assertEqual(offered, {name for name in self.complete(*words) if name != "-h"}, words)

    def test_bash_reads_its_script(self):
        check = subprocess.run(["bash", "-n"], input=run("completion", "bash").stdout, capture_output=True, text=True)
        self.assertEqual((check.returncode, check.stderr), (0, ""))

    def test_another_shell_is_refused(self):
        self.assertEqual(run("completion", "tcsh").returncode, 2)
        self.assertEqual(run("completion").returncode, 2)

    def test_version_says_what_was_built(self):
        lines = run("--version").stdout.splitlines()
        self.assertRegex(lines[0], r"^convoy \d+\.\d+\.\d+$")
        libraries = [] if lines[4].endswith("built for CPUs alone") else ["NCCL", "cuBLAS"]
        self.assertEqual([line.split()[0] for line in lines[1:]], ["commit", "compiler", "MPI", "CUDA", *libraries, "CPU", "pictures"])
        self.assertRegex(lines[1], r" ([0-9a-f]{12}(\+changes)?|unknown)$")
        self.assertRegex(lines[2], r"(g\+\+|clang) \d+\.\d+\.\d+, \w+$")
        for line in (lines[3], *lines[5:-2]):
            self.assertRegex(line, r"\d+\.\d+.*, /|not found|is not found: install|has no ")
        self.assertRegex(lines[-2], r"(baseline|avx2|avx512)")
        self.assertIn("JPEG, PNG, BMP", lines[-1])


if __name__ == "__main__":
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
