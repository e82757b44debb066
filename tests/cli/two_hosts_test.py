#!/usr/bin/env python3
"""A rank on each of two hosts, whose link is cut in the midst of a run: both say so and leave in time.

The hosts are network namespaces of this machine, joined by a pair of virtual interfaces.

usage: two_hosts_test.py CONVOY [unittest arguments]
"""
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from faults_test import NET, TIMEOUT
from launch import environment
from patience import patience
from run_files import epochs_in

CONVOY = ""
ADDRESSES = ("10.213.77.1", "10.213.77.2")
NETWORK = "10.213.77.0/24"


class Hosts:
    """host-0 and host-1: a namespace of the network, with a name of its own, and one end of the link each."""

    def __init__(self):
        self.spaces = [f"convoy-{os.getpid()}-{index}" for index in (0, 1)]
        self.ends = [f"cv{os.getpid()}-{index}" for index in (0, 1)]
        for space in self.spaces:
            self.ip("netns", "add", space)
        self.ip("link", "add", self.ends[0], "netns", self.spaces[0], "type", "veth",
                "peer", "name", self.ends[1], "netns", self.spaces[1])
        for space, end, address in zip(self.spaces, self.ends, ADDRESSES):
            self.ip("-n", space, "address", "add", f"{address}/24", "dev", end)
            self.ip("-n", space, "link", "set", end, "up")
            self.ip("-n", space, "link", "set", "lo", "up")
        subprocess.run([*self.on(0), "true"], check=True, capture_output=True, text=True)

    def ip(self, *arguments):
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)

    def on(self, index):
        """What to put in front of a command that is to run on this host; a shell's line comes behind."""
        return ["ip", "netns", "exec", self.spaces[index], "unshare", "--uts", "sh", "-c",
                f'hostname host-{index}; exec sh -c "$*"', "sh"]

    def cut(self):
        self.ip("-n", self.spaces[1], "link", "set", self.ends[1], "down")

    def mend(self):
        self.ip("-n", self.spaces[1], "link", "set", self.ends[1], "up")

    def remove(self):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)


class TwoHosts(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convoy-hosts-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.hosts = Hosts.__new__(Hosts)  # to be removed even if half made
        try:
            if not shutil.which("ip"):
                raise FileNotFoundError(2, "not installed", "ip")
            self.addCleanup(lambda: self.hosts.remove())
            self.hosts.__init__()
        except FileNotFoundError as error:
            self.skipTest(f"no hosts: {error.filename} is not installed; apt-get install iproute2")
        except subprocess.CalledProcessError as error:
            self.skipTest(f"no hosts: {' '.join(error.cmd[:4])}: {error.stderr.strip()}")
        (self.folder / "net.yaml").write_text(NET)
        self.disks = [self.folder / f"disk-{index}" for index in (0, 1)]
        for disk in self.disks:
            disk.mkdir()

    def start(self, *arguments):
        """mpirun on host-0. Each rank has a folder of its own, as on hosts that share no disk, and leaves there its process
        id and what it says on stderr."""
        agent = self.folder / "agent"  # stands for ssh; what it is called with is a host and a line for its shell
        agent.write_text(f"#!/bin/sh\nshift\nexec {' '.join(map(shlex.quote, self.hosts.on(1)))} \"$@\"\n")
        agent.chmod(0o755)
        rank = self.folder / "rank"
        rank.write_text(f"#!/bin/bash\ncd {self.folder}/disk-$OMPI_COMM_WORLD_RANK\n"
                        f'"$@" 2>said &\necho $! >pid\nwait $!\necho $? >status\nexit $(cat status)\n')
        rank.chmod(0o755)
        command = ["mpirun", "-np", "2", "--host", ",".join(f"{address}:1" for address in ADDRESSES), "--bind-to", "none",
                   "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", str(agent), "--mca", "btl", "tcp,self", "--mca", "pml", "ob1",
                   "--mca", "oob_tcp_if_include", NETWORK, "--mca", "btl_tcp_if_include", NETWORK,
                   "-x", "OMP_NUM_THREADS", str(rank), CONVOY, "train", "../net.yaml", "--output", "run", *arguments]
        variables = environment()
        for name in [name for name in variables if name.startswith("SLURM_")]:
            del variables[name]
        with open(self.folder / "launcher", "w") as log:
            process = subprocess.Popen([*self.hosts.on(0), " ".join(map(shlex.quote, command))], cwd=self.folder, env=variables,
                                       stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, 9))
        return process

    def said(self, rank):
        path = self.disks[rank] / "said"
        return path.read_text() if path.exists() else ""

    def status(self, rank):
        """What the rank's process ended with, which its shell writes down a moment after."""
        path, deadline = self.disks[rank] / "status", time.monotonic() + patience(10)
        while not path.exists() or not path.read_text().endswith("\n"):
            self.assertLess(time.monotonic(), deadline, f"no status of rank {rank}")
            time.sleep(0.02)
        return path.read_text().strip()

    def alive(self):
        return [rank for rank in (0, 1) if pathlib.Path("/proc", (self.disks[rank] / "pid").read_text().strip()).exists()]

    def wait_for_epochs(self, process, count):
        deadline = time.monotonic() + patience(120)
        while epochs_in(self.disks[0] / "run") < count:
            what = (self.folder / "launcher").read_text() + self.said(0) + self.said(1)
            self.assertIsNone(process.poll(), what)
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def test_both_ends_of_a_link_that_is_cut_leave_in_time(self):
        process = self.start()
        self.wait_for_epochs(process, 1)
        self.hosts.cut()
        begin = time.monotonic()
        while self.alive() and time.monotonic() < begin + patience(60):
            time.sleep(0.02)
        seconds = time.monotonic() - begin
        print(f"both gone after {seconds:.2f} s (limit {TIMEOUT + patience(2):.1f})", file=sys.stderr)
        self.assertLessEqual(seconds, TIMEOUT + patience(2))
        for rank, other in ((0, 1), (1, 0)):
            lines = [line for line in self.said(rank).splitlines() if f"rank {other} on host host-{other}" in line]
            self.assertEqual(len(lines), 1, self.said(rank))
            self.assertIn("no sign of life", lines[0])
            self.assertEqual(self.status(rank), "1")
        failure = json.loads((self.disks[0] / "run" / "failure.json").read_text())
        self.assertEqual((failure["rank"], failure["host"], failure["witness"]), (1, "host-1", 0))
        self.assertFalse((self.disks[1] / "run").exists(), "rank 0's disk is enough")
        self.hosts.mend()  # mpirun's own link: it waits for the other host's word
        status = process.wait(60)
        print(f"mpirun gone after {time.monotonic() - begin:.2f} s with {status}", file=sys.stderr)
        self.assertNotEqual(status, 0)
        done = epochs_in(self.disks[0] / "run")
        self.assertEqual(self.start("--resume", "auto", f"train.epochs={done + 1}").wait(120), 0, self.said(0))
        self.assertIn("resuming", (self.folder / "launcher").read_text())






if __name__ == "__main__":
    CONVOY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
