"""A real Slurm on this machine alone: its own munged, slurmctld and slurmd, in a folder and on ports of their own."""
import getpass
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from patience import patience

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
PACKAGES = "slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
CPUS = 4  # of a node, whatever the machine has

CONFIGURATION = """
ClusterName=convoy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long Slurm lets a requeued job wait: 120 s unless told.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
TmpFS={folder}/tmp-%n
ReturnToService=2
KillWait=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""


class Unavailable(Exception):
    """Slurm cannot run here; the message says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """Started by the constructor; stop() ends it. `gpus` are counted per node and are none in truth."""

    def __init__(self, folder, nodes=1, gpus=0):
        self.folder = pathlib.Path(folder)
        self.daemons = []
        # Its daemons are not on the path of everybody.
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise Unavailable(f"{', '.join(missing)} not installed; apt-get install {PACKAGES}")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        try:
            self.start_munge()
            self.start_slurm(nodes, gpus)
        except Exception:
            self.stop()
            raise

    def start(self, name, *command):
        log = open(self.folder / f"{name}.out", "w")
        self.daemons.append(subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, cwd=self.folder))
        log.close()

    def start_munge(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.folder.chmod(0o755)  # munged wants a socket that everybody reaches
        place = str(self.folder / "munge")
        self.start("munged", "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={place}.socket",
                   f"--pid-file={place}.pid", f"--log-file={place}.log", f"--seed-file={place}.seed", "--num-threads=1")
        self.wait_until(lambda: (self.folder / "munge.socket").exists(), "munged")

    def start_slurm(self, nodes, gpus):
        host = socket.gethostname().split(".")[0]
        names = [f"node{index}" for index in range(nodes)]
        lines = [f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs={CPUS} RealMemory=1000"
                 + (f" Gres=gpu:{gpus}" if gpus else "") for name in names]
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(
            host=host, user=getpass.getuser(), folder=self.folder, ctld_port=free_port(), nodes="\n".join(lines)))
        # Slurm wants a device file for each GPU.
        files = [self.folder / f"gpu{index}" for index in range(gpus)]
        for file in files:
            file.symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text("".join(f"Name=gpu File={file}\n" for file in files))
        (self.folder / "state").mkdir()
        for name in names:
            (self.folder / f"spool-{name}").mkdir()
            (self.folder / f"tmp-{name}").mkdir()
        self.start("slurmctld", "slurmctld", "-D", "-i")
        for name in names:
            self.start(f"slurmd-{name}", "slurmd", "-D", "-N", name)
        self.wait_until(lambda: self.command("sinfo", "-h", "-o", "%D %t").stdout.split() == [str(nodes), "idle"], "Slurm")

    def wait_until(self, condition, name, limit=30):
        limit = patience(limit)
        deadline = time.monotonic() + limit
        while not condition():
            ended = [daemon.args[0] for daemon in self.daemons if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise Unavailable(f"{name} does not start: {', '.join(ended) or 'not ready'}; {self.complaints()}")
            time.sleep(0.1)

    def complaints(self):
        """What the daemons said was wrong."""
        said = [line for log in sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*.out"))
                for line in log.read_text(errors="replace").splitlines() if re.search("error|fatal", line, re.I)]
        return "; ".join(said[-4:])

    def command(self, *arguments, **options):
        return subprocess.run(arguments, env=self.environment, capture_output=True, text=True, timeout=patience(60), **options)

    def submit(self, *arguments, cwd, **environment):
        """The id of a new job."""
        done = subprocess.run(["sbatch", "--parsable", *arguments], env=dict(self.environment, **environment), cwd=cwd,
                              capture_output=True, text=True, timeout=patience(60))
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def configure(self, line):
        """Adds a line to slurm.conf."""
        with open(self.folder / "slurm.conf", "a") as file:
            file.write(line + "\n")
        self.command("scontrol", "reconfigure")

    def job(self, job):
        """What `scontrol show job` knows of it, as a dictionary."""
        text = self.command("scontrol", "-o", "show", "job", job).stdout
        return dict(re.findall(r"(\w[\w:/]*)=(\S*)", text))

    def wait_for(self, job, states, limit=120):
        """Its description once it is in one of these states."""
        limit = patience(limit)
        deadline = time.monotonic() + limit
        while (found := self.job(job)).get("JobState") not in states:
            if time.monotonic() > deadline:
                raise AssertionError(f"job {job} is {found.get('JobState')} after {limit} s, not {states}; {self.complaints()}")
            time.sleep(0.1)
        return found

    def stop(self):
        """Ends the jobs, then the daemons, then whatever is left of a job."""
        if len(self.daemons) > 1:
            self.command("scancel", "--user", getpass.getuser())
            deadline = time.monotonic() + patience(15)
            while self.command("squeue", "-h").stdout.strip() and time.monotonic() < deadline:
                time.sleep(0.1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons.clear()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if f"SLURM_CONF={self.folder}/".encode() in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                pass  # gone, or another user's
