"""DC_HOME: where it is, what marks it, its lock, its private files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockercomp.machine import home as homes
from dockercomp.machine.home import HomeInUseError


def test_the_environment_names_it(tmp_path: Path) -> None:
    assert homes.default_home({"DC_HOME": str(tmp_path / "a" / ".." / "b")}) == tmp_path / "b"


def test_without_it_root_and_users_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert homes.default_home({}) == Path("/var/lib/dockercomp")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert homes.default_home({}) == Path.home() / ".local/share/dockercomp"


def test_the_label_is_the_folders(tmp_path: Path) -> None:
    label = homes.instance_label(tmp_path)
    assert label == homes.instance_label(tmp_path / "." / "x" / "..")
    assert label != homes.instance_label(tmp_path / "x")
    assert len(label) == 12
    assert label.isalnum()


def test_a_second_holder_is_told_who_has_the_lock(tmp_path: Path) -> None:
    with homes.lock(tmp_path, "worker"), pytest.raises(HomeInUseError, match=str(os.getpid())):
        homes.lock(tmp_path, "worker")
    homes.lock(tmp_path, "worker").close()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from dockercomp.machine.home import lock
held = lock(Path({str(tmp_path)!r}), "worker")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    homes.lock(tmp_path, "worker").close()


def test_private_files_are_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    homes.write_private(path, b"one")
    homes.write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    homes.write_private(path, b"one")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        homes.write_private(path, b"two")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
