"""Editing `configuration`: what was not asked for stays as it was, and what cannot be used is never written."""

import os
import stat
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError
from worker import edits, settings
from worker.cli import main
from worker.keys import BY_NAME, KEYS

SHIPPED = Path(__file__).resolve().parents[2] / "configuration"


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("", {"DC_CPUS": "2"}, "DC_CPUS=2\n"),
        ("DC_CPUS=1", {"DC_CPUS": "2"}, "DC_CPUS=2\n"),
        ("DC_CPUS=1  # half\n", {"DC_CPUS": "2"}, "DC_CPUS=2  # half\n"),
        ("DC_CPUS='1' # half\nX\n", {"DC_CPUS": "2"}, "DC_CPUS=2 # half\nX\n"),
        ("DC_CPUS=1#half\n", {"DC_CPUS": "2"}, "DC_CPUS=2#half\n"),
        ("export DC_CPUS=1\n", {"DC_CPUS": "2"}, "DC_CPUS=2\n"),
        ("DC_CPUS=1\n# x\nDC_CPUS=3\n", {"DC_CPUS": "2"}, "# x\nDC_CPUS=2\n"),
        ("DC_CPUS=1\n# x\nDC_CPUS=3\n", {"DC_CPUS": ""}, "# x\n"),
        ("# why\n# DC_CPUS=\n\n# y\n", {"DC_CPUS": "2"}, "# why\n# DC_CPUS=\nDC_CPUS=2\n\n# y\n"),
        ("# a\n", {"DC_HOURS": "mon 18:00-20:00", "DC_CPUS": "2"}, "# a\nDC_HOURS='mon 18:00-20:00'\nDC_CPUS=2\n"),
        ("DC_CPUS=1\r\n# x\r\n", {"DC_CPUS": "2", "DC_MEMORY": "1GiB"}, "DC_CPUS=2\r\n# x\r\nDC_MEMORY=1GiB\r\n"),
        ("# a\x0c\x85b\n", {"DC_CPUS": "2"}, "# a\x0c\x85b\nDC_CPUS=2\n"),
    ],
)
def test_a_key_is_set_in_its_place_and_nothing_else_moves(before: str, changes: dict[str, str], after: str) -> None:
    assert edits.edited(before, changes) == after


values = st.dictionaries(
    st.sampled_from(sorted(BY_NAME)),
    st.text(
        st.characters(codec="utf-8", exclude_characters="'", exclude_categories=("C", "Zl", "Zp", "Zs")), max_size=20
    ),
)


@given(values, values)
def test_what_is_written_is_what_is_read_and_comments_stay(first: dict[str, str], second: dict[str, str]) -> None:
    text = edits.edited(edits.edited(SHIPPED.read_text(), first), second)
    read = configuration.under(configuration.parse(text), {})
    shipped = configuration.under(configuration.parse(SHIPPED.read_text()), {})
    assert read == configuration.under({**shipped, **first, **second}, {})
    comments = [line for line in SHIPPED.read_text().splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == comments


def test_every_key_is_known_and_explained() -> None:
    shipped = SHIPPED.read_text()
    for key in KEYS:
        assert key.name in configuration.KNOWN_KEYS and f"{key.name}=" in shipped and key.meaning


def home(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "configuration"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "change", "why"),
    [
        ("DC_MEMORY=64MiB\n", "DC_CONTAINERS=9", "configuration, line 2: DC_CONTAINERS=9: DC_MEMORY is 64 MiB"),
        ("DC_CPUS=1\n", "DC_CPUS=lots", "line 1: DC_CPUS=lots: not a number"),
        ("DC_CPUS=1\n", "DC_CPUS=0", "must be between 0.05 and 4096"),
        ("DC_CPUS=1\n", "DC_MEMORY=-1GiB", "not a size"),
        ("DC_CPUS=1\n", "DC_HOURS=never", "is not a day"),
        ("DC_CPUS=1\n", "DC_CPU=2", "not a key of a worker's configuration; did you mean DC_CPUS?"),
        ("DC_CPUS=1\n", "DC_MONGO_URI=x", "not a key of a worker's configuration"),
        ("DC_CPUS=1\n", "DC_CPUS", "write KEY=VALUE"),
        ("DC_CPUS=1\n", "DC_NAME=it's", "no single quote"),
        ("DC_CPUS=1\n", "DC_NAME=a\nDC_CPUS=9", "one line"),
        ("DC_CPUS=1\n%%%\n", "DC_CPUS=2", "line 2: not understood"),
        ("DC_CPUS=1\n", "DC_HOST=far.example", "plain HTTP beyond this machine"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, change: str, why: str
) -> None:
    path = home(tmp_path, text)
    monkeypatch.setenv("DC_HOME", str(tmp_path))
    said = CliRunner().invoke(main, ["configure", change])
    assert said.exit_code == 78 and why in said.output, said.output
    assert path.read_text() == text and sorted(tmp_path.iterdir()) == [path]


def test_a_value_is_judged_also_where_a_variable_wins_over_it(tmp_path: Path) -> None:
    path = home(tmp_path, "DC_CPUS=1\n")
    with pytest.raises(ConfigurationError, match="line 1: DC_CPUS=lots: not a number"):
        edits.change(path, {"DC_CPUS": "lots"}, {"DC_CPUS": "2"})
    assert path.read_text() == "DC_CPUS=1\n"


def test_a_file_that_is_not_utf_8_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    path.write_bytes(b"DC_CPUS=1\n# Caf\xe9\n")
    with pytest.raises(ConfigurationError, match="line 2: not UTF-8"):
        edits.change(path, {"DC_CPUS": "2"}, {})
    assert path.read_bytes() == b"DC_CPUS=1\n# Caf\xe9\n"


def test_mode_links_and_the_token_are_kept(tmp_path: Path) -> None:
    path = home(tmp_path, "DC_TOKEN=t\n")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert edits.change(link, {"DC_CPUS": "1.5"}, {}).wishes.cpus == 1.5
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text() == "DC_TOKEN=t\nDC_CPUS=1.5\n"


def test_where_there_is_no_file_one_is_made_that_others_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DC_HOME", str(tmp_path / "new"))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["configure", "DC_CPUS=1", "DC_NAME=attic"])
    assert said.exit_code == 0 and "next start on: DC_NAME" in said.output
    path = tmp_path / "new/configuration"
    assert path.read_text() == "DC_CPUS=1\nDC_NAME=attic\n" and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_edits_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = home(tmp_path, "# ours\n")
    wanted = {"DC_CPUS": "1", "DC_MEMORY": "1GiB", "DC_DISK": "1GiB", "DC_NAME": "x", "DC_CONTAINERS": "2"}
    threads = [threading.Thread(target=edits.change, args=(path, {key: value}, {})) for key, value in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert configuration.read(path, {}) == wanted and [each.name for each in tmp_path.iterdir()] == ["configuration"]


def test_without_arguments_every_key_is_shown_but_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, "DC_TOKEN=secret-token\nDC_CPUS=1.5\n")
    monkeypatch.setenv("DC_HOME", str(tmp_path))
    for arguments in (["configure"], ["configure", "--json"]):
        said = CliRunner().invoke(main, arguments)
        assert said.exit_code == 0 and "1.5" in said.output and "secret-token" not in said.output
        assert all(key.name in said.output for key in KEYS)


def test_a_variable_of_the_environment_wins_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, "")
    monkeypatch.setenv("DC_HOME", str(tmp_path))
    monkeypatch.setenv("DC_CPUS", "4")
    said = CliRunner().invoke(main, ["configure", "DC_CPUS=1"])
    assert said.exit_code == 0 and "wins over it, and says 4" in said.output
    assert settings.read(dict(os.environ)).wishes.cpus == 4
