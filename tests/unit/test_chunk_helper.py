"""The helper for programs inside a container: what it writes and reads, and that it is harmless without a worker."""

import ast
import os
from pathlib import Path

import pytest

from worker.inside import dockercomp_chunk as chunk
from worker.live import parse_progress
from worker.mounts import SlotFolders
from worker.tasks import Size


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DC_PROGRESS", "DC_CHECKPOINT", "DC_ALLOCATION", "DC_WIDTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(chunk, "_last", [float("-inf")])


def test_without_a_worker_nothing_happens() -> None:
    chunk.progress(0.5, "half")
    chunk.save_checkpoint(b"x")
    assert chunk.load_checkpoint() is None
    assert chunk.allocation().cpus == len(os.sched_getaffinity(0)) and chunk.allocation().memory > 2**20


def test_progress_is_one_short_line_and_not_written_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "progress"
    monkeypatch.setenv("DC_PROGRESS", str(place))
    chunk.progress(0.5, "two\nlines  of ü")
    assert parse_progress(place.read_bytes()) == (0.5, "two lines of ü")
    chunk.progress(0.6)
    assert parse_progress(place.read_bytes())[0] == 0.5
    monkeypatch.setattr(chunk, "_last", [float("-inf")])
    chunk.progress(None, "x" * 1000)
    assert parse_progress(place.read_bytes()) == (None, "x" * 200)
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]


def test_a_checkpoint_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "state"
    monkeypatch.setenv("DC_CHECKPOINT", str(place))
    saved = tmp_path / "saved"
    saved.write_bytes(b"earlier")
    place.symlink_to(saved)
    assert chunk.load_checkpoint() == b"earlier"
    chunk.save_checkpoint(b"now")
    assert chunk.load_checkpoint() == b"now" and saved.read_bytes() == b"earlier" and not place.is_symlink()
    monkeypatch.setattr(chunk, "LARGEST_CHECKPOINT", 2)
    with pytest.raises(ValueError, match="at most 2"):
        chunk.save_checkpoint(b"abc")
    monkeypatch.setenv("DC_CHECKPOINT", str(tmp_path / "no" / "folder"))
    chunk.save_checkpoint(b"")


def test_the_allocation_is_what_the_worker_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = SlotFolders(tmp_path / "slot")
    folders.make(Size(cpus=1.5, memory=2**28, scratch=0))
    now = tmp_path / "slot/allocation/now"
    monkeypatch.setenv("DC_ALLOCATION", str(now))
    assert chunk.allocation() == (1.5, 2**28, 1, 2, "")
    folders.write_allocation(Size(cpus=4, memory=2**20, scratch=0, cpuset="0-2,8", width=2.6))
    assert chunk.allocation() == (4, 2**20, 2, 3, "0-2,8")
    now.write_text("dockercomp-allocation 1\ncpus 2.5\nmemory 5\nof-later some words\nodd\n")
    assert chunk.allocation() == (2.5, 5, 0, 3, ""), "words of later versions are passed over"


@pytest.mark.parametrize("text", ["", "dockercomp-allocation 2\ncpus 1\nmemory 5\n", "cpus 1\nmemory 5\n", "\xff"])
def test_what_is_no_allocation_counts_as_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "now").write_text(text, encoding="latin-1")
    monkeypatch.setenv("DC_ALLOCATION", str(tmp_path / "now"))
    assert chunk.allocation() == (
        len(os.sched_getaffinity(0)),
        chunk.allocation().memory,
        0,
        len(os.sched_getaffinity(0)),
        "",
    )
    monkeypatch.setenv("DC_WIDTH", "7")
    assert chunk.allocation().width == 7


def test_it_runs_on_old_pythons_with_the_standard_library_only() -> None:
    source = Path(chunk.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"collections", "os", "time"}
