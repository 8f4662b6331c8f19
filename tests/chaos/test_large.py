"""More bytes than the master has memory: in, through, and out again, with flat memory.

DC_LARGE_GIB sets the size of the input (the result is twice as large); 5 shows what the product promises.
"""

import hashlib
import os
from pathlib import Path

import psutil

from tests.chaos.conftest import Installation

MIB = 2**20
CHUNK = 32 * MIB
MEMORY = 512 * MIB

JOB = f"""
name = "large"
image = "dockercomp/python"
[input]
split = "bytes"
chunk_size = "{CHUNK // MIB} MiB"
[map]
command = ["sh", "-c", "cat {{input}} {{input}}"]
[verify]
policy = "none"
[resources]
memory = "64 MiB"
disk = "16 MiB"
"""


def input_file(path: Path, size: int) -> Path:
    """Each chunk begins with its number; the rest are zeros, so the file itself takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
        for start in range(0, size, CHUNK):
            file.seek(start)
            file.write(b"%012d" % start)
    return path


def most_memory(pid: int) -> int:
    """The most bytes that a process has had in memory (VmHWM of proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def processes(installation: Installation, program: str) -> list[int]:
    """A program of the master's supervisor, and its children."""
    pid = installation.pid(installation.master.home, "server", program)
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_a_master_passes_on_more_than_it_could_hold(installation: Installation, tmp_path: Path) -> None:
    size = int(float(os.environ.get("DC_LARGE_GIB", "0.5")) * 2**30)
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "job.toml").write_text(JOB)
    given = input_file(tmp_path / "zeros", size)
    expected, found = hashlib.sha256(), hashlib.sha256()
    with given.open("rb") as file:
        while chunk := file.read(CHUNK):
            expected.update(chunk)
            expected.update(chunk)
    with installation.client() as client:
        job = client.submit(folder, given)
        job.wait(progress=False)
        for part in job.parts():
            found.update(part)
    assert found.hexdigest() == expected.hexdigest()
    serving = processes(installation, "master") + processes(installation, "housekeeping")
    used = sum(most_memory(pid) for pid in serving)
    assert len(serving) >= 3 and used < MEMORY, f"{used / MIB:.0f} MiB in {len(serving)} processes"
