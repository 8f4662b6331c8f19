"""Taking an instance back: all of it, nothing else, and again without harm. Docker's part is in tests/installer."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine import manifest, supervisor, uninstall
from dockercomp.machine.programs import Program
from dockercomp.machine.removal import MARKER, NotOursError, Removal, check


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An instance that knows no Docker Engine."""
    monkeypatch.setenv("DC_DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr("dockercomp.machine.removal.candidates", lambda *_: [f"unix://{tmp_path}/none.sock"])
    made = tmp_path / "instance"
    for folder in ("run", "log", "mongo/journal"):
        (made / folder).mkdir(parents=True)
    (made / MARKER).touch()
    (made / "mongo/journal/data").write_text("x")
    (made / "link").symlink_to(tmp_path)
    yield made
    for name in ("server", "demo", "worker"):
        supervisor.stop(made, name, 20)


def forever(home: Path) -> Program:
    return Program(
        "sleeper", (sys.executable, "-S", "-c", "import signal; signal.pause()"), str(home / "log/sleeper.log")
    )


def remove(home: Path, **more: bool) -> tuple[Removal, list[str]]:
    said: list[str] = []
    removal = Removal(home, said.append, **more)
    removal.run()
    return removal, said


def test_everything_inside_goes_and_what_is_beside_stays(home: Path) -> None:
    (home.parent / "foreign").write_text("x")
    removal, _ = remove(home)
    assert removal.problems == []
    assert not home.exists()
    assert (home.parent / "foreign").read_text() == "x"


def test_supervisors_and_their_programs_stop(home: Path) -> None:
    for name in ("server", "worker"):
        supervisor.start(home, name, [forever(home)], 20)
    processes = [
        entry.pid
        for name in ("server", "worker")
        if (found := supervisor.status(home, name))
        for entry in found.programs.values()
    ]
    remove(home)
    assert len(processes) == 2
    for process in processes:
        assert process
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_the_demos_workers_go_first(home: Path) -> None:
    inner = home / "demo" / "worker-1"
    (inner / "run").mkdir(parents=True)
    supervisor.start(home, "demo", [forever(home)], 20)
    supervisor.start(inner, "worker", [forever(inner)], 20)
    _, said = remove(home)
    assert said.index("stop demo") < said.index(f"remove {inner}") < said.index(f"remove {home}")
    assert not home.exists()


def test_recorded_files_and_empty_folders_go_foreign_ones_stay(home: Path) -> None:
    outside = home.parent / "outside"
    outside.mkdir()
    for name in ("ours", "theirs"):
        manifest.record(home, "file", str(outside / name), existed=name == "theirs")
        (outside / name).touch()
    for name in ("empty", "full", "known"):
        manifest.record(home, "directory", str(outside / name), existed=name == "known")
        (outside / name).mkdir()
    (outside / "full" / "foreign").touch()
    remove(home)
    assert sorted(path.name for path in outside.iterdir()) == ["full", "known", "theirs"]


def test_a_folder_of_folders_that_we_made_goes_innermost_first(home: Path) -> None:
    outer = home.parent / "a"
    for folder in (outer, outer / "b"):
        manifest.record(home, "directory", str(folder))
        folder.mkdir()
    remove(home)
    assert not outer.exists()


def test_a_mount_that_is_not_ours_any_more_is_left(home: Path) -> None:
    manifest.record(home, "mount", "/proc")
    _, said = remove(home)
    assert "unmount /proc" not in said
    assert Path("/proc/self").exists()


def test_packages_are_told_unless_they_were_there(home: Path) -> None:
    manifest.record(home, "package", "gcc")
    manifest.record(home, "package", "git", existed=True)
    assert [entry.name for entry in Removal(home, print, dry_run=True).run()] == ["gcc"]


def test_a_dry_run_changes_nothing(home: Path) -> None:
    before = sorted(str(path) for path in home.rglob("*"))
    process = supervisor.start(home, "server", [forever(home)], 20)
    _, said = remove(home, dry_run=True)
    assert "would stop server" in said
    assert f"would remove {home}" in said
    found = supervisor.status(home, "server")
    assert found is not None
    assert found.pid == process
    assert set(before) <= {str(path) for path in home.rglob("*")}


def test_what_cannot_be_removed_now_keeps_the_manifest(home: Path) -> None:
    (home / "worker").mkdir()
    (home / "worker" / "images.json").write_text("{}")
    removal, _ = remove(home)
    assert "no Docker Engine answers" in removal.problems[0]
    assert (home / MARKER).exists()


@pytest.mark.parametrize("path", ["/", "/usr", "/root", str(Path.home()), str(Path.home().parent)])
def test_dangerous_folders_are_refused(path: str) -> None:
    with pytest.raises(NotOursError):
        check(Path(path))


def test_a_folder_without_our_mark_is_refused(home: Path) -> None:
    (home / MARKER).unlink()
    with pytest.raises(NotOursError, match="not made by dockerComp"):
        remove(home)
    assert (home / "mongo/journal/data").exists()


def test_the_command_can_be_repeated(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest.record(home, "package", "gcc")
    assert uninstall.main(["--yes", "--home", str(home)]) == 0
    assert "installed by us and left: gcc" in capsys.readouterr().out
    assert uninstall.main(["--yes", "--home", str(home)]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_the_command_says_why_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert uninstall.main(["--yes", "--home", str(tmp_path / "mine")]) == 2
    assert "nothing was touched" in capsys.readouterr().err
