"""The supervisor with real processes: what it starts, restarts, stops, and leaves behind when it is killed."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine import supervision, supervisor
from dockercomp.machine.home import HomeInUseError
from dockercomp.machine.supervisor import Program, Status, SupervisorError
from tests.waiting import wait_until

NAME = "unit"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert supervisor.stop(tmp_path, NAME, 20)


def script(home: Path, name: str, body: str, **more: object) -> Program:
    """A Python program that has written 'ready' to its log once it runs."""
    path = home / f"{name}.py"
    path.write_text(f"import os, signal, sys, time\nprint('ready', os.getpid(), flush=True)\n{body}\n")
    return Program(name=name, argv=(sys.executable, "-S", str(path)), log=str(home / f"{name}.log"), **more)  # type: ignore[arg-type]


FOREVER = "signal.pause()"


def now(home: Path) -> Status:
    found = supervisor.status(home, NAME)
    assert found is not None
    return found


def pid(home: Path, name: str) -> int:
    found = now(home).programs[name].pid
    assert found is not None
    return found


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def said(home: Path, name: str, text: str) -> bool:
    log = home / f"{name}.log"
    return log.exists() and text in log.read_text()


def test_starts_detached_and_tells(home: Path) -> None:
    process = supervisor.start(home, NAME, [script(home, "a", FOREVER), script(home, "b", FOREVER)], 20)
    found = now(home)
    assert found.pid == process != os.getpid()
    assert os.getsid(process) != os.getsid(0)
    assert list(found.programs) == ["a", "b"]
    assert {entry.state for entry in found.programs.values()} == {"running"}
    assert alive(pid(home, "a"))


def test_nothing_runs_before_and_after(home: Path) -> None:
    assert supervisor.status(home, NAME) is None
    assert supervisor.stop(home, NAME, 1)
    supervisor.start(home, NAME, [script(home, "a", FOREVER)], 20)
    process = pid(home, "a")
    assert supervisor.stop(home, NAME, 20)
    assert supervisor.status(home, NAME) is None
    assert not alive(process)


def test_a_second_of_the_same_name_is_refused(home: Path) -> None:
    process = supervisor.start(home, NAME, [script(home, "a", FOREVER)], 20)
    with pytest.raises(HomeInUseError, match=str(process)):
        supervisor.start(home, NAME, [], 20)


def test_restarts_what_was_killed(home: Path) -> None:
    supervisor.start(home, NAME, [script(home, "a", FOREVER)], 20)
    first = pid(home, "a")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: now(home).programs["a"].restarts == 1)
    entry = now(home).programs["a"]
    assert entry.state == "running"
    assert entry.last_exit == -signal.SIGKILL
    assert entry.pid != first


def test_what_a_killed_program_left_behind_is_ended(home: Path) -> None:
    child = "child = os.fork() or signal.pause()\nprint('child', child, flush=True)\nsignal.pause()"
    supervisor.start(home, NAME, [script(home, "a", child)], 20)
    wait_until(lambda: said(home, "a", "child"))
    left = int((home / "a.log").read_text().split()[-1])
    assert alive(left)
    os.kill(pid(home, "a"), signal.SIGKILL)
    wait_until(lambda: not alive(left))


@pytest.mark.parametrize("code", supervision.WRONG_CONFIGURATION)
def test_a_wrong_configuration_is_not_tried_again(home: Path, code: int) -> None:
    supervisor.start(home, NAME, [script(home, "a", f"sys.exit({code})"), script(home, "b", FOREVER)], 20)
    wait_until(lambda: now(home).programs["a"].state == "failed")
    entry = now(home).programs["a"]
    assert (entry.pid, entry.last_exit, entry.restarts) == (None, code, 0)
    assert now(home).programs["b"].state == "running"


def test_a_reload_tries_a_failed_program_again(home: Path) -> None:
    program = script(home, "a", f"signal.pause() if os.path.exists({str(home / 'mended')!r}) else sys.exit(78)")
    supervisor.start(home, NAME, [program], 20)
    wait_until(lambda: now(home).programs["a"].state == "failed")
    (home / "mended").touch()
    supervisor.reload(home, NAME, [program, script(home, "b", FOREVER)], 20)
    assert now(home).programs["a"].state == "running"


def test_the_pause_grows_while_a_program_keeps_ending(home: Path) -> None:
    child = supervision.Child(Program(name="a", argv=(str(home / "missing"),), log=str(home / "a.log")))
    delays = []
    for _ in range(8):
        child.start()
        delays.append(child.delay)
    assert child.state == "backoff"
    assert child.last_exit == supervision.CANNOT_EXECUTE
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_stops_in_reverse_order(home: Path) -> None:
    body = (
        "def end(*_):\n"
        f"    with open({str(home / 'order')!r}, 'a') as file: file.write(sys.argv[0][-4])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('armed', flush=True)\nsignal.pause()"
    )
    supervisor.start(home, NAME, [script(home, name, body) for name in "abc"], 20)
    wait_until(lambda: all(said(home, name, "armed") for name in "abc"))
    assert supervisor.stop(home, NAME, 20)
    assert (home / "order").read_text() == "cba"


def test_the_stop_signal_is_the_programs_own_and_force_follows(home: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('armed', flush=True)\nwhile True: signal.pause()"
    polite = "signal.signal(signal.SIGQUIT, lambda *_: (print('bye', flush=True), sys.exit(0)))\nprint('armed', flush=True)\nsignal.pause()"  # noqa: E501
    programs = [script(home, "a", deaf, stop_timeout_s=0.2), script(home, "b", polite, stop_signal="SIGQUIT")]
    supervisor.start(home, NAME, programs, 20)
    wait_until(lambda: said(home, "a", "armed") and said(home, "b", "armed"))
    process = pid(home, "a")
    assert supervisor.stop(home, NAME, 20)
    assert said(home, "b", "bye")
    assert not alive(process)


def test_killing_the_supervisor_leaves_nothing(home: Path) -> None:
    leader = supervisor.start(home, NAME, [script(home, "a", FOREVER)], 20)
    process = pid(home, "a")
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: not alive(process))
    assert supervisor.status(home, NAME) is None, "a stale file is not believed"
    supervisor.start(home, NAME, [script(home, "a", FOREVER)], 20)


def test_reload_starts_stops_and_restarts_only_what_changed(home: Path) -> None:
    keep, drop, change = (script(home, name, FOREVER) for name in ("keep", "drop", "change"))
    supervisor.start(home, NAME, [keep, drop, change], 20)
    before = {name: pid(home, name) for name in ("keep", "drop", "change")}
    changed = script(home, "change", FOREVER, env={"A": "1"})
    supervisor.reload(home, NAME, [keep, changed, script(home, "new", FOREVER)], 20)
    assert list(now(home).programs) == ["keep", "change", "new"]
    assert pid(home, "keep") == before["keep"]
    assert pid(home, "change") != before["change"]
    assert not alive(before["drop"])


def test_reload_needs_a_running_one(home: Path) -> None:
    with pytest.raises(SupervisorError, match="no unit supervisor runs"):
        supervisor.reload(home, NAME, [], 1)


def test_environment_is_passed_and_the_file_is_private(home: Path) -> None:
    supervisor.start(
        home, NAME, [script(home, "a", f"print(os.environ['SECRET'])\n{FOREVER}", env={"SECRET": "s3"})], 20
    )
    stored = home / "run" / f"{NAME}.programs.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert json.loads(stored.read_text())["programs"][0]["env"] == {"SECRET": "s3"}


def test_a_programs_file_that_cannot_be_read_is_an_error_with_its_name(home: Path) -> None:
    (home / "run").mkdir()
    (home / "run" / f"{NAME}.programs.json").write_text("{}")
    with pytest.raises(ValueError, match=r"unit\.programs\.json"):
        supervision.Supervision(home, NAME).run()


def test_a_long_log_keeps_its_tail_and_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "LOG_LIMIT", 1000)
    monkeypatch.setattr(supervision, "LOG_KEPT", 100)
    log = tmp_path / "log"
    with log.open("a") as writer:
        writer.writelines(f"line {number}\n" for number in range(500))
        writer.flush()
        supervision.shorten(log)
        assert log.stat().st_size <= 100
        writer.write("after\n")
    lines = log.read_text().splitlines()
    assert lines[-2:] == ["line 499", "after"]
    assert lines[0].startswith("line "), "no half line at its head"


def test_a_short_log_and_a_missing_one_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x\n")
    supervision.shorten(tmp_path / "log")
    supervision.shorten(tmp_path / "none")
    assert (tmp_path / "log").read_text() == "x\n"


def test_a_supervision_that_cannot_begin_leaves_no_wakeup_descriptor_behind(tmp_path: Path) -> None:
    """A signal would write a byte into whatever connection got the descriptor's number since."""
    handler = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(ValueError, match="cannot be used"):
        supervision.Supervision(tmp_path, "nothing").run()
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGCHLD) is handler
