"""installer.sh --rootless as an ordinary user, with an engine of the user's own; root's engine is never touched."""

import hashlib
import io
import json
import os
import pwd
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dockercomp.client import Client
from dockercomp.images import describe
from dockercomp.machine import docker_host, rootless
from dockercomp.machine.docker_host import ask
from dockercomp.machine.docker_objects import LABEL
from dockercomp.machine.home import instance_label
from tests.installer.conftest import ROOT
from tests.integration.masters import RunningMaster
from tests.waiting import wait_until

LIMITS_FAIL = "does not enforce limits on CPU and memory"


@dataclass
class User:
    """An ordinary user, who may even speak to root's engine."""

    name: str

    @property
    def folder(self) -> Path:
        return Path(f"/home/{self.name}")

    @property
    def home(self) -> Path:
        return self.folder / ".local/share/dockercomp"

    def run(self, *command: str, **environ: str) -> tuple[int, str]:
        """Exit code and all output."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("DC_", "PYTHON", "XDG_"))}
        done = subprocess.run(
            ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups", *command],
            env={**ours, "HOME": str(self.folder), "USER": self.name, **environ},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        return done.returncode, done.stdout

    def worker(self, *arguments: str) -> tuple[int, str]:
        return self.run(str(self.home / "bin/dockercomp-worker"), *arguments)

    def sentence(self) -> str:
        try:
            return str(json.loads((self.home / "worker/status.json").read_text())["sentence"])
        except FileNotFoundError:
            return ""

    def processes(self) -> list[str]:
        """Command lines; what has ended and only waits to be reaped has none."""
        uid, found = pwd.getpwnam(self.name).pw_uid, []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and entry.stat().st_uid == uid:
                    found.append((entry / "cmdline").read_bytes().decode())
            except OSError:
                continue
        return [command for command in found if command]


@pytest.fixture
def user() -> Iterator[User]:
    made = User(f"dct{secrets.token_hex(3)}")
    groups = ["--groups", "docker"] if "docker:" in Path("/etc/group").read_text() else []
    subprocess.run(["useradd", "--create-home", *groups, made.name], check=True)
    shutil.copy(ROOT / "installer.sh", made.folder / "installer.sh")
    yield made
    if (made.home / "uninstall").exists():
        made.run(str(made.home / "uninstall"), "--yes")
    subprocess.run(["userdel", "--remove", made.name], check=True, capture_output=True)


CAT = """
#include <unistd.h>
int main(void) { char b[4096]; ssize_t n; while ((n = read(0, b, sizeof b)) > 0) write(1, b, n); return 0; }
"""


def an_image(folder: Path) -> Path:
    """A `docker save` archive of an image with one static program, and a file of another owner than root."""
    (folder / "cat.c").write_text(CAT)
    subprocess.run(["cc", "-static", "-w", "-o", folder / "cat", folder / "cat.c"], check=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, content, owner in (("cat", (folder / "cat").read_bytes(), 0), ("theirs/file", b"x", 1000)):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = len(content), 0o755, owner, owner
            tar.addfile(member, io.BytesIO(content))
        theirs = tarfile.TarInfo("theirs")
        theirs.type, theirs.mode, theirs.uid, theirs.gid = tarfile.DIRTYPE, 0o700, 1000, 1000
        tar.addfile(theirs)
    diff = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    files = {
        name: config,
        "layer.tar": layer.getvalue(),
        "manifest.json": json.dumps([{"Config": name, "RepoTags": None, "Layers": ["layer.tar"]}]).encode(),
    }
    with tarfile.open(folder / "image.tar", "w") as tar:
        for each, content in files.items():
            member = tarfile.TarInfo(each)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return folder / "image.tar"


JOB = """
name = "copy"
image = "tiny"
[input]
split = "lines"
[map]
command = ["/cat"]
[verify]
policy = "none"
[resources]
memory = "32 MiB"
disk = "8 MiB"
"""


def test_install_work_and_removal_without_root(user: User, master: RunningMaster, tmp_path: Path) -> None:
    roots = "unix:///var/run/docker.sock"
    code, said = user.run(
        *("sh", str(user.folder / "installer.sh"), "--rootless", "--yes"),
        *("--host", "127.0.0.1", "--port", str(master.settings.port), "--token", master.enrolment_token()),
        DOCKER_HOST=roots,
        DC_CONTAINERS="1",
        DC_DISK="8GiB",
        DC_HOURS="mon-sun 00:00-24:00",
    )
    assert code == 0, said
    written = (user.home / "configuration").read_text().splitlines()
    assert {"DC_ROOTLESS=yes", "DC_DISK=8GiB", "DC_HOURS='mon-sun 00:00-24:00'"} <= set(written)
    own = f"unix://{user.home}/run/docker.sock"
    assert f"Docker Engine {ask(own, 'GET', '/version')['Version']} answers at {own}" in said
    assert "rootless" in said

    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "job.toml").write_text(JOB)
    (tmp_path / "input").write_text("to be copied\n")
    with Client(master.url, master.admin_token) as client:
        client.push_image("tiny", describe(an_image(tmp_path)))
        job = client.submit(tmp_path / "job", tmp_path / "input")
        if not ask(own, "GET", "/info")["MemoryLimit"]:  # cgroup v1, or v2 without delegation
            wait_until(lambda: LIMITS_FAIL in user.sentence(), 60)
            code, found = user.worker("doctor")
            assert code == 1 and "it can limit neither CPU nor memory" in found and "DC_UNLIMITED=warn" in found
            assert not job.view.results_returned, "nothing runs without limits"
            with (user.home / "configuration").open("a") as file:
                file.write("DC_UNLIMITED=warn\n")
        *_, last = job.follow()
        assert last.state == "completed", (last, user.sentence())
        assert job.result() == b"to be copied\n"
        assert "none of them holds" in user.worker("doctor")[1] or ask(own, "GET", "/info")["MemoryLimit"]

    label = f"{LABEL}={instance_label(user.home)}"
    there = ask(docker_host.find(tmp_path), "GET", "/containers/json?all=1")
    assert all(label.partition("=")[2] != (each["Labels"] or {}).get(LABEL) for each in there)
    code, said = user.run(str(user.home / "uninstall"), "--yes", DOCKER_HOST=roots)
    assert code == 0, said
    assert not user.home.exists()
    assert user.processes() == []


def test_as_root_it_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", ROOT / "installer.sh", "--rootless", "--yes", "--prefix", tmp_path / "home"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "for an ordinary user" in done.stderr
    assert not (tmp_path / "home").exists()


def test_what_is_missing_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootless, "PROGRAMS", {"no-such-program": "no-such-package"})
    with pytest.raises(rootless.MissingError, match="apt-get install --no-install-recommends no-such-package"):
        rootless.check()
    monkeypatch.setattr(rootless, "PROGRAMS", {})
    monkeypatch.setattr(rootless, "_ids", lambda *_: 0)
    with pytest.raises(rootless.MissingError, match="usermod --add-subuids"):
        rootless.check()


def test_a_rootless_instance_knows_no_other_engine(tmp_path: Path) -> None:
    lures = {"DC_ROOTLESS": "yes", "DOCKER_HOST": docker_host.DEFAULT, "DC_DOCKER_HOST": docker_host.DEFAULT}
    assert docker_host.candidates(tmp_path, lures) == [f"unix://{docker_host.private_socket(tmp_path)}"]
