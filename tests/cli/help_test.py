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
    tables, title, last = {"Subcommands": {}, "Options": {}, "Positionals": {}}, None, None
    for line in result.stdout.splitlines():
        heading = re.fullmatch(r"(\w+):", line)
        if heading:
            title = heading[1] if heading[1] in tables else None
        elif line and not line.startswith(" "):
            title = None
        elif title and re.match(r"  \S", line):
            name, _, description = line.strip().partition("  ")
            last = name.split()[0].split("|")[0] if title == "Positionals" else name.split()[0]
            tables[title][last] = description.strip()
        elif title and last and line.strip():
            tables[title][last] += " " + line.strip()
    return tables


def every_command(path=()):
    tables = help_of(path)
    yield path, tables
    for name in tables["Subcommands"]:
        yield from every_command((*path, name))


class Help(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = dict(every_command())

    def test_exit_codes_stand_below_every_help(self):
        for path in self.commands:
            self.assertIn("Exit codes: 0 done", run(*path, "--help").stdout, path)

    def test_an_unknown_subcommand_is_named_with_what_may_be_meant(self):
        for arguments, message in ((["trian", "x.yaml"], 'unknown subcommand "trian" (did you mean "train"?)'),
                                   (["bench", "stpe"], 'unknown subcommand "stpe" (did you mean "step"?)')):
            result = run(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertIn(message, result.stderr)
        self.assertNotIn("unknown", run("bench").stderr)

    def test_every_subcommand_option_and_argument_is_described(self):
        self.assertIn(("train",), self.commands)
        self.assertIn(("bench", "allreduce"), self.commands)
        for path, tables in self.commands.items():
            self.assertTrue(any(name.startswith("-h") for name in tables["Options"]), (path, tables))
            for entries in tables.values():
                for name, description in entries.items():
                    words = re.sub(r"\b(REQUIRED|TEXT|INT|UINT|FLOAT|Needs:.*|Excludes:.*|:|\.\.\.)", " ", description)
                    self.assertRegex(words, r"[a-z]{3,}", f"{' '.join(path)} {name} is not described")

    def test_help_lists_every_key(self):
        text = run("train", "--help").stdout
        for key in ("global_batch", "every_steps", "label_smoothing", "weight_decay", "warmup_epochs", "--resume", "--output"):
            self.assertIn(key, text)

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
            names = {name for names in tables["Options"] for name in names.split(",")}
            self.assertEqual(set(self.complete(*path, "-")), names, path)
            if tables["Subcommands"]:
                self.assertEqual(set(self.complete(*path, "")), set(tables["Subcommands"]), path)

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
                options = {name for names in tables["Options"] for name in names.split(",")}
                for name in [*tables["Subcommands"], *options]:
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
        self.assertEqual([line.split()[0] for line in lines[1:]], ["commit", "compiler", "MPI", "CUDA", *libraries, "CPU"])
        self.assertRegex(lines[1], r" ([0-9a-f]{12}(\+changes)?|unknown)$")
        self.assertRegex(lines[2], r"(g\+\+|clang) \d+\.\d+\.\d+, \w+$")
        for line in (lines[3], *lines[5:-1]):
            self.assertRegex(line, r"\d+\.\d+.*, /|not found|is not found: install|has no ")
        self.assertRegex(lines[-1], r"(baseline|avx2|avx512)")


if __name__ == "__main__":
    CONVOY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
