"""Workers for one run: whose folders the next one takes back, and whose it never touches."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dockercomp.machine.removal import MARKER
from tests.unit.test_worker_doctor import settings_with
from worker import ephemerally
from worker.settings import Settings


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ephemerally, "_LONGEST_PLACE", 4096)
    place = tmp_path / "place"
    place.mkdir()
    return place


def run(place: Path, tmp_path: Path, work: Callable[[Settings], int] = lambda _: 0) -> int:
    return ephemerally.run(settings_with(tmp_path / "none"), work, {"TMPDIR": str(place)})


def test_a_link_to_another_home_of_the_same_user_is_left_alone(place: Path, tmp_path: Path) -> None:
    """Anybody may make a link in /tmp."""
    precious = tmp_path / "precious"
    (precious / "worker").mkdir(parents=True)
    (precious / MARKER).write_text("Everything of one dockerComp instance. Remove it with: cleanup\n")
    (place / "dcw-evil").symlink_to(precious)
    assert run(place, tmp_path) == 0
    assert sorted(each.name for each in precious.iterdir()) == [MARKER, "worker"]


def test_a_lasting_home_with_such_a_name_is_left_alone(place: Path, tmp_path: Path) -> None:
    lasting = place / "dcw-attic"
    lasting.mkdir()
    (lasting / MARKER).write_text("Everything of one dockerComp instance. Remove it with: cleanup\n")
    assert run(place, tmp_path) == 0
    assert list(place.iterdir()) == [lasting]


def test_one_that_runs_is_left_alone_and_one_that_was_killed_is_taken_back(place: Path, tmp_path: Path) -> None:
    killed = place / "dcw-killed"
    killed.mkdir()
    ephemerally._mark(killed).close()
    (killed / "worker").mkdir()

    def work(settings: Settings) -> int:
        assert list(place.iterdir()) == [settings.home]
        assert run(place, tmp_path) == 0
        assert (settings.home / MARKER).exists()
        return 7

    assert run(place, tmp_path, work) == 7
    assert list(place.iterdir()) == []


def test_odd_things_with_such_names_stop_nobody(place: Path, tmp_path: Path) -> None:
    (place / "dcw-file").write_text("")
    (place / "dcw-nowhere").symlink_to(place / "gone")
    (place / "dcw-empty").mkdir()
    (place / "dcw-binary").mkdir()
    (place / "dcw-binary" / MARKER).write_bytes(b"\xff")
    (place / "dcw-linked").mkdir()
    (place / "dcw-linked" / MARKER).symlink_to(tmp_path / "elsewhere")
    before = sorted(place.iterdir())
    assert run(place, tmp_path) == 0
    assert sorted(place.iterdir()) == before
