"""The volunteer's own policy: real programs, asked as the worker asks them."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until
from worker import hook
from worker.hook import Hook, ask


def program(folder: Path, text: str, name: str = "hook") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 0", ""),
        ("echo a call is going on; exit 0", ""),
        ("echo a call is going on; echo more; exit 1", "a call is going on"),
        ("printf '\\033[31mred\\007'; exit 3", "[31mred"),
        ("exit 4", "ended with code 4 and gave no reason"),
        ("kill -9 $$", "ended with signal 9"),
        ("yes x | head -c 3000000; exit 1", "x"),
        ("sleep 1000 & echo gone; exit 1", "gone"),
    ],
)
def test_the_exit_code_decides_and_the_first_line_is_the_reason(tmp_path: Path, text: str, why: str) -> None:
    said = ask(str(program(tmp_path, text)), {}, 20.0)
    assert why in said and bool(said) == bool(why)


def test_a_hook_that_hangs_counts_as_no_and_ends_with_its_children(tmp_path: Path) -> None:
    path = program(tmp_path, f"sleep 1000 & echo $! >{tmp_path}/child; echo $$ >{tmp_path}/own; wait")
    assert "took longer than 0.5 s and counts as no" in ask(str(path), {}, 0.5)
    for name in ("own", "child"):
        text = (tmp_path / name).read_text() if (tmp_path / name).exists() else ""
        if text.strip():
            wait_until(lambda pid=int(text): _gone(pid))  # type: ignore[misc]


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_is_told_the_state_and_not_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DC_TOKEN", "secret")
    ask(str(program(tmp_path, f"env >{tmp_path}/seen")), {"DC_STATE": "working"})
    seen = (tmp_path / "seen").read_text()
    assert "DC_STATE=working\n" in seen and "PATH=" in seen and "secret" not in seen


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.unlink(), "cannot be used: No such file"),
        (lambda path: path.chmod(0o644), "is not a program: chmod \\+x"),
        (lambda path: path.chmod(0o757), "must belong to .* and be writable by nobody else"),
        (lambda path: path.write_text("#!/nonexistent/shell\n"), "cannot be run"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a program"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "cannot be used"),
    ],
)
def test_what_cannot_be_asked_does_not_allow(tmp_path: Path, make: object, why: str) -> None:
    path = program(tmp_path, "exit 0")
    make(path)  # type: ignore[operator]
    said = ask(str(path), {})
    assert said.startswith(f"DC_HOOK={path} ")
    assert re.search(why, said), said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_only_what_none_but_root_can_change_is_run(tmp_path: Path) -> None:
    path = program(tmp_path, "exit 0")
    os.chown(path, 65534, 65534)
    assert "must belong to root" in ask(str(path), {})
    os.chown(path, 0, 0)
    path.chmod(0o775)
    assert "must belong to root" in ask(str(path), {})
    path.chmod(0o755)
    tmp_path.chmod(tmp_path.stat().st_mode | stat.S_IWOTH)
    assert str(tmp_path) in ask(str(path), {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_nobody_else_chooses_by_a_link_what_is_run(tmp_path: Path) -> None:
    path = program(tmp_path, "exit 0")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link").symlink_to(path)
    ours = tmp_path / "ours"
    ours.symlink_to(theirs / "link")
    assert ask(str(ours), {}) == "", "links of root's own are followed"
    os.chown(theirs, 65534, 65534)
    assert f"{theirs} must belong to root" in ask(str(ours), {})
    os.chown(theirs, 0, 0)
    os.chown(theirs / "link", 65534, 65534, follow_symlinks=False)
    assert "link must belong to root" in ask(str(ours), {})


def test_a_group_that_others_may_be_in_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path, "exit 0")
    path.chmod(0o775)
    group = path.stat().st_gid
    monkeypatch.setattr(os, "getegid", lambda: group)
    monkeypatch.setattr(os, "geteuid", lambda: group + 7)
    assert "must belong to" in ask(str(path), {})


def test_a_hook_does_not_outlive_the_worker(tmp_path: Path) -> None:
    asking = Hook()
    asking.follow(str(program(tmp_path, f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 1000")))
    wait_until((tmp_path / "pid").exists)
    asking.end()
    wait_until(lambda: _gone(int((tmp_path / "pid").read_text())))


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Hook]:
    found = Hook(lambda: {"DC_HOME": str(tmp_path)}, every_s=0.05)
    yield found
    found.end()


def test_the_answer_is_followed_and_no_answer_yet_is_no_leave(tmp_path: Path, asking: Hook) -> None:
    path = program(tmp_path, f"test -e {tmp_path}/may && exit 0; echo not now; exit 1")
    assert asking.why == ""
    asking.follow(str(path))
    assert asking.why
    wait_until(lambda: asking.why == "not now")
    (tmp_path / "may").touch()
    wait_until(lambda: asking.why == "")
    other = program(tmp_path, "echo other; exit 1", "other")
    asking.follow(str(other))
    assert asking.why, "what the last program allowed is not this one's leave"
    wait_until(lambda: asking.why == "other")
    asking.follow("")
    assert asking.why == ""


def test_its_bounds_are_the_documented_ones() -> None:
    assert (hook.EVERY_S, hook.TIMEOUT_S) == (30.0, 10.0)
