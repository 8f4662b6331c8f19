"""What is lent where nothing was written, who else is on the machine, and wishes that contradict each other."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.machine.configuration import ConfigurationError
from worker import contradictions, defaults, neighbours, settings
from worker.defaults import GIB, MIB, Others
from worker.limits import Wishes, ceiling
from worker.neighbours import Neighbours

others = st.builds(
    Others,
    cpus=st.floats(0, 1e4),
    memory=st.integers(0, 2**44),
    sharers=st.integers(0, 16),
    load=st.integers(0, 500),
)


@given(st.integers(1, 512), st.integers(256 * MIB, 2**44), others)
def test_something_is_always_lent_and_something_always_left(cores: int, memory: int, beside: Others) -> None:
    cpus, lent = defaults.cpus(cores, beside), defaults.memory(memory, beside)
    assert defaults.SMALLEST_CPUS <= cpus <= cores - min(1.0, cores / 4) + 1e-9
    assert min(64 * MIB, memory) <= lent <= memory // 2
    assert 1 <= defaults.containers(cpus, lent) <= defaults.most_containers(cpus, lent)
    assert ceiling(Wishes(), cores, memory, beside).containers >= 1
    assert defaults.sentence(cores, beside).endswith(".")


@pytest.mark.parametrize(
    ("beside", "cpus"),
    [
        (Others(), 7.0),
        (Others(cpus=2.0), 5.0),
        (Others(load=3), 4.0),
        (Others(cpus=99.0), 2.0),
        (Others(sharers=1), 3.5),
        (Others(sharers=2, load=1), 2.0),
    ],
)
def test_what_others_use_is_not_lent_once_more(beside: Others, cpus: float) -> None:
    assert defaults.cpus(8, beside) == pytest.approx(cpus)


def test_the_sentence_names_the_reasons() -> None:
    assert defaults.sentence(2) == "0.5 of 2 cores stays free for you (DC_CPUS says otherwise)."
    said = defaults.sentence(8, Others(cpus=2, sharers=1, load=1))
    assert "other programs keep 1 busy" in said and "2 are another worker's" in said and "among 2 workers" in said


@given(st.lists(st.floats(0.9, 1.1), max_size=20))
def test_a_load_about_a_whole_number_does_not_swing(loads: list[float]) -> None:
    seen, before = [], 0
    for load in loads:
        before = neighbours.steady(load, before)
        seen.append(before)
    assert sum(one != other for one, other in itertools.pairwise(seen)) <= 1
    assert neighbours.steady(0.2, before) == 0


# --- the neighbours ---


def tree(root: Path, unix: str = "", busy: int = 0) -> Path:
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "proc/net/unix").write_text(unix)
    (root / "proc/stat").write_text(f"cpu  {busy} 0 0 999 5 0 0 0 0 0\n")
    return root


LINE = "0000000000000000: 00000002 00000000 00000000 0002 01 {inode} @{name}\n"


def test_workers_of_others_are_read_from_the_names_that_they_show(tmp_path: Path) -> None:
    names = [
        "dockercomp-worker:1:aa:11:1500:1024:w",
        "dockercomp-worker:1:bb:12:750:512:s",
        "dockercomp-worker:1:bb:12:750:512:s",
        "dockercomp-worker:1:own:13:x:512:s",
        "dockercomp-worker:2:cc:14:1:1:s",
        f"dockercomp-worker:1:ee:{os.getpid()}:1:1:w",
        "/tmp/.X11-unix/X0",
    ]
    root = tree(tmp_path, "".join(LINE.format(inode=n, name=name) for n, name in enumerate(names)))
    found = Neighbours("ee", root).look(0.0)
    assert found == Others(cpus=1.5, memory=GIB, sharers=1)


def test_names_that_anybody_could_make_up_never_take_all() -> None:
    made_up = Others(cpus=999999.0, memory=2**50, sharers=16)
    assert defaults.cpus(2, made_up) >= 0.05 and defaults.memory(GIB, made_up) >= 64 * MIB


def test_a_worker_is_seen_while_it_lives_and_no_longer() -> None:
    program = (
        "import sys; from worker.neighbours import Neighbours\n"
        "each = Neighbours('fe'); each.show(0.75, 512 << 20, wished=True); print('shown', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdin is not None
        other.stdout.readline()
        assert f":fe:{other.pid}:750:512:w" in Path("/proc/net/unix").read_text()
        other.kill()
        other.wait(30)
    assert f":fe:{other.pid}:" not in Path("/proc/net/unix").read_text()


def test_a_worker_does_not_see_itself_and_shows_what_changed() -> None:
    own = Neighbours("fd")
    own.show(1.0, GIB, wished=False)
    own.show(0.5, GIB, wished=True)
    shown = [line for line in Path("/proc/net/unix").read_text().splitlines() if f":fd:{os.getpid()}:" in line]
    own.hide()
    assert [line.rpartition("@")[2] for line in shown] == [f"dockercomp-worker:1:fd:{os.getpid()}:500:1024:w"]
    assert f":fd:{os.getpid()}:" not in Path("/proc/net/unix").read_text()


def test_the_load_of_others_counts_once_it_lasts(tmp_path: Path) -> None:
    now, busy, hertz = 0.0, 0.0, os.sysconf("SC_CLK_TCK")
    look = Neighbours("ff", tree(tmp_path), lambda: now)
    seen = []
    for _ in range(240):
        now, busy = now + 5, busy + 5 * 3.5
        tree(tmp_path, busy=int(busy * hertz))
        seen.append(look.look(our_cpus=1.0).load)
    assert seen[5] == 0 and seen[-1] == 2


def test_no_such_files_mean_nobody(tmp_path: Path) -> None:
    assert Neighbours("ff", tmp_path).look(0.0) == Others()


# --- contradictions ---

MACHINE = "DC_ROOTLESS=yes\nDC_DOCKER_HOST=unix:///var/run/docker.sock\n"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("DC_MEMORY=64MiB\nDC_CONTAINERS=5\n", 2, "a container needs 16 MiB at least: allow 4 containers, or 80MiB"),
        ("DC_CONTAINERS=30\nDC_CPUS=1\n", 1, "a container needs 0.05 at least: allow 20 containers, or 1.5 CPUs"),
        ("\nDC_HOOK=hook.sh\n", 2, "must be a whole path"),
        ("DC_TEMPERATURE=900\n", 1, "must be between 30 and 110"),
        ("DC_TEMPERATURE=warm\n", 1, "not a number"),
        (MACHINE, 2, "is the machine's engine, which runs as root"),
        ("DC_ROOTLESS=yes\nDC_DOCKER_HOST=tcp://10.0.0.1:2375\n", 2, "is another machine's engine"),
        ("DC_HOURS='fri 18:00-18:00'\n", 1, "ends when it begins"),
        ("DC_DISK=1MiB\n", 1, "must be at least 64MiB"),
    ],
)
def test_wishes_that_cannot_be_are_refused_with_the_line_and_the_way_out(
    tmp_path: Path, text: str, line: int, why: str
) -> None:
    (tmp_path / "configuration").write_text(text)
    with pytest.raises(ConfigurationError, match=f"line {line}: .*{why}"):
        settings.read({"DC_HOME": str(tmp_path)})


def test_more_than_the_machine_has_is_cut_and_said() -> None:
    wishes = Wishes(containers=50, cpus=8, memory=64 * GIB)
    assert contradictions.refusal(wishes) == ""
    said = contradictions.cuts(wishes, 2, GIB // 4)
    assert [sentence.partition("=")[0] for sentence in said] == ["DC_CPUS", "DC_MEMORY", "DC_CONTAINERS"]
    assert ceiling(wishes, 2, GIB // 4).containers == 16
    assert contradictions.cuts(Wishes(containers=2, cpus=2, memory=GIB), 2, 2 * GIB) == []


@given(st.integers(1, 1024), st.floats(0.05, 4096), st.integers(64 * MIB, 2**44))
def test_what_is_not_refused_gives_each_container_its_least(containers: int, cpus: float, memory: int) -> None:
    wishes = Wishes(containers=containers, cpus=cpus, memory=memory)
    if not contradictions.refusal(wishes):
        most = ceiling(wishes, 4096, 2**44)
        assert most.containers == containers
        assert most.cpus / containers >= 0.05 - 1e-9 and most.memory // containers >= 16 * MIB
