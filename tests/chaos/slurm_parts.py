"""A Slurm of the test's own: munge, controller and node daemon in one folder, ended by their process ids."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.masters import free_port
from tests.waiting import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel")

_CONF = """
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
SlurmctldPort={control_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=30
SchedulerParameters=batch_sched_delay=1,sched_interval=2
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def is_there() -> bool:
    """Whether this machine has Slurm, and we may start it."""
    return os.geteuid() == 0 and all(shutil.which(program, path=_path()) for program in PROGRAMS)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass
class Slurm:
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "PATH": _path(), "SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *command: str, environ: dict[str, str] | None = None) -> str:
        env = {**self.environ, **(environ or {})}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, script: Path, *arguments: str, environ: dict[str, str], minutes: int) -> str:
        """The id of a batch job, its script's own limits overruled by these."""
        output = f"--output={self.folder}/job.out"
        limits = (f"--time={minutes}", "--cpus-per-task=1", "--mem=500", "--export=ALL", output)
        return self.call("sbatch", "--parsable", *limits, str(script), *arguments, environ=environ)

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job: JobState, ExitCode …"""
        words = self.call("scontrol", "-o", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, number: str) -> bool:
        return self.job(number)["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")

    def said(self) -> str:
        """What the last job wrote."""
        path = self.folder / "job.out"
        return path.read_text() if path.exists() else ""


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """`folder` is empty, and its path short, as a socket lies in it."""
    slurm, node = Slurm(folder), socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    ports = {"control_port": free_port(), "node_port": free_port()}
    conf = _CONF.format(folder=folder, node=node, cpus=os.cpu_count(), **ports)
    (folder / "slurm.conf").write_text(conf)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    munge = [
        "munged",
        "--foreground",
        "--force",
        f"--key-file={key}",
        *(f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")),
        f"--socket={folder}/munge.sock",
    ]
    with ExitStack() as ends:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", node]):
            process = subprocess.Popen(command, env=slurm.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            ends.callback(_end, process)
            if command is munge:
                wait_until((folder / "munge.sock").exists)
        wait_until(lambda: _is_idle(slurm), 120)
        try:
            yield slurm
        finally:
            slurm.call("scancel", "--user=root", "--full")
            wait_until(lambda: not slurm.call("squeue", "-h"), 90)


def _is_idle(slurm: Slurm) -> bool:
    done = subprocess.run(
        ["sinfo", "-h", "-o", "%t"], env=slurm.environ, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.strip() == "idle"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)
